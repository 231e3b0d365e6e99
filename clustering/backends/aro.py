"""Approximate rank-order clustering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from clustering.clusterer import Clusterer
from clustering.graph.copies import SAME
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import components
from clustering.result import Clustering
from clustering.settings import Neighbors, Range, Within

BLOCK_CELLS = 1 << 20  # of the table of who is listed; it fits a core's cache
MIN_ROWS = 16


@dataclass(eq=False)
class Aro(Clusterer):
    """Approximate rank-order clustering (Otto, Wang and Jain, TPAMI 2018).

    Two faces have a small rank-order distance if they share their nearest neighbours. A face is joined with each of its
    k neighbours whose distance is at most `max_distance`. Clusters are the connected components.

    Attributes:
        max_distance: Largest distance of two faces that are joined, see `rank_order`.
        k: Neighbours per face.
    """

    name: ClassVar[str] = "aro"
    search_space: ClassVar[Mapping[str, Range]] = {"max_distance": (0.05, 1.2), "k": [5, 10, 20, 40]}

    max_distance: Annotated[float, Within(0)] = 0.5
    k: Neighbors = 40

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph."""
        graph = graph.narrowed(self.k)
        rows, columns = np.nonzero(graph.valid & (rank_order(graph) <= self.max_distance))
        labels = components(len(graph), rows, graph.neighbors[rows, columns])
        return Clustering.of(np.where(graph.readable, labels, -1))


def rank_order(graph: KnnGraph) -> np.ndarray:
    """The rank-order distance of every edge (a, b), float32 [n, k]; infinite for missing neighbours.

    Equation 3, with two terms:

        D(a, b) = (d(a, b) + d(b, a)) / min(O_a(b), O_b(a))

    - O_a(b) is the place of b in a's list of neighbours. a itself has place 0, and a face that is not in it k + 1.
    - d(a, b), equation 4, counts the faces of a's list up to place min(O_a(b), k) that are not in b's list.

    Duplicates have distance 0, because the ranks mean nothing if there are more duplicates than a list can hold.
    """
    n, k = graph.neighbors.shape
    a, column = np.nonzero(graph.valid)
    b, ahead = graph.neighbors[a, column].astype(np.int64), column + 1
    back = places(n, a, b, ahead, default=k + 1)
    lists = np.hstack([np.arange(n)[:, None], np.where(graph.valid, graph.neighbors, n)])
    absent = missing(lists, a, b, ahead) + missing(lists, b, a, np.minimum(back, k))
    distance = np.full((n, k), np.inf, dtype=np.float32)
    distance[a, column] = absent / np.minimum(ahead, back)
    distance[graph.valid & (graph.similarities >= SAME)] = 0
    return distance


def places(n: int, a: np.ndarray, b: np.ndarray, ahead: np.ndarray, default: int) -> np.ndarray:
    """Int64 [e]: the place of a in b's list for edges (a, b) with b in place `ahead` of a's list."""
    keys, wanted = a * n + b, b * n + a
    order = np.argsort(keys)
    position = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
    found = order[position] if len(keys) else order
    return np.where(keys[found] == wanted, ahead[found], default)


def missing(lists: np.ndarray, x: np.ndarray, y: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Int64 [e]: how many faces of x's list, up to place `last`, are not in y's list.

    Args:
        lists: int64 [n, k + 1]; n where there is no face.
        x: int64 [e], rows.
        y: int64 [e], rows.
        last: int64 [e], places from 0.
    """
    n, length = lists.shape
    step = max(BLOCK_CELLS // (n + 1), MIN_ROWS)
    listed = np.zeros((step, n + 1), dtype=bool)
    counts = np.zeros(len(x), dtype=np.int64)
    order = np.argsort(y, kind="stable")
    ends = np.searchsorted(y[order], np.arange(0, n + step, step))
    for start, low, high in zip(range(0, n, step), ends[:-1], ends[1:], strict=True):
        own, edges = lists[start : start + step], order[low:high]
        rows = np.arange(len(own))[:, None]
        listed[rows, own] = True
        listed[:, n] = True
        passed = listed.ravel().take(lists[x[edges]] + ((y[edges] - start) * (n + 1))[:, None])
        passed |= np.arange(length) > last[edges, None]
        counts[edges] = length - np.count_nonzero(passed, axis=1)
        listed[rows, own] = False
    return counts
