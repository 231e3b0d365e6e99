"""Leiden on the kNN graph (needs the optional extra ``communities``)."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from clustering.clusterer import Clustering, SettingsOnly
from clustering.graph.edges import ordered_edges
from clustering.graph.knn_graph import KnnGraph
from clustering.settings import Range, check_number, check_whole
from clustering.similarity.corpus_scale import CorpusScale
from facerec.pipeline.files import InputError


@dataclass(frozen=True)
class Leiden(SettingsOnly):
    """Leiden (Traag, Waltman and van Eck 2019) for the constant Potts model, edges weighted by their corrected cosine,
    see `CorpusScale`.

    It maximises ``sum_c (links(c, c) - resolution * n_c (n_c - 1) / 2)``: a cluster is worth its edges above a
    density, whatever the size of the corpus. (Modularity merges small clusters in large graphs: its resolution
    limit.) The library is igraph (GPL).

    Attributes:
        resolution: The density, as similarity per pair of faces.
        min_similarity: Edges below it are left out.
        k: Neighbours a face.
        seed: Of the order in which nodes are moved.
    """

    name: ClassVar[str] = "leiden"
    search_space: ClassVar[Mapping[str, Range]] = {
        "resolution": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3], "min_similarity": (0.2, 0.7), "k": [20, 40],
    }  # fmt: skip

    resolution: float = 0.03
    min_similarity: float = 0.5
    k: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        check_number("resolution", self.resolution, 0)
        check_number("min_similarity", self.min_similarity, -1, 1)
        check_whole("k", self.k, 1)
        check_whole("seed", self.seed, 0)

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; a face without an edge is a cluster of its own.

        Raises:
            InputError: The library is not installed.
        """
        try:
            import igraph
        except ImportError:
            raise InputError("igraph is not installed; pip install 'facerec-pseudolabel[communities]'") from None
        rows, edges = ordered_edges(CorpusScale.of(graph).correct(graph.narrowed(self.k)), self.min_similarity)
        network = igraph.Graph(len(rows), np.stack([edges.i, edges.j], axis=1))
        igraph.set_random_number_generator(random.Random(self.seed))
        try:
            found = network.community_leiden(
                "CPM", weights=edges.similarity.tolist(), resolution=float(self.resolution), n_iterations=-1
            )
        finally:
            igraph.set_random_number_generator(random)
        labels = np.full(len(graph), -1)
        labels[rows] = found.membership
        return Clustering.of(labels)
