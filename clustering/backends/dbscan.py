"""DBSCAN on the kNN graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from clustering.clusterer import Clusterer, Clustering
from clustering.graph.knn_graph import DEFAULT_K, KnnGraph
from clustering.partition import components
from clustering.settings import Cosine, Count, Neighbors, Range


@dataclass(eq=False)
class Dbscan(Clusterer):
    """DBSCAN (Ester et al. 1996) with cosine similarity, on the edges of the kNN graph.

    A face is a core point if it and its neighbours at `min_similarity` or above are `min_samples` or more (at most
    all k that are looked at). Core points joined by such an edge, listed at either end, share a cluster; another face
    joins its most similar core neighbour, else it is noise (-1). Exact where no neighbourhood exceeds k.

    Attributes:
        min_similarity: Radius of the neighbourhood, as a cosine (1 - eps).
        min_samples: Faces that make a neighbourhood dense, the core point counted.
        k: Neighbours a face that are looked at.
    """

    name: ClassVar[str] = "dbscan"
    search_space: ClassVar[Mapping[str, Range]] = {"min_similarity": (0.2, 0.9), "min_samples": [1, 2, 3, 4, 5]}

    min_similarity: Cosine = 0.5
    min_samples: Count = 2
    k: Neighbors = DEFAULT_K

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; noise is unassigned."""
        graph = graph.narrowed(self.k)
        near = graph.valid & (graph.similarities >= self.min_similarity)
        rows, columns = np.nonzero(near)
        others = graph.neighbors[rows, columns]
        core = graph.readable & (near.sum(axis=1) + 1 >= min(self.min_samples, graph.k + 1))
        dense = core[rows] & core[others]
        labels = components(len(graph), rows[dense], others[dense])
        labels[~core] = -1
        to_core = near & core[graph.neighbors]
        border = np.flatnonzero(~core & to_core.any(axis=1))
        labels[border] = labels[graph.neighbors[border, to_core[border].argmax(axis=1)]]
        return Clustering.of(labels)
