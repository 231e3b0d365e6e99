"""Infomap on the kNN graph (needs the optional extra ``communities``)."""

from __future__ import annotations

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
class Infomap(SettingsOnly):
    """Infomap (Rosvall and Bergstrom, PNAS 2008): modules in which a random walk is described in the fewest bits.

    Two levels, undirected, edges weighted by their corrected cosine (`CorpusScale`). The library is the authors' (GPL).

    Attributes:
        min_similarity: Edges below it are left out.
        k: Neighbours a face.
        seed: Of the order in which nodes are moved, >= 1.
    """

    name: ClassVar[str] = "infomap"
    search_space: ClassVar[Mapping[str, Range]] = {"min_similarity": (0.1, 0.8), "k": [10, 20, 40]}

    min_similarity: float = 0.5
    k: int = 40
    seed: int = 1

    def __post_init__(self) -> None:
        check_number("min_similarity", self.min_similarity, -1, 1)
        check_whole("k", self.k, 1)
        check_whole("seed", self.seed, 1)

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; a face without an edge is a cluster of its own.

        Raises:
            InputError: The library is not installed.
        """
        try:
            import infomap
        except ImportError:
            raise InputError("infomap is not installed; pip install 'facerec-pseudolabel[communities]'") from None
        rows, edges = ordered_edges(CorpusScale.of(graph).correct(graph.narrowed(self.k)), self.min_similarity)
        places = np.arange(len(rows)) + len(rows)  # apart from all numbers of modules
        if len(edges.i):
            network = infomap.Infomap(two_level=True, seed=self.seed, num_trials=1)
            network.add_links(np.stack([edges.i, edges.j, edges.similarity], axis=1))
            modules = network.run().modules()
            places[list(modules)] = list(modules.values())
        labels = np.full(len(graph), -1)
        labels[rows] = places
        return Clustering.of(labels)
