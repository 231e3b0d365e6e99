"""Chinese Whispers as dlib's users run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from clustering.backends.communities import optional
from clustering.clusterer import Clusterer
from clustering.graph.edges import Edges
from clustering.graph.knn_graph import KnnGraph
from clustering.result import Clustering
from clustering.settings import Cosine, Count, Neighbors, Range, Seed

DLIB_DISTANCE = 0.6


def cosine_of_distance(distance: float, length: float) -> float:
    """The cosine of two vectors of one length at a Euclidean distance: 1 - distance^2 / (2 length^2)."""
    return max(1 - distance**2 / (2 * length**2), -1.0)


@dataclass(eq=False)
class ChineseWhispers(Clusterer):
    """Chinese Whispers (Biemann 2006) with dlib's choices: unit weights, random nodes, 100 updates a node.

    dlib joins pairs at a Euclidean distance below .6 of its own embeddings, which are about 1.5 long; see
    `cosine_of_distance`. Here edges come from the lists of `k` neighbours, in either direction.

    Attributes:
        min_similarity: Least cosine of an edge.
        iterations: Updates of each node, on average.
        k: Neighbours a face.
        seed: Seed of the order of the nodes.
    """

    name: ClassVar[str] = "chinese_whispers"
    search_space: ClassVar[Mapping[str, Range]] = {"min_similarity": (0.2, 0.97)}

    min_similarity: Cosine = 0.92
    iterations: Count = 100
    k: Neighbors = 256
    seed: Seed = 0

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph.

        Raises:
            InputError: numba is not installed, without which this takes minutes.
        """
        edges = Edges.of(graph.narrowed(self.k), least=self.min_similarity)
        adjacency = edges.adjacency(len(graph), np.ones(len(edges.i)))
        return Clustering.of(compiled_whispers()(adjacency.indptr, adjacency.indices, self.iterations, self.seed))


def whispers(starts: np.ndarray, others: np.ndarray, iterations: int, seed: int) -> np.ndarray:
    """Int64 [n]: labels after ``n * iterations`` updates of random nodes.

    An updated node takes the label that most of its neighbours and itself have, of equal ones the lowest. A loop over
    nodes, because each update sees the ones before it.

    Args:
        starts: int [n + 1], where each node's neighbours begin.
        others: int [edges], the neighbours.
        iterations: Updates a node, on average.
        seed: Seed of the order of the nodes.
    """
    n = len(starts) - 1
    np.random.seed(seed)  # noqa: NPY002  numba knows no generator of another kind
    labels = np.arange(n)
    counts = np.zeros(n)
    for _ in range(n * iterations):
        node = np.random.randint(0, n)  # noqa: NPY002
        near = others[starts[node] : starts[node + 1]]
        counts[labels[node]] += 1
        for other in near:
            counts[labels[other]] += 1
        best = labels[node]
        for other in near:
            label = labels[other]
            if counts[label] > counts[best] or (counts[label] == counts[best] and label < best):
                best = label
        counts[labels[node]] = 0
        for other in near:
            counts[labels[other]] = 0
        labels[node] = best
    return labels


@cache
def compiled_whispers() -> Callable[..., np.ndarray]:
    """`whispers` in machine code.

    Raises:
        InputError: numba is not installed.
    """
    compiled: Callable[..., np.ndarray] = optional("numba", "arena").njit(whispers)
    compiled(np.zeros(2, np.int32), np.zeros(0, np.int32), 1, 0)
    return compiled
