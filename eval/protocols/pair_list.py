"""Lists of verification pairs, and the embeddings of their faces; `eval.protocols.pair_layouts` reads the lists."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from eval.protocols.cfp import is_cfp, read_cfp
from eval.protocols.names import find_rows
from eval.protocols.pair_layouts import FOLDS, PairList, even_folds, read_pair_list
from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError

logger = logging.getLogger(__name__)


def load_pair_list(path: Path) -> PairList:
    """Reads a list of pairs of any layout, the pairs.tsv of a folder, or CFP's folder Split/FF or Split/FP.

    A list without folds gets ten: of the genuine and of the impostor pairs, in their order, a tenth each.

    Raises:
        InputError: Missing, empty or malformed (naming the line), too few pairs for folds, or one kind of pairs.
    """
    if path.is_dir() and is_cfp(path):
        listed = read_cfp(path)
    else:
        listed = read_pair_list(path / "pairs.tsv" if path.is_dir() else path)
    for kind, missing in [("genuine", not listed.same.any()), ("impostor", listed.same.all())]:
        if missing:
            raise InputError(f"{listed.path}: no {kind} pair in {len(listed.same)}; both kinds are needed")
    if listed.fold.max() > 0:
        return listed
    if min(np.bincount(listed.same, minlength=2)) < FOLDS:
        raise InputError(
            f"{listed.path}: one fold of {len(listed.same)} pairs; the threshold of a fold comes from the others. "
            f"At least {FOLDS} pairs of either kind make {FOLDS} folds"
        )
    logger.warning("%s: no folds; its pairs make %d folds in their order", listed.path, FOLDS)
    return even_folds(listed)


def match_pairs(listed: PairList, embedded: EmbeddingSet) -> tuple[np.ndarray, np.ndarray]:
    """The embedding rows of both faces of each pair, int64 [p] each, by name.

    Raises:
        InputError: No keys, a key that is there twice, or a face without embedding.
    """
    if embedded.keys is None:
        raise InputError(f"{embedded.path}: no keys.txt; the faces of pairs match by name, so that it is needed")
    sides = []
    for names in (listed.first, listed.second):
        rows = find_rows(names, embedded.keys, embedded.path, by_file=True)
        missing = np.flatnonzero(rows < 0)
        if missing.size:
            raise InputError(
                f"{listed.path} line {listed.lines[missing[0]]}: face {names[missing[0]]!r} has no embedding in "
                f"{embedded.path} ({missing.size} of {len(names)} pairs lack one)"
            )
        sides.append(rows)
    return sides[0], sides[1]
