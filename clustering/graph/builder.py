"""The input and the folders that all steps of building one graph share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from clustering.graph.blocks_on_disk import Lists, Work, fill
from clustering.graph.exact import gpu_index, search

SAMPLED_ROWS = 3_000


@dataclass(frozen=True)
class GraphBuilder:
    """The faces of a graph that is being built, and where.

    Attributes:
        embeddings: float32 [n, d], unit or zero rows; contiguous, possibly a memory map.
        readable: int64 [m], ascending: the rows that are not zero.
        folder: For ``neighbors.npy`` and ``similarities.npy``.
        steps: Folder for intermediate files and for the marks of finished blocks.
        k: Neighbours a row.
        seed: Seed of all samples and trainings.
    """

    embeddings: np.ndarray
    readable: np.ndarray
    folder: Path
    steps: Path
    k: int
    seed: int = 0

    def __len__(self) -> int:
        return len(self.embeddings)

    @cached_property
    def is_readable(self) -> np.ndarray:
        """Bool [n]: False for zero rows."""
        mask = np.zeros(len(self), dtype=bool)
        mask[self.readable] = True
        return mask

    def fill(self, name: str, prepare: Callable[[], Work], rows: int = 0) -> Lists:
        """The graph's own lists, filled by `blocks_on_disk.fill`, so many rows at a time."""
        return fill(self.folder, self.steps / "finished", len(self), self.k, name, prepare, rows)

    def sample(self, seed: int) -> np.ndarray:
        """Int64: `SAMPLED_ROWS` of the readable rows, ascending; all if there are no more."""
        return np.sort(np.random.default_rng(seed).permutation(self.readable)[:SAMPLED_ROWS])

    def exact(self) -> Lists:
        """Builds the exact graph."""

        def prepare() -> Work:
            index = gpu_index(self.embeddings, self.readable)

            def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                ids = np.full((len(rows), self.k), -1, dtype=np.int32)
                cosines = np.zeros((len(rows), self.k), dtype=np.float32)
                some = self.is_readable[rows]
                ids[some], cosines[some] = search(self.embeddings, rows[some], self.readable, self.k, index)
                return ids, cosines

            return work

        return self.fill("exact", prepare)
