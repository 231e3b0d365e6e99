"""Arrays as users have them: embeddings of any type, length and memory order."""

from __future__ import annotations

from typing import Any

import numpy as np

from facerec.pipeline.embeddings import UNIT_TOLERANCE, normalize
from facerec.pipeline.files import BLOCK_ROWS, InputError, blocks

EXTREME = 1e15
"""Values above it or below its inverse are scaled first: float32 has no room for their squares."""


def unit_rows(X: Any) -> np.ndarray:
    """Embeddings as float32 rows of unit length; zero rows (faces that could not be read) stay zero.

    Float32 rows that are of unit length already are returned as they are, memory maps included.

    Args:
        X: Numbers [n, d]: an array of any numeric type and memory order, or lists.

    Raises:
        InputError: Other shapes or types, no row, or a row with NaN or infinite values.
    """
    X = np.asarray(X)
    if X.ndim != 2 or X.dtype.kind not in "fiu" or not X.size:
        raise InputError(
            f"embeddings are {X.dtype} of shape {list(X.shape)}; they must be numbers of shape [faces, dimension], at "
            "least one of each"
        )
    is_unit = X.dtype == np.float32 and X.flags.c_contiguous
    for number, block in enumerate(blocks(X)):
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
        if len(bad):
            raise InputError(f"embeddings: row {number * BLOCK_ROWS + bad[0]} has NaN or infinite values; recompute it")
        if is_unit:
            squares = np.einsum("nd,nd->n", block, block, dtype=np.float64)
            is_unit = bool(np.all((np.abs(squares - 1) < 2 * UNIT_TOLERANCE) | (squares == 0)))
    return X if is_unit else np.concatenate([_normalised(block) for block in blocks(X)])


def _normalised(rows: np.ndarray) -> np.ndarray:
    largest = np.abs(rows).max(axis=1, keepdims=True).astype(np.float64)
    extreme = (largest > EXTREME) | ((largest < 1 / EXTREME) & (largest > 0))
    return normalize(np.ascontiguousarray(rows / np.where(extreme, largest, 1) if extreme.any() else rows))
