"""kNN lists as learn-to-cluster writes them: one array [n, 2, k], neighbours and distances, in a .npz file.

A distance is 1 - cosine, ascending, and a row is its own first neighbour. Format: ``knn_faiss`` and
``knns2ordered_nbrs`` in its ``utils/knn.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facerec.pipeline.array_files import npz_entries
from facerec.pipeline.entries import listed
from facerec.pipeline.files import InputError, blocks, row_blocks
from facerec.pipeline.named_part import split_part


def read_reference_lists(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours int32 [n, k - 1] without the row itself and cosines float32 [n, k - 1], descending; -1 pads.

    Args:
        path: The .npz file, or ``FILE:NAME``.

    Raises:
        InputError: Missing, or without such an array.
    """
    file, part = split_part(path)
    entries = npz_entries(file)
    names = [part] if part in entries else [name for name, entry in entries.items() if _is_lists(entry.shape)]
    if len(names) != 1 or not _is_lists(entries[names[0]].shape) or entries[names[0]].kind not in "fiu":
        raise InputError(
            f"{file}: it has {listed(entries)}; expected neighbours and distances [n, 2, k], as learn-to-cluster has "
            "them, or give a folder made by knn"
        )
    lists = entries[names[0]].load()
    if not all(np.isfinite(part).all() for part in blocks(lists)):
        raise InputError(f"{file}: NaN or infinite values in {names[0]}; build the graph again")
    found = [_cleaned(lists[rows], rows.start) for rows in row_blocks(len(lists))]
    ids, cosines = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return ids, cosines


def _is_lists(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[1] == 2 and shape[2] > 1 and shape[0] > 0


def _cleaned(lists: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours and cosines of consecutive rows from `start` on, without the rows themselves.

    Each row is sorted so that itself comes last. Then the last place is dropped.
    """
    ids, distances = lists[:, 0].astype(np.int64), lists[:, 1].astype(np.float64)
    own = ids == np.arange(start, start + len(ids))[:, None]
    missing = own | (ids < 0)
    order = np.argsort(np.where(missing, np.inf, distances), axis=1, kind="stable")[:, : ids.shape[1] - 1]
    ids = np.take_along_axis(np.where(missing, -1, ids), order, axis=1)
    distances = np.take_along_axis(distances, order, axis=1)
    return ids.astype(np.int32), np.where(ids < 0, 0, 1 - distances).astype(np.float32)
