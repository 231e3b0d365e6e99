"""Edges to denser neighbours: from each node at most one, so that they form trees."""

from __future__ import annotations

import numpy as np

from clustering.graph.knn_graph import KnnGraph


def decode(graph: KnnGraph, linkage: np.ndarray, density: np.ndarray, p_tau: float) -> np.ndarray:
    """Each node keeps the edge to its likeliest denser neighbour, if r_ij is `p_tau` or more.

    Equations (5)-(6) of Hi-LANDER. GCN-V does the same with its confidence for the density, and cosines for r_ij.

    A node that keeps no edge is a peak. Of equally dense nodes the one of lower index counts as denser, so that edges
    never form a cycle. Of equally likely neighbours the more similar one is taken.

    Args:
        graph: Of n nodes with k neighbours.
        linkage: r_ij, float32 [n, k].
        density: float32 [n].
        p_tau: Least r_ij of an edge that is kept.

    Returns:
        int64 [n]: the neighbour that each node's edge leads to, the node itself for peaks.
    """
    nodes = np.arange(len(density))
    candidates = denser(graph, density) & (linkage >= p_tau)
    best = np.where(candidates, linkage, -np.inf).argmax(axis=1)
    return np.where(candidates.any(axis=1), graph.neighbors[nodes, best], nodes).astype(np.int64)


def denser(graph: KnnGraph, density: np.ndarray) -> np.ndarray:
    """Bool [n, k]: whether each neighbour exists and is denser than the node, or as dense and of lower index."""
    there, here = density[graph.neighbors], density[:, None]
    lower = graph.neighbors < np.arange(len(density))[:, None]
    return graph.valid & ((there > here) | ((there == here) & lower))
