"""Which rows of an array are also rows of another one, number by number."""

from __future__ import annotations

import numpy as np

from facerec.pipeline.files import blocks


class EqualRows:
    """Finds rows among those of an array by 64-bit hashes, so that no row is compared with all others.

    Args:
        rows: float32 [n, d].
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
        places = np.minimum(np.searchsorted(self._sorted, hashes), len(self._sorted) - 1)
        found = np.where(self._sorted[places] == hashes, self._order[places], -1)
        likely = np.flatnonzero(found >= 0)
        found[likely[~(self.rows[found[likely]] == rows[likely]).all(axis=1)]] = -1
        return found

    def _hashes(self, rows: np.ndarray) -> np.ndarray:
        numbers = np.ascontiguousarray(rows, np.float32).view(np.uint32).astype(np.uint64)
        return np.asarray((numbers * self._weights).sum(axis=1, dtype=np.uint64))
