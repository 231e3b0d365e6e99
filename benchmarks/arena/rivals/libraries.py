"""EVoC and fast_hdbscan, by their libraries (the extra ``arena``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from clustering.backends.communities import optional
from clustering.clusterer import Clusterer
from clustering.graph.knn_graph import KnnGraph
from clustering.result import Clustering
from clustering.settings import Count, Range, Seed, Share


class Library(Clusterer):
    """A clusterer by an optional library that takes embeddings and builds its own graph.

    Attributes:
        module: Name of the library's module.
    """

    module: ClassVar[str]

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the embeddings; of the graph only they are used.

        Raises:
            InputError: The library is not installed.
        """
        library = optional(self.module, "arena")
        labels = np.full(len(graph), -1, dtype=np.int64)
        rows = np.flatnonzero(graph.readable)
        labels[rows] = self.found(library, np.ascontiguousarray(graph.embeddings[rows]))
        return Clustering.of(labels)

    def found(self, library: Any, faces: np.ndarray) -> np.ndarray:
        """Int [n]: the clusters of unit rows float32 [n, d], -1 for noise."""
        raise NotImplementedError


@dataclass(eq=False)
class Evoc(Library):
    """EVoC (Embedding Vector Oriented Clustering), at its own defaults but for the seed.

    Attributes:
        base_min_cluster_size: Fewest faces of a cluster.
        noise_level: From 0 to 1; the higher, the more faces may stay unassigned.
        n_neighbors: Neighbours a face in the library's own graph.
        seed: Seed of all random choices.
    """

    name: ClassVar[str] = "evoc"
    module: ClassVar[str] = "evoc"
    search_space: ClassVar[Mapping[str, Range]] = {
        "noise_level": (0.0, 1.0), "base_min_cluster_size": [2, 3, 5, 10], "n_neighbors": [5, 10, 15, 30],
    }  # fmt: skip

    noise_level: Share = 0.5
    base_min_cluster_size: Count = 5
    n_neighbors: Count = 15
    seed: Seed = 0

    def found(self, library: Any, faces: np.ndarray) -> np.ndarray:
        """See `Library`."""
        return library.EVoC(
            noise_level=self.noise_level, base_min_cluster_size=self.base_min_cluster_size,
            n_neighbors=min(self.n_neighbors, len(faces) - 1), random_state=self.seed,
        ).fit_predict(faces)  # fmt: skip


@dataclass(eq=False)
class FastHdbscan(Library):
    """fast_hdbscan (McInnes and Healy) with Euclidean distance of unit rows, at its own defaults.

    Attributes:
        min_cluster_size: Fewest faces of a cluster.
        min_samples: The core distance is that to this neighbour; 0 for `min_cluster_size`.
    """

    name: ClassVar[str] = "fast_hdbscan"
    module: ClassVar[str] = "fast_hdbscan"
    search_space: ClassVar[Mapping[str, Range]] = {"min_cluster_size": [2, 3, 5, 10], "min_samples": [1, 2, 3, 5]}

    min_cluster_size: Count = 5
    min_samples: Seed = 0

    def found(self, library: Any, faces: np.ndarray) -> np.ndarray:
        """See `Library`."""
        np.random.seed(0)  # noqa: NPY002  (its search for neighbours takes no seed)
        return library.HDBSCAN(
            min_cluster_size=self.min_cluster_size, min_samples=self.min_samples or None
        ).fit_predict(faces)
