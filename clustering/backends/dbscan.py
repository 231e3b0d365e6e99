"""DBSCAN on the kNN graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from clustering.clusterer import Clusterer
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.knn_graph import DEFAULT_K, KnnGraph
from clustering.partition import components, consecutive
from clustering.result import Clustering
from clustering.settings import Cosine, Count, Neighbors, Range
from clustering.similarity.mixtures import unmixed


@dataclass(eq=False)
class Dbscan(Clusterer):
    """DBSCAN (Ester et al. 1996) with cosine similarity, on the edges of the kNN graph.

    A *near* neighbour of a face is one at `min_similarity` or above. A face is a core point if it and its near
    neighbours are at least `min_samples` faces. If a list cannot hold so many, it is one if all its k neighbours are
    near. Two core points share a cluster if one is a near neighbour of the other. Every other face joins its most
    similar near core point. A face without a near core point is noise (-1).

    The result is that of exact DBSCAN if no neighbourhood has more than k faces. A smaller k leaves out edges between
    the densest faces, and with these most of the edges that chain two people together. On LFW and celeba299 a small k
    is better, so `tune` searches k, too.

    Attributes:
        min_similarity: Radius of the neighbourhood, as a corrected cosine (1 - eps), see `CorpusScale`.
        min_samples: Smallest number of faces in a dense neighbourhood, including the core point.
        k: Neighbours per face.
        adaptive: Whether to raise `min_similarity` while the largest clusters look like mixtures of people, see
            `unmixed`. Use it for data on which the backend was not tuned.
    """

    name: ClassVar[str] = "dbscan"
    untuned: ClassVar[Mapping[str, Any]] = {"adaptive": True}
    search_space: ClassVar[Mapping[str, Range]] = {
        "min_similarity": (0.2, 0.9), "min_samples": [1, 2, 3, 4, 5], "k": [5, 10, 20, 40],
    }  # fmt: skip

    min_similarity: Cosine = 0.5
    min_samples: Count = 2
    k: Neighbors = DEFAULT_K
    adaptive: bool = False

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; noise is unassigned."""
        graph = graph.narrowed(self.k)
        corrected = CorpusScale.of(graph).correct(graph)
        least, labels = unmixed(graph, lambda least: self._labels(corrected, least), self.min_similarity, self.adaptive)
        return Clustering.of(labels, notes={"min_similarity": least} if self.adaptive else None)

    def _labels(self, graph: KnnGraph, least: float) -> np.ndarray:
        near = graph.valid & (graph.similarities >= least)
        rows, columns = np.nonzero(near)
        others = graph.neighbors[rows, columns]
        all_listed = graph.k >= np.count_nonzero(graph.readable) - 1
        enough = self.min_samples if all_listed else min(self.min_samples, graph.k + 1)
        core = graph.readable & (near.sum(axis=1) + 1 >= enough)
        dense = core[rows] & core[others]
        labels = components(len(graph), rows[dense], others[dense])
        labels[~core] = -1
        to_core = near & core[graph.neighbors]
        border = np.flatnonzero(~core & to_core.any(axis=1))
        labels[border] = labels[graph.neighbors[border, to_core[border].argmax(axis=1)]]
        return consecutive(labels)
