"""The DBSCAN of photograph managers, at their defaults, by scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.cluster import DBSCAN

from clustering.clusterer import Clusterer
from clustering.graph.knn_graph import KnnGraph
from clustering.result import Clustering
from clustering.settings import Count, PositiveFloat, Range


@dataclass(eq=False)
class Album(Clusterer):
    """DBSCAN with cosine distance 1 - a on all pairs, not on a graph. Noise stays unassigned.

    The defaults are those of insightface's album clustering. Photograph managers have .5 and 3.

    Attributes:
        eps: Radius of a neighbourhood, as a cosine distance.
        min_samples: Faces that make a neighbourhood dense, the face itself counted.
    """

    name: ClassVar[str] = "album"
    search_space: ClassVar[Mapping[str, Range]] = {"eps": (0.1, 0.8), "min_samples": [1, 2, 3, 4, 5]}

    eps: PositiveFloat = 0.28
    min_samples: Count = 2

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the embeddings; of the graph only they are used."""
        labels = np.full(len(graph), -1, dtype=np.int64)
        rows = np.flatnonzero(graph.readable)
        found = DBSCAN(eps=self.eps, min_samples=self.min_samples, metric="cosine").fit(graph.embeddings[rows])
        labels[rows] = found.labels_
        return Clustering.of(labels)
