"""K-means on the sphere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import faiss
import numpy as np
from typing_extensions import Self

from clustering.clusterer import Clusterer, Clustering
from clustering.graph.edges import value_order
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.settings import Count, Seed, Within


@dataclass(eq=False)
class KMeans(Clusterer):
    """Spherical K-means (faiss), the number of clusters from the labelled split's faces per identity.

    The number is ``n / faces_per_cluster``: all that labels of other people can say about it. It is measured by
    `learn`, not searched.

    Attributes:
        faces_per_cluster: Mean faces per cluster, > 0.
        iterations: Of Lloyd's algorithm.
        seed: Of the initial centres.
    """

    name: ClassVar[str] = "kmeans"

    faces_per_cluster: Annotated[float, Within(1)] = 20.0
    iterations: Count = 20
    seed: Seed = 0

    @classmethod
    def _learn(cls, faces: LabelledFaces, seed: int, settings: Mapping[str, Any]) -> Self:
        return super()._learn(faces, seed, {"faces_per_cluster": faces.per_identity, "seed": seed, **settings})

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the embeddings; of the graph only they are used.

        The faces are visited in an order given by their own values, so the order of rows makes no difference.
        """
        labels = np.full(len(graph), -1, dtype=np.int64)
        rows = np.flatnonzero(graph.readable)
        if len(rows):
            faces = np.ascontiguousarray(graph.embeddings[rows])
            order = value_order(faces)
            labels[rows[order]] = self._assign(np.ascontiguousarray(faces[order]))
        return Clustering.of(labels)

    def _assign(self, faces: np.ndarray) -> np.ndarray:
        clusters = min(max(round(len(faces) / self.faces_per_cluster), 1), len(faces))
        kmeans = faiss.Kmeans(
            faces.shape[1], clusters, niter=self.iterations, seed=self.seed, spherical=True,
            min_points_per_centroid=1, max_points_per_centroid=len(faces), gpu=faiss.get_num_gpus() > 0,
        )  # fmt: skip
        kmeans.train(faces)
        return np.asarray(kmeans.index.search(faces, 1)[1][:, 0])
