"""A committee: several recognisers' embeddings of the same faces, side by side (Zhan et al., ECCV 2018)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facerec.pipeline.embeddings import EmbeddingSet, readable_rows
from facerec.pipeline.files import BLOCK_ROWS, InputError, new_array, row_blocks
from facerec.pipeline.progress import progress

logger = logging.getLogger(__name__)
FEWEST, MOST = 50, 2000
"""Faces that are compared to see whether two sets have the same order."""
LEAST_SHARE = 0.6
"""Of the draws in which the first set's nearest face is more alike in the other set than a face at random."""


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


def say_if_unlike(sets: Sequence[EmbeddingSet]) -> None:
    """Logs a warning about each set that may have other faces than the first, or these in another order.

    Which of two faces is more like a third, recognisers mostly agree on. Sets with the first one's keys are not looked
    at, nor fewer than `FEWEST` faces.
    """
    first = sets[0]
    for one in sets[1:]:
        if first.keys is not None and one.keys is not None:
            continue
        rows = np.flatnonzero(first.readable & one.readable)
        generator = np.random.default_rng(0)
        rows = np.sort(generator.permutation(rows)[:MOST])
        if len(rows) < FEWEST:
            continue
        alike, there = (each.embeddings[rows] @ each.embeddings[rows].T for each in (first, one))
        np.fill_diagonal(alike, -2)
        place = np.arange(len(rows))
        stranger = (place + generator.integers(1, len(rows), len(rows))) % len(rows)
        nearer, other = there[place, alike.argmax(axis=1)], there[place, stranger]
        share = float(np.mean(nearer > other) + np.mean(nearer == other) / 2)
        if share < LEAST_SHARE:
            logger.warning(
                "%s: faces that are alike in %s are not alike there (%.0f %% of draws, by chance 50), and without a "
                "keys.txt in both nothing shows their order; is row i the same face in both?",
                one.path, first.path, 100 * share,
            )  # fmt: skip


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
