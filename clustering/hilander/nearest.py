"""A level's nearest neighbours, exact, from those of the level below where most nodes have stayed as they were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.knn import KnnGraph, search
from facerec.artifacts import readable_rows

WIDER = 2


@dataclass(frozen=True)
class Nearest:
    """More neighbours a node than a level needs, so that the next level can lose some of them.

    Attributes:
        graph: Of n nodes; -1 pads what is not known or not there.
        bound: float32 [n]: every node that is not in the list has at most this cosine; below -1 if there is none.
    """

    graph: KnnGraph
    bound: np.ndarray

    @classmethod
    def build(cls, features: np.ndarray, k: int) -> Nearest:
        """By search among all: `WIDER` times `k` neighbours a node."""
        return cls._of(KnnGraph.build(features, WIDER * k))

    @classmethod
    def _of(cls, graph: KnnGraph) -> Nearest:
        return cls(graph, np.where(graph.valid[:, -1], graph.similarities[:, -1], -2).astype(np.float32))

    def updated(self, features: np.ndarray, origin: np.ndarray, k: int) -> Nearest:
        """The same for other nodes, most of which are the same: lists lose those that are gone and gain the new ones.

        New nodes, and those that are left with fewer than `k` certain neighbours, search among all.

        Args:
            features: float32 [m, d], unit or zero rows.
            origin: int64 [m]: the node that each one was before, ascending, or -1 for new ones.
            k: Neighbours that a node needs.
        """
        readable = readable_rows(features)
        kept, new = np.flatnonzero((origin >= 0) & readable), np.flatnonzero((origin < 0) & readable)
        if len(kept) < len(features) // 2:
            return self.build(features, k)
        number = np.full(len(self.bound) + 1, -1, dtype=np.int32)  # its last entry is for missing neighbours, -1
        number[origin[kept]] = kept
        ids = number[self.graph.neighbors[origin[kept]]]
        cosines, bound = self.graph.similarities[origin[kept]], self.bound[origin[kept]]
        found, near = search(features, kept, new, WIDER * k)
        ids, cosines = _best(np.hstack([ids, found]), np.hstack([cosines, near]), bound, WIDER * k)
        graph = _empty(features, WIDER * k)
        graph.neighbors[kept], graph.similarities[kept] = ids, cosines
        needed = min(k, len(features) - 1)
        short = kept[(bound >= -1) & (ids[:, needed - 1] < 0)] if needed else kept[:0]
        again = np.sort(np.concatenate([new, short]))
        everyone = np.flatnonzero(readable)
        graph.neighbors[again], graph.similarities[again] = search(features, again, everyone, WIDER * k)
        own = self._of(graph).bound
        limits = own.copy()
        limits[kept] = np.maximum(own[kept], bound)
        limits[again] = own[again]
        return Nearest(graph, limits)


def _empty(features: np.ndarray, k: int) -> KnnGraph:
    neighbors = np.full((len(features), k), -1, dtype=np.int32)
    return KnnGraph(features, neighbors, np.zeros((len(features), k), dtype=np.float32))


def _best(ids: np.ndarray, cosines: np.ndarray, bound: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` most similar of the candidates above each row's bound, in order; -1 and 0 where there are no more."""
    certain = (ids >= 0) & (cosines > bound[:, None])
    keys = np.where(certain, -cosines, np.inf)
    order = np.lexsort((ids, keys), axis=1)[:, :k]
    certain = np.take_along_axis(certain, order, axis=1)
    ids, cosines = np.take_along_axis(ids, order, axis=1), np.take_along_axis(cosines, order, axis=1)
    return np.where(certain, ids, -1), np.where(certain, cosines, 0)
