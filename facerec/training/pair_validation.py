"""Accuracy on pairs of faces while training goes on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from facerec.devices.device import to_input
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import InputError, row_blocks
from facerec.pipeline.pair_accuracy import FOLDS, consecutive_folds, decide
from facerec.stores.pixels import decode, resized
from facerec.stores.verification_bin import read_bin

logger = logging.getLogger(__name__)

BATCH_SIZE = 128


@dataclass(frozen=True)
class PairSet:
    """A verification set of insightface.

    Attributes:
        name: The file's, without suffix.
        images: Encoded, two a pair.
        same: Bool [pairs], whether a pair shows one person.
    """

    name: str
    images: list[bytes]
    same: np.ndarray


def read_pairs(files: list[Path]) -> list[PairSet]:
    """Reads verification sets, and decodes each of their images once, so that training does not fail on one later.

    Raises:
        InputError: Not such a set, an image that cannot be read, less than `FOLDS` pairs, or two sets of one name.
    """
    sets = []
    for file in files:
        images, same = read_bin(file)
        if len(same) < FOLDS:
            raise InputError(f"{file}: {len(same)} pairs; it needs {FOLDS}, one a fold")
        if all(same) or not any(same):
            logger.warning("%s: %d genuine of %d pairs; its accuracy says little", file, sum(same), len(same))
        for index, image in enumerate(images):
            try:
                decode(image)
            except ValueError as error:
                raise InputError(f"{file}: image {index} cannot be read ({error})") from None
        sets.append(PairSet(file.stem, images, np.array(same)))
    names = [one.name for one in sets]
    if len(set(names)) < len(names):
        raise InputError(f"--validation: sets of one name ({', '.join(names)}); rename one")
    return sets


@torch.inference_mode()
def validate(network: nn.Module, pairs: PairSet, size: int, device: torch.device, context: torch.autocast) -> float:
    """The accuracy of a network on pairs, see `fold_accuracy`; faces and their mirror images are embedded and added.

    The network is left in the mode in which it was.
    """
    was_training = network.training
    network.eval()
    rows = []
    for some in row_blocks(len(pairs.images), BATCH_SIZE):
        images = [resized(decode(image), size) for image in pairs.images[some]]
        faces = to_input(torch.from_numpy(np.stack(images)), device)
        with context:
            rows.append((network(faces).float() + network(faces.flip(3)).float()).cpu().numpy())
    network.train(was_training)
    embeddings = normalize(np.concatenate(rows))
    return fold_accuracy((embeddings[::2] * embeddings[1::2]).sum(1), pairs.same)


def fold_accuracy(scores: np.ndarray, same: np.ndarray) -> float:
    """The mean over `FOLDS` folds of the share of pairs that `decide` gets right, see `consecutive_folds`.

    Args:
        scores: float [pairs].
        same: Bool [pairs].
    """
    fold = consecutive_folds(len(scores))
    right, _ = decide(scores, same, fold)
    return float(np.mean([np.mean(right[fold == number]) for number in range(FOLDS)]))
