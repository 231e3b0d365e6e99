"""Clusters of any backend that agree with answers."""

from __future__ import annotations

import numpy as np

from clustering.clusterer import Clusterer
from clustering.graph.constraints import Constraints
from clustering.graph.knn_graph import KnnGraph
from clustering.graph.nodes import Nodes
from clustering.result import Clustering
from facerec.pipeline.files import InputError
from facerec.pipeline.values import check_type


def clusters_of(clusterer: Clusterer, graph: KnnGraph, known: Constraints | None) -> Clustering:
    """Clusters the faces of a graph so that the clusters agree with what is known about the readable faces.

    Raises:
        InputError: An argument has another type; the graph is invalid, see `KnnGraph.check`; the backend needs a model
            and has none; what is known is about another number of faces, or contradicts itself.
    """
    check_type("clusterer", clusterer, Clusterer)
    check_type("graph", graph, KnnGraph)
    return _agreeing(clusterer, graph.check(), known)


def clusters_of_nodes(clusterer: Clusterer, nodes: Nodes) -> Clustering:
    """As `clusters_of`, of nodes, whose graph was checked when it was made or loaded."""
    return _agreeing(clusterer, nodes.graph, nodes.known)


def _agreeing(clusterer: Clusterer, graph: KnnGraph, known: Constraints | None) -> Clustering:
    clusterer.check_model()
    if known is None:
        return clusterer.cluster(graph)
    check_type("known", known, Constraints)
    if known.rows != len(graph):
        raise InputError(f"known: about {known.rows} faces, the graph has {len(graph)}; give what is known about these")
    known = known.checked("known")
    return clusterer.cluster_with(graph, known.among(graph.readable))


def labels_of_faces(clusterer: Clusterer, graph: KnnGraph, known: Constraints) -> np.ndarray:
    """Int64 [n]: the clusters of faces. Copies count once, as in the command ``cluster``."""
    nodes = Nodes.of(graph, clusterer.k, known=known)
    return clusters_of_nodes(clusterer, nodes).labels[nodes.copies.node]
