"""A committee: several recognisers' embeddings of the same faces, side by side (Zhan et al., ECCV 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facerec.pipeline.embeddings import EmbeddingSet, readable_rows
from facerec.pipeline.files import BLOCK_ROWS, InputError, new_array, row_blocks
from facerec.pipeline.progress import progress


def write_side_by_side(sets: Sequence[EmbeddingSet], file: Path, dtype: np.dtype) -> list[tuple[int, int]]:
    """Writes rows of unit length whose cosine is the mean of the sets' cosines: (x_1, ..., x_m) / sqrt(m).

    Args:
        sets: m embedding sets of n faces, in the same order.
        file: The .npy file, [n, sum of dimensions].
        dtype: Of what is written.

    Returns:
        For each row that one of the sets has no embedding of, which is a zero row, its number and that set's.
    """
    shape = (len(sets[0]), sum(one.embeddings.shape[1] for one in sets))
    joined = new_array(file, dtype, shape)
    lacking: list[tuple[int, int]] = []
    for rows in progress(row_blocks(len(joined), BLOCK_ROWS), "join", "blocks"):
        parts = [one.embeddings[rows] for one in sets]
        there = np.stack([readable_rows(part) for part in parts])
        whole = np.asarray(there.all(axis=0))
        joined[rows] = np.hstack(parts) * (whole[:, None] / np.sqrt(len(sets))).astype(np.float32)
        lacking += [(rows.start + row, int(there[:, row].argmin())) for row in np.flatnonzero(~whole).tolist()]
    joined.flush()
    return lacking


def agreed(sets: Sequence[EmbeddingSet], what: str) -> Any:
    """The keys, or the labels, that all sets that have some have in common; None if none has.

    Raises:
        InputError: Two sets differ in a row.
    """
    having = [one for one in sets if getattr(one, what) is not None]
    if not having:
        return None
    found = getattr(having[0], what)
    for one in having[1:]:
        other = getattr(one, what)
        if not (np.array_equal(other, found) if isinstance(other, np.ndarray) else other == found):
            row = next(row for row, pair in enumerate(zip(found, other, strict=True)) if pair[0] != pair[1])
            raise InputError(
                f"{one.path}: {what} {other[row]} in row {row}, {found[row]} in {having[0].path}; "
                "only embeddings of the same faces in the same order can be joined"
            )
    return found
