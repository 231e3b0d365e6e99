"""H-DBSCAN on the kNN graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import minimum_spanning_tree
from sklearn.cluster import HDBSCAN

from clustering.clusterer import Clusterer
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.edges import Edges, reordered, value_order
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import components, consecutive
from clustering.result import Clustering
from clustering.settings import Count, Neighbors, Range, Within
from clustering.similarity.mixtures import unmixed

NO_EDGE, BEYOND = 2.0, 1.001
"""Mark of the edges that join components, and their length as a multiple of the longest other edge."""
CLOSEST = 1e-6
"""Least distance, so that edges between duplicates are not taken for missing ones."""


@dataclass(eq=False)
class Hdbscan(Clusterer):
    """H-DBSCAN (Campello et al. 2013) with cosine distance, on the edges of the kNN graph.

    The spanning tree of the mutual reachability distances is taken from the kNN graph, which has n k edges instead of
    n^2. If the graph has several components, they are joined at a distance just beyond its greatest distance. If this
    distance were much larger, a few faces without an edge to the others would make all others one cluster.
    scikit-learn does the rest.

    Attributes:
        min_samples: The core distance of a face is the distance to its ``min_samples``-th face, counting itself.
        min_cluster_size: Smaller branches are noise.
        max_distance: Smaller distances (1 - corrected cosine, see `CorpusScale`) count as this one, so no cluster is
            split below it. This includes a single cluster, unlike scikit-learn's ``cluster_selection_epsilon``.
        k: Neighbours per face.
        adaptive: Whether to lower `max_distance` while the largest clusters look like mixtures of people, see
            `unmixed`. Use it for data on which the backend was not tuned.
    """

    name: ClassVar[str] = "hdbscan"
    untuned: ClassVar[Mapping[str, Any]] = {"adaptive": True}
    search_space: ClassVar[Mapping[str, Range]] = {
        "max_distance": (0.1, 0.7), "min_samples": [1, 2, 3, 4, 5],
    }  # fmt: skip

    min_samples: Count = 2
    min_cluster_size: Annotated[int, Within(2)] = 2
    max_distance: Annotated[float, Within(0, 2)] = 0.4
    k: Neighbors = 20
    adaptive: bool = False

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph. Noise is unassigned. The confidence is scikit-learn's probability."""
        graph = graph.narrowed(self.k)
        rows = np.flatnonzero(graph.readable)
        if len(rows) < self.min_cluster_size:
            return Clustering.of(np.full(len(graph), -1))
        rows = rows[value_order(graph.embeddings[rows])]
        scaled = CorpusScale.of(graph).correct(graph)
        tree = reachability_tree(reordered(scaled, rows), self.min_samples)
        confidence, first = np.zeros(len(graph)), 1 - self.max_distance

        def labels_at(least: float) -> np.ndarray:
            labels = np.full(len(graph), -1)
            labels[rows], confidence[rows] = self._cut(tree, self.max_distance if least == first else 1 - least)
            return consecutive(labels)

        least, labels = unmixed(graph, labels_at, first, self.adaptive)
        notes = {"max_distance": self.max_distance if least == first else round(1 - least, 3)}
        return Clustering.of(labels, confidence, notes=notes if self.adaptive else None)

    def _cut(self, tree: csr_matrix, distance: float) -> tuple[np.ndarray, np.ndarray]:
        """Labels int64 [n] and confidence float64 [n] of the faces of a spanning tree."""
        n = tree.shape[0]
        if tree.data.max() <= distance:
            return np.zeros(n, np.int64), np.ones(n)
        apart, data = tree.data == NO_EDGE, np.maximum(tree.data, distance)
        data[apart] = BEYOND * data[~apart].max(initial=max(distance, CLOSEST))
        tree = csr_matrix((data, tree.indices, tree.indptr), tree.shape)
        found = HDBSCAN(
            min_cluster_size=self.min_cluster_size, min_samples=1, metric="precomputed", copy=True,
        ).fit(tree + tree.T)  # fmt: skip
        return found.labels_, found.probabilities_


def reachability_tree(graph: KnnGraph, min_samples: int) -> csr_matrix:
    """Minimum spanning tree of mutual reachability, ``max(core_i, core_j, 1 - a_ij)``: sparse [n, n], n - 1 entries.

    The core distance of a face is that of its ``min_samples - 1``-th neighbour, or of its last one if it has fewer.
    """
    distance = np.maximum(1 - graph.similarities.astype(np.float64), CLOSEST)
    there = np.clip(graph.valid.sum(axis=1), None, min_samples - 1) - 1
    core = np.where(there < 0, 0, distance[np.arange(len(graph)), there])
    edges = Edges.of(graph)
    own = np.maximum(1 - edges.similarity.astype(np.float64), CLOSEST)
    reach = np.maximum(own, np.maximum(core[edges.i], core[edges.j]))
    heads = np.unique(components(len(graph), edges.i, edges.j), return_index=True)[1]
    i, j = np.append(edges.i, heads[:-1]), np.append(edges.j, heads[1:])
    weights = np.append(reach, np.full(len(heads) - 1, NO_EDGE))
    return minimum_spanning_tree(csr_matrix((weights, (i, j)), (len(graph), len(graph))))
