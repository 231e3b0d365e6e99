"""Cosines of faces with their own cluster and with the nearest other one."""

from __future__ import annotations

import numpy as np

from clustering.graph import exact
from clustering.partition import cluster_sums
from facerec.pipeline.files import blocks, row_blocks

BLOCK = 8192
SAMPLE = 50_000
TINY = 1e-6


def centres(embeddings: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean direction of every cluster.

    Args:
        embeddings: float32 [n, d], unit or zero rows.
        labels: int64 [n], consecutive from 0; -1 for unassigned.

    Returns:
        float32 [clusters, d], unit rows; float32 [clusters], the mean cosine of its faces with it; int64 [clusters],
        its faces.
    """
    sums = cluster_sums(embeddings, labels)
    sizes = np.bincount(labels[labels >= 0], minlength=len(sums))
    lengths = np.linalg.norm(sums, axis=1)
    return sums / np.maximum(lengths, TINY)[:, None], lengths / np.maximum(sizes, 1), sizes


def cosine_to_rest_of_cluster(
    embeddings: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Float32 [n]: each face's cosine with the (weighted) mean of its cluster's other faces; 0 where there is none.

    S is the weighted sum of the cluster. For a face x of weight w the mean of the others has the direction ``S - w x``.

    Args:
        embeddings: float32 [n, d], unit or zero rows.
        labels: int64 [n], consecutive from 0; -1 for unassigned.
        weights: float32 [n], of each face in its cluster's mean; ones by default.
    """
    weights = np.ones(len(labels), np.float32) if weights is None else weights
    rows = np.flatnonzero(labels >= 0)
    cosines = np.zeros(len(labels), dtype=np.float32)
    cosines[rows] = cosine_to_sum(embeddings, rows, cluster_sums(embeddings, labels, weights), labels[rows], weights)
    return cosines


def cosine_to_sum(
    embeddings: np.ndarray, rows: np.ndarray, sums: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Float32 [r]: the cosine of each of some faces with the sum of a cluster; 0 where the sum is 0.

    Args:
        embeddings: float32 [n, d].
        rows: int64 [r], the faces.
        sums: float32 [clusters, d], the (weighted) sum of each cluster's embeddings.
        labels: int64 [r], the cluster with which each face is compared.
        weights: float32 [n], of each face in the sum of its cluster, from which it is taken out; None if the faces are
            in no such sum.
    """
    found = np.zeros(len(rows), np.float32)
    for some in blocks(np.arange(len(rows)), BLOCK):
        faces, others = embeddings[rows[some]], sums[labels[some]]
        if weights is not None:
            others = others - weights[rows[some], None] * faces
        lengths = np.linalg.norm(others, axis=1)
        dots = np.einsum("nd,nd->n", others, faces)
        found[some] = np.where(lengths > 1e-4, dots / np.maximum(lengths, 1e-4), 0)
    return found


def mode_weights(embeddings: np.ndarray, labels: np.ndarray, steps: int) -> np.ndarray:
    """Float32 [n]: weights of faces with which the mean of a cluster moves to where its faces are densest.

    At first all faces weigh 1. In each step a face weighs ``max(c - c', 0)``. c is its cosine with the mean of the
    others, and c' is the cluster's mean of c. In a mixture of two identities the mean settles in one of them. If all
    faces of a cluster weigh 0, they weigh 1 again. Unassigned faces weigh 0.

    Args:
        embeddings: float32 [n, d].
        labels: int64 [n]; -1 for unassigned.
        steps: How often the weights are computed.
    """
    assigned = labels >= 0
    own, sizes = labels[assigned], np.maximum(np.bincount(labels[assigned]), 1)
    weights = assigned.astype(np.float32)
    for _ in range(steps):
        cosines = cosine_to_rest_of_cluster(embeddings, labels, weights)[assigned]
        nearer = np.maximum(cosines - (np.bincount(own, cosines) / sizes)[own], 0)
        weights[assigned] = np.where((np.bincount(own, nearer) > 0)[own], nearer, 1)
    return weights


def mean_pair_cosine(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Float64 [clusters]: the mean cosine of two faces of a cluster, 1 for a face alone.

    The embeddings of m faces sum up to S, and the cosines of their m (m - 1) ordered pairs to ``|S|^2 - m``.

    Args:
        sums: float32 [clusters, d], see `cluster_sums`.
        sizes: int64 [clusters], faces, at least 1.
    """
    squares = np.einsum("cd,cd->c", sums, sums, dtype=np.float64)
    return np.where(sizes == 1, 1, (squares - sizes) / np.maximum(sizes * (sizes - 1), 1))


def mean_cosine_between(a: np.ndarray, a_sizes: np.ndarray, b: np.ndarray, b_sizes: np.ndarray) -> np.ndarray:
    """Float64 [p]: the mean cosine over all pairs of a face here and a face there.

    Args:
        a: float32 [p, d], the sums of clusters' embeddings.
        a_sizes: int64 [p], their faces.
        b: float32 [p, d], the sums of other clusters.
        b_sizes: int64 [p], their faces.
    """
    return np.einsum("pd,pd->p", a, b, dtype=np.float64) / (a_sizes * b_sizes)


def nearest(queries: np.ndarray, candidates: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of `candidates` with the highest cosine to each query, exact.

    Args:
        queries: float32 [q, d], unit or zero rows; may be a memory map.
        candidates: float32 [a, d], unit rows.
        k: How many.

    Returns:
        int64 [q, k] rows, -1 where there are no more; and float32 [q, k] cosines, descending, -1 there.
    """
    rows, there = np.arange(len(candidates)), min(k, len(candidates))
    ids, cosines = np.full((len(queries), k), -1), np.full((len(queries), k), -1, np.float32)
    index = exact.gpu_index(candidates, rows)
    for some in row_blocks(len(queries), BLOCK):
        wanted = np.ascontiguousarray(queries[some])
        ids[some, :there], cosines[some, :there] = exact.nearest(wanted, candidates, rows, there, index)
    return ids, np.clip(cosines, -1, 1, out=cosines)


def other_centre(embeddings: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Float32 [rows]: the highest cosine of these faces with a centre of a cluster that they are not in; else -1."""
    found, _, _ = centres(embeddings, labels)
    if not len(found):
        return np.full(len(rows), -1, dtype=np.float32)
    ids, cosines = nearest(embeddings[rows], found, 2)
    return np.where(ids[:, 0] == labels[rows], cosines[:, 1], cosines[:, 0])


def evenly_spaced(rows: np.ndarray) -> np.ndarray:
    """At most `SAMPLE` of the rows, evenly spaced."""
    return rows[:: -(-len(rows) // SAMPLE)] if len(rows) else rows
