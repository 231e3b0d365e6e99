"""Connected components of the kNN graph at a threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from clustering.clusterer import Clusterer, Clustering
from clustering.graph.edges import Edges
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import components
from clustering.settings import Cosine, Neighbors, Range


@dataclass(eq=False)
class Components(Clusterer):
    """Faces joined by edges at `min_similarity` or above share a cluster.

    Attributes:
        min_similarity: Least cosine of an edge.
        mutual: Only edges between faces that list each other. A face is listed by few others than its like, so this
            takes out most of the edges that join two people.
        k: Neighbours a face.
    """

    name: ClassVar[str] = "components"
    search_space: ClassVar[Mapping[str, Range]] = {
        "min_similarity": (0.2, 0.9), "mutual": [True, False], "k": [10, 20, 40],
    }  # fmt: skip

    min_similarity: Cosine = 0.6
    mutual: bool = True
    k: Neighbors = 40

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; a face without an edge is a cluster of its own."""
        graph = graph.narrowed(self.k)
        edges = Edges.of(graph, least=self.min_similarity)
        if self.mutual:
            edges = edges.where(edges.mutual | tied(graph, edges))
        return Clustering.of(np.where(graph.readable, components(len(graph), edges.i, edges.j), -1))


def tied(graph: KnnGraph, edges: Edges) -> np.ndarray:
    """Bool [e]: edges as similar as the last neighbour of either end; duplicates may be too many to be listed."""
    last = np.where(graph.valid[:, -1], graph.similarities[:, -1], np.inf)
    return edges.similarity >= np.maximum(last[edges.i], last[edges.j])
