"""Which rows of an array are also rows of another one, up to the rounding of float32."""

from __future__ import annotations

import numpy as np

from facerec.pipeline.files import blocks

CELLS = 100
"""Cells in a unit of a coordinate. Rows are hashed by their cells: rounding moves one row of a thousand to others."""
TOLERANCE, MOST_ALIKE = 1e-6, 50


class EqualRows:
    """Finds rows among those of an array by 64-bit hashes, so that no row is compared with all others.

    Args:
        rows: float32 [n, d], finite.
    """

    def __init__(self, rows: np.ndarray):
        self.rows = rows
        self._weights = np.random.default_rng(0).integers(1 << 62, size=rows.shape[1], dtype=np.uint64) * np.uint64(2)
        self._weights += np.uint64(1)
        hashes = np.concatenate([self._hashes(block) for block in blocks(rows)])
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]

    def find(self, rows: np.ndarray) -> np.ndarray:
        """Int64 [m]: for each row of float32 [m, d] the first row of the array that is equal; -1 if there is none."""
        hashes = self._hashes(rows)
        found, place = np.full(len(rows), -1), np.searchsorted(self._sorted, hashes)
        pending = np.arange(len(rows))
        for _ in range(MOST_ALIKE):  # nearly all are found at once, the others share their cells with several rows
            pending = pending[place[pending] < len(self._sorted)]
            pending = pending[self._sorted[place[pending]] == hashes[pending]]
            likely = self._order[place[pending]]
            equal = (np.abs(self.rows[likely] - rows[pending]) <= TOLERANCE).all(axis=1)
            found[pending[equal]] = likely[equal]
            pending = pending[~equal]
            place[pending] += 1
        return found

    def _hashes(self, rows: np.ndarray) -> np.ndarray:
        cells = np.rint(rows * CELLS).astype(np.int64).astype(np.uint64)
        return np.asarray((cells * self._weights).sum(axis=1, dtype=np.uint64))
