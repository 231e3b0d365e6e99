"""Connected components of the kNN graph at a threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from clustering.clusterer import Clusterer
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.edges import Edges
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import components, consecutive
from clustering.result import Clustering
from clustering.settings import Cosine, Neighbors, Range
from clustering.similarity.mixtures import unmixed


@dataclass(eq=False)
class Components(Clusterer):
    """Connected components of the kNN graph, with only the edges at `min_similarity` or above.

    Attributes:
        min_similarity: Smallest corrected cosine of an edge, see `CorpusScale`.
        mutual: Whether both faces must have each other among their neighbours for an edge to count. This leaves out
            most of the edges between two people.
        k: Neighbours per face.
        adaptive: Whether to raise `min_similarity` while the largest clusters look like mixtures of people, see
            `unmixed`. Use it for data on which the backend was not tuned.
    """

    name: ClassVar[str] = "components"
    untuned: ClassVar[Mapping[str, Any]] = {"adaptive": True}
    search_space: ClassVar[Mapping[str, Range]] = {
        "min_similarity": (0.2, 0.9), "mutual": [True, False], "k": [10, 20, 40],
    }  # fmt: skip

    min_similarity: Cosine = 0.6
    mutual: bool = True
    k: Neighbors = 40
    adaptive: bool = False

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; a face without an edge is a cluster of its own."""
        graph = graph.narrowed(self.k)
        corrected = CorpusScale.of(graph).correct(graph)
        least, labels = unmixed(graph, lambda least: self._labels(corrected, least), self.min_similarity, self.adaptive)
        return Clustering.of(labels, notes={"min_similarity": least} if self.adaptive else None)

    def _labels(self, graph: KnnGraph, least: float) -> np.ndarray:
        edges = Edges.of(graph, least=least)
        if self.mutual:
            edges = edges.where(edges.mutual | tied(graph, edges))
        return consecutive(np.where(graph.readable, components(len(graph), edges.i, edges.j), -1))


def tied(graph: KnnGraph, edges: Edges) -> np.ndarray:
    """Bool [e]: edges at least as similar as the last neighbour of both ends: lists may be too short for duplicates."""
    last = np.where(graph.valid[:, -1], graph.similarities[:, -1], np.inf)
    return edges.similarity >= np.maximum(last[edges.i], last[edges.j])
