"""Clusters of any backend that agree with answers."""

from __future__ import annotations

import numpy as np

from clustering.answers.constraints import Constraints
from clustering.answers.forest import kept_edges
from clustering.backends.hilander.hilander import HiLander
from clustering.clusterer import Clusterer
from clustering.graph.knn_graph import KnnGraph
from clustering.graph.nodes import Nodes
from clustering.partition import components, consecutive
from clustering.result import Clustering
from facerec.pipeline.values import check_type


def clusters_of(clusterer: Clusterer, graph: KnnGraph, known: Constraints | None) -> Clustering:
    """Clusters the faces of a graph so that the clusters agree with what is known about the readable faces.

    Raises:
        InputError: An argument has another type.
    """
    check_type("clusterer", clusterer, Clusterer)
    check_type("graph", graph, KnnGraph)
    if known is None:
        return clusterer.cluster(graph)
    check_type("known", known, Constraints)
    known = known.among(graph.readable)
    if isinstance(clusterer, HiLander):
        return clusterer.cluster(graph, known)
    found = clusterer.cluster(graph)
    confidence = np.where(found.labels < 0, 1, found.confidence)  # of those whom an answer puts into a cluster
    return Clustering.of(corrected(graph, found.labels, known), confidence, (), found.notes, found.warning)


def labels_of_faces(clusterer: Clusterer, graph: KnnGraph, known: Constraints) -> np.ndarray:
    """Int64 [n]: the clusters of faces. Copies count once, as in the command ``cluster``."""
    nodes = Nodes.of(graph, clusterer.k, known=known)
    return clusters_of(clusterer, nodes.graph, nodes.known).labels[nodes.copies.node]


def corrected(graph: KnnGraph, labels: np.ndarray, known: Constraints) -> np.ndarray:
    """Labels that agree with answers, for a backend that cannot use them itself.

    Clusters of faces that must be together are merged. Some clusters then have two faces that must be apart. There the
    weakest edge of the graph on the way from one face to the other is cut.

    Args:
        graph: Of n faces.
        labels: int64 [n]; -1 for unassigned, which stay so unless they must be with another one.
        known: Without contradictions.

    Returns:
        int64 [n], consecutive from 0.
    """
    found = np.array(labels, np.int64)
    alone = known.linked[found[known.linked] < 0]
    found[alone] = found.max(initial=-1) + 1 + np.arange(len(alone))
    groups = components(int(found.max(initial=-1)) + 2, *found[known.together].T)
    merged = np.where(found < 0, -1, groups[found])
    torn = np.isin(merged, merged[known.violated(merged)])
    rows = np.flatnonzero(torn)
    if not len(rows):
        return consecutive(merged)
    near = graph.neighbors[rows]
    inside = (near >= 0) & (found[near] == found[rows, None])
    _, first, own = np.unique(found[rows], return_index=True, return_inverse=True)
    hubs = rows[first][own]  # joined to all others by the weakest edges, as neighbours alone may not connect a cluster
    sources = np.concatenate([np.repeat(rows, inside.sum(axis=1)), rows[rows != hubs]])
    targets = np.concatenate([near[inside], hubs[rows != hubs]]).astype(np.int64)
    weakest = np.full(np.count_nonzero(rows != hubs), -1.0)
    strength = np.concatenate([np.clip(graph.similarities[rows][inside], -1, 1), weakest])
    parts = components(known.rows, *kept_edges(sources, targets, strength, known.among(torn)))
    return consecutive(np.where(torn, merged.max() + 1 + parts, merged))
