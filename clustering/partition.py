"""Partitions as arrays of labels: renumbering, connected components, sums and confidence of clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facerec.pipeline.files import InputError, load_array


def consecutive(labels: np.ndarray) -> np.ndarray:
    """Renumbers labels from 0 in the order in which they first appear; negative ones become -1.

    Example:
        >>> consecutive(np.array([7, -1, 3, 7]))
        array([ 0, -1,  1,  0])
    """
    numbers = np.full(len(labels), -1, dtype=np.int64)
    assigned = np.flatnonzero(np.asarray(labels) >= 0)
    _, first, inverse = np.unique(labels[assigned], return_index=True, return_inverse=True)
    numbers[assigned] = np.argsort(np.argsort(first))[inverse]
    return numbers


def own_cluster_size(labels: np.ndarray) -> np.ndarray:
    """Int64 [n]: for each face the number of faces in its cluster, itself included; 0 for unassigned faces (-1)."""
    return np.where(labels < 0, 0, np.bincount(labels[labels >= 0], minlength=1)[labels])


def places_in_groups(sizes: np.ndarray) -> np.ndarray:
    """Int64 [sum(sizes)]: the place of each row within its group, from 0, where rows are sorted by group.

    Example:
        >>> places_in_groups(np.array([2, 0, 3]))
        array([0, 1, 0, 1, 2])
    """
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def share_across(n: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Float64 [p]: which share of the edges among n and m faces of one person leads from the n to the m, or back.

    Example:
        >>> share_across(np.array([5, 1]), np.array([5, 1])).round(3)
        array([0.556, 1.   ])
    """
    return np.asarray(2 * n * m / ((n + m) * np.maximum(n + m - 1, 1)))


def load_confidence(clusters: Path, rows: int) -> np.ndarray | None:
    """The confidence of a clustering's faces, float [rows]; None for a bare file of labels and a folder without any.

    Raises:
        InputError: Another number of values, or values beyond [0, 1] or NaN.
    """
    file = clusters / "confidence.npy"
    if not (clusters.is_dir() and file.exists()):
        return None
    confidence = load_array(file, kind="f", ndim=1)
    if len(confidence) != rows:
        raise InputError(f"{file}: {len(confidence)} values for {rows} faces; expected one in [0, 1] each")
    wrong = np.flatnonzero(~((confidence >= 0) & (confidence <= 1)))
    if wrong.size:
        raise InputError(f"{file}: {confidence[wrong[0]]} in row {wrong[0]}; expected one in [0, 1] each")
    return confidence


def cluster_sums(embeddings: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Float32 [clusters, d]: the (weighted) sum of each cluster's embeddings; unassigned rows are left out."""
    rows = np.flatnonzero(labels >= 0)
    clusters = int(labels.max(initial=-1)) + 1
    weights = np.ones(len(rows), np.float32) if weights is None else weights[rows]
    from scipy.sparse import csr_matrix  # slow to import, and most commands do without

    membership = csr_matrix((weights, (labels[rows], rows)), (clusters, len(labels)))
    return np.asarray(membership @ embeddings, dtype=np.float32)


def trees(parents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Follows a forest to its roots by pointer jumping: log2(depth) passes over all nodes.

    Args:
        parents: int64 [n], roots are their own parents.

    Returns:
        int64 [n]: the tree of each node, trees numbered by the index of their roots; and the roots.
    """
    roots = parents
    while not np.array_equal(roots, further := roots[roots]):
        roots = further
    own = parents == np.arange(len(parents))
    return (np.cumsum(own) - 1)[roots], np.flatnonzero(own)


def components(nodes: int, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Int64 [nodes]: connected components of an undirected graph given by its edges, numbered by first node."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    edges = csr_matrix((np.ones(len(sources), np.bool_), (sources, targets)), (nodes, nodes))
    return consecutive(connected_components(edges, directed=False)[1])
