"""The training loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from facerec.devices.device import prepare_worker
from facerec.losses.choice import Head
from facerec.losses.partial_fc import PartialHead
from facerec.pipeline import ranks as processes
from facerec.pipeline.files import InputError
from facerec.training.dataset import Batches, Skipped


def checked_faces(unread: Sequence[Sequence[Any]], read: int) -> list[Skipped]:
    """The faces of a batch that could not be read.

    Raises:
        InputError: None of the batch could be read.
    """
    if not read:
        _, _, key, reason = unread[0]
        raise InputError(f"none of {len(unread)} faces in a row can be read, e.g. {key}: {reason}")
    return [(store, row, key, reason) for store, row, key, reason in unread]


def loader_of(batches: Batches, steps: range, workers: int, place: torch.device) -> DataLoader:
    """Reads the batches of some steps, in their order, in other processes if there are workers."""
    return DataLoader(
        batches, batch_size=None, sampler=steps, num_workers=workers, worker_init_fn=prepare_worker,
        pin_memory=place.type == "cuda",
    )  # fmt: skip


def step_seed(seed: int, step: int) -> int:
    """Seeds what a backbone may draw in a step, on every rank otherwise."""
    return int(np.random.SeedSequence((seed, step, processes.rank())).generate_state(1)[0])


def all_centres(head: Head) -> Tensor:
    """All class centres, where they are written; all ranks call it."""
    centres = head.whole() if isinstance(head, PartialHead) else head.centres.detach().cpu()
    return torch.empty(0) if centres is None else centres.contiguous()
