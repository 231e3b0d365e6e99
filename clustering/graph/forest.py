"""Forests and labels that agree with answers: a must-link is a certain edge, a cannot-link cuts the weakest edge."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from clustering.graph.constraints import Constraints
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import components, consecutive

CERTAIN = 1e-9
"""Cost of a must-link. An edge of strength s costs 2 - s, so the cheapest spanning tree has the strongest edges."""


def constrained_parents(parents: np.ndarray, strength: np.ndarray, rank: np.ndarray, known: Constraints) -> np.ndarray:
    """Changes a forest so that it agrees with answers.

    If two nodes must be together, their trees become one. If two nodes of a tree must be apart, the weakest edge on the
    way between them is cut. Trees that no answer is about stay as they are.

    Args:
        parents: int64 [n], the parent of each node; a peak is its own.
        strength: float32 [n] in [0, 1], of the edge to the parent.
        rank: float [n]. The node of the highest rank is the peak of a new tree; of equal ones the first.
        known: About the n nodes, without contradictions.

    Returns:
        int64 [n], the new parents.
    """
    nodes = np.arange(len(parents))
    edges = np.flatnonzero(parents != nodes)
    before = components(len(nodes), edges, parents[edges])
    named = np.isin(before, before[known.pairs])
    edges = edges[named[edges]]
    one, other = kept_edges(edges, parents[edges], strength[edges], known)
    after = components(len(nodes), one, other)
    order = np.lexsort((nodes, -rank))
    peaks = order[np.unique(after[order], return_index=True)[1]]
    found = _parents(len(nodes), one, other, peaks[named[peaks]])[:-1].astype(np.int64)
    found = np.where(found == len(nodes), nodes, found)
    return np.where(named, found, parents)


def kept_edges(
    sources: np.ndarray, targets: np.ndarray, strength: np.ndarray, known: Constraints
) -> tuple[np.ndarray, np.ndarray]:
    """The strongest edges that join what these edges and the must-links join, less those that cannot-links cut.

    Args:
        sources: int64 [e], one end of each edge.
        targets: int64 [e], the other end.
        strength: float [e], from -1 to 1.
        known: About all nodes, without contradictions.

    Returns:
        int64 [f] and int64 [f]: both ends of each edge. They are a forest.
    """
    cost = np.concatenate([2 - np.asarray(strength, np.float64), np.full(len(known.together), CERTAIN)])
    ends = np.sort(np.concatenate([np.stack([sources, targets], axis=1), known.together]), axis=1)
    tree = minimum_spanning_tree(_cheapest(known.rows, ends, cost)).tocoo()
    one, other, price = tree.row.astype(np.int64), tree.col.astype(np.int64), tree.data
    a, b = known.apart.T
    while True:
        parts = components(known.rows, one, other)
        torn = known.apart[parts[a] == parts[b]]
        if not len(torn):
            return one, other
        cut = _weakest_between(known.rows, one, other, price, torn)
        one, other, price = np.delete(one, cut), np.delete(other, cut), np.delete(price, cut)


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


def _cheapest(nodes: int, ends: np.ndarray, cost: np.ndarray) -> csr_matrix:
    """The edges as a matrix [nodes, nodes]. Of several edges between two nodes it has the cheapest."""
    order = np.lexsort((cost, ends[:, 1], ends[:, 0]))
    ends, cost = ends[order], cost[order]
    first = np.append(True, np.any(ends[1:] != ends[:-1], axis=1))[: len(ends)]
    return csr_matrix((cost[first], tuple(ends[first].T)), (nodes, nodes))


def _weakest_between(
    nodes: int, one: np.ndarray, other: np.ndarray, price: np.ndarray, pairs: np.ndarray
) -> np.ndarray:
    """Int64: for each pair of nodes of one tree the dearest (weakest) edge on the way between them.

    Args:
        nodes: Number of nodes.
        one: int64 [f], one end of each edge of a forest.
        other: int64 [f], the other end.
        price: float64 [f], the cost of each edge.
        pairs: int64 [p, 2], two nodes of one tree each.
    """
    parts = components(nodes, one, other)
    roots = np.unique(parts[pairs[:, 0]], return_index=True)[1]
    parents = _parents(nodes, one, other, pairs[roots, 0])
    depth = _depths(parents)
    edge = np.full(nodes + 1, -1)
    up = parents[one] == other
    edge[np.where(up, one, other)] = np.arange(len(one))
    left, right = pairs.T.copy()
    weakest, value = np.full(len(pairs), -1), np.full(len(pairs), -np.inf)
    going = np.flatnonzero(left != right)
    while len(going):
        swap = depth[left[going]] < depth[right[going]]
        left[going[swap]], right[going[swap]] = right[going[swap]], left[going[swap]]
        here = edge[left[going]]
        dearer = price[here] > value[going]
        weakest[going[dearer]], value[going[dearer]] = here[dearer], price[here[dearer]]
        left[going] = parents[left[going]]
        going = going[left[going] != right[going]]
    return np.unique(weakest)


def _parents(nodes: int, one: np.ndarray, other: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Int32 [nodes + 1]: the parent of each node in the trees with these roots.

    The parent of each root is one more node, `nodes`, so that one walk goes through all trees. Nodes of other trees
    have no parent (< 0).

    Args:
        nodes: Number of nodes.
        one: int64 [f], one end of each edge of a forest.
        other: int64 [f], the other end.
        roots: int64, a node of each tree to walk through.
    """
    sources, targets = np.append(one, np.full(len(roots), nodes)), np.append(other, roots)
    tree = csr_matrix((np.ones(len(sources), bool), (sources, targets)), (nodes + 1, nodes + 1))
    return np.asarray(breadth_first_order(tree, nodes, directed=False)[1])


def _depths(parents: np.ndarray) -> np.ndarray:
    """Int64 [n]: the number of edges from each node up to its root, by pointer jumping; 0 for nodes without a root."""
    nodes = np.arange(len(parents))
    up = np.where(parents >= 0, parents, nodes)
    depth = (up != nodes).astype(np.int64)
    while np.any(up[up] != up):
        depth, up = depth + depth[up], up[up]
    return depth
