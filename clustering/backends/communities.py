"""Community detection on the kNN graph by optional libraries (the extra ``communities``)."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

import numpy as np

from clustering.clusterer import Clusterer
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.edges import Edges, ordered_edges
from clustering.graph.knn_graph import KnnGraph
from clustering.result import Clustering
from facerec.pipeline.files import InputError


def optional(library: str, extra: str) -> Any:
    """The module of a library that need not be installed.

    Args:
        library: The module's name.
        extra: The extra of this package that brings it.

    Raises:
        InputError: It is not installed.
    """
    try:
        return importlib.import_module(library)
    except ImportError:
        raise InputError(f"{library} is not installed; pip install 'facerec-pseudolabel[{extra}]'") from None


class Communities(Clusterer):
    """Base class of Infomap and Leiden, whose library may be missing.

    Attributes:
        library: Name of the library's module.
        min_similarity: Edges below it are left out.
    """

    library: ClassVar[str]
    min_similarity: float

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; a face without an edge is a cluster of its own.

        Raises:
            InputError: The library is not installed.
        """
        library = optional(self.library, "communities")
        rows, edges = ordered_edges(CorpusScale.of(graph).correct(graph.narrowed(self.k)), self.min_similarity)
        labels = np.full(len(graph), -1)
        labels[rows] = self.communities(library, len(rows), edges)
        return Clustering.of(labels)

    def communities(self, library: Any, nodes: int, edges: Edges) -> Any:
        """The community of each node, numbered in any way from 0 on.

        Args:
            library: The imported module.
            nodes: Number of nodes.
            edges: The edges between them, weighted by their similarity.
        """
        raise NotImplementedError
