"""K-means with k-means++ starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import faiss
import numpy as np
from sklearn.cluster import kmeans_plusplus
from typing_extensions import Self

from clustering.clusterer import Clusterer
from clustering.graph.edges import value_order
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.result import Clustering
from clustering.settings import Count, Seed, Within
from facerec.pipeline.values import INT_SEEDS

CELL = 16_384
"""Most faces, on average, among which initial centres are drawn. All cells together take less than an iteration."""


@dataclass(eq=False)
class KMeans(Clusterer):
    """K-means (faiss) from k-means++ starts.

    The number of clusters is ``n / faces_per_cluster``. `learn` measures `faces_per_cluster` as the faces per identity
    of labelled people, because labels of other people say nothing more about the number of clusters. Centres are plain
    means, not normalised, so the sum of squared distances is minimised.

    Attributes:
        faces_per_cluster: Mean faces per cluster, >= 1.
        iterations: Iterations of Lloyd's algorithm.
        starts: Number of runs with different initial centres. The run with the smallest sum of squared distances
            counts. Every run takes the same time.
        seed: Seed of the initial centres.
    """

    name: ClassVar[str] = "kmeans"

    faces_per_cluster: Annotated[float, Within(1)] = 20.0
    iterations: Count = 20
    starts: Count = 3
    seed: Seed = 0

    @classmethod
    def _learn(cls, faces: LabelledFaces, seed: int, settings: Mapping[str, Any]) -> Self:
        return super()._learn(faces, seed, {"faces_per_cluster": faces.per_identity, "seed": seed, **settings})

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the embeddings. The neighbours in the graph are not used.

        The faces are sorted by their own values first, so the order of rows makes no difference.
        """
        labels = np.full(len(graph), -1, dtype=np.int64)
        rows = np.flatnonzero(graph.readable)
        if len(rows):
            faces = np.ascontiguousarray(graph.embeddings[rows])
            order = value_order(faces)
            faces = np.ascontiguousarray(faces[order])
            runs = (self._run(faces, (self.seed + start) % INT_SEEDS) for start in range(self.starts))
            labels[rows[order]] = min(runs, key=lambda run: run[0])[1]
        return Clustering.of(labels)

    def _run(self, faces: np.ndarray, seed: int) -> tuple[float, np.ndarray]:
        """The sum of squared distances to the nearest centres, and the centre of each face, int64 [n]."""
        clusters = min(max(round(len(faces) / self.faces_per_cluster), 1), len(faces))
        kmeans = faiss.Kmeans(
            faces.shape[1], clusters, niter=self.iterations, seed=seed, min_points_per_centroid=1,
            max_points_per_centroid=len(faces), gpu=faiss.get_num_gpus() > 0,
        )  # fmt: skip
        kmeans.train(faces, init_centroids=initial_centres(faces, clusters, seed))
        squares, centres = kmeans.index.search(faces, 1)
        return float(squares.sum(dtype=np.float64)), np.asarray(centres[:, 0])


def initial_centres(faces: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Initial centres by greedy k-means++ (Arthur and Vassilvitskii 2007), as in scikit-learn.

    k-means++ computes clusters * n distances several times. To save time, more than `CELL` faces are first divided into
    cells by a coarse K-means, and each cell gets initial centres in proportion to its faces.

    Args:
        faces: float32 [n, d].
        clusters: At most n.
        seed: Seed of the coarse K-means and of k-means++.

    Returns:
        float32 [clusters, d].
    """
    if len(faces) <= CELL:
        return np.asarray(kmeans_plusplus(faces, clusters, random_state=seed)[0])
    coarse = faiss.Kmeans(faces.shape[1], -(-len(faces) // CELL), seed=seed, gpu=faiss.get_num_gpus() > 0)
    coarse.train(faces)
    cells = np.asarray(coarse.index.search(faces, 1)[1][:, 0])
    sizes = np.bincount(cells, minlength=coarse.k)
    members = np.split(np.argsort(cells, kind="stable"), np.cumsum(sizes)[:-1])
    wanted = in_proportion(clusters, sizes)
    return np.concatenate([
        kmeans_plusplus(faces[rows], count, random_state=seed)[0]
        for rows, count in zip(members, wanted.tolist(), strict=True) if count
    ])  # fmt: skip


def in_proportion(total: int, sizes: np.ndarray) -> np.ndarray:
    """Int64 [c]: a total divided in proportion to sizes. What is left over goes to the largest remainders.

    Example:
        >>> in_proportion(5, np.array([10, 10, 30]))
        array([1, 1, 3])
    """
    exact = total * sizes / sizes.sum()
    found = np.floor(exact).astype(np.int64)
    found[np.argsort(found - exact, kind="stable")[: total - found.sum()]] += 1
    return found
