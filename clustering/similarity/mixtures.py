"""Whether clusters are mixtures of people, told without labels from how alike their faces are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import cluster_sums, places_in_groups
from clustering.similarity.centres import mean_pair_cosine
from facerec.pipeline.files import blocks

LARGEST, LEAST_FACES = 10, 10
"""Clusters that `mixed` looks at, and least faces of such a cluster."""
SPREADS, SHARE = 3.0, 0.65
"""Bounds of the two conditions of `mixed`; docs/lab/results.md says how they were chosen."""
TOLERATED = 0.05
"""Share of the faces that may be in mixtures."""
FEW, GROUPS, BLOCK = 20, 50, 1024
"""Faces of a group, most groups of a cluster, and groups that are compared at once, see `nearest_of_few`."""
STEP, STRICTEST = 0.05, 0.95
"""Step from one threshold to the next, and the last one, see `unmixed`."""


def mixed(graph: KnnGraph, labels: np.ndarray, tolerated: float = TOLERATED) -> bool:
    """Whether one of the largest clusters is a mixture of people, and mixtures hold many faces.

    A threshold that is too low fills the largest clusters first, so these decide. In a mixture neighbours are alike,
    but most pairs are not. A cluster is a mixture if both hold:

        p - c < SPREADS s
        p - c < SHARE (e - c)

    - p is the mean cosine of all its pairs.
    - c and s are the location and spread of strangers' cosines (`CorpusScale`). If these are normally distributed, one
      pair of strangers in 740 is above c + 3 s.
    - e is the lower of two means: the cosine of its edges in the graph, and the cosine of a face with the nearest of a
      few others (`nearest_of_few`). In a cluster of hundreds of faces an edge leads to the nearest of hundreds.

    One condition alone can hold for a single person: the first if the recogniser is weak, the second if the person has
    a few different looks.

    Args:
        graph: Of n faces.
        labels: int64 [n], consecutive from 0, -1 for unassigned faces.
        tolerated: Share of the readable faces that may be in mixtures. A stricter threshold costs all clusters more
            than that.

    Returns:
        True if one of the `LARGEST` clusters is a mixture, and all mixtures together hold more than the tolerated share
        of the faces. Clusters as large as the smallest of these count with them. Clusters of fewer than `LEAST_FACES`
        faces never count.
    """
    sizes = np.bincount(labels[labels >= 0])
    least = max(np.sort(sizes)[-LARGEST:].min(initial=len(labels)), LEAST_FACES)
    scale = CorpusScale.of(graph)

    def numbered(some: np.ndarray) -> np.ndarray:
        """Labels, consecutive for some clusters, -1 for all others."""
        places = np.full(len(sizes) + 1, -1)  # its last entry is for -1
        places[some] = np.arange(len(some))
        return places[labels]

    some = np.flatnonzero(sizes >= LEAST_FACES)
    pair, edge = (means - scale.location for means in mean_similarities(graph, numbered(some)))
    wide = pair < np.minimum(SPREADS * scale.spread, SHARE * edge)
    some, pair = some[wide], pair[wide]
    if not np.any(sizes[some] >= least):
        return False
    nearest = nearest_of_few(graph.embeddings, numbered(some)) - scale.location
    held = sizes[some[pair < SHARE * nearest]]
    return bool(np.any(held >= least) and held.sum() > tolerated * np.count_nonzero(graph.readable))


def mean_similarities(graph: KnnGraph, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean cosine of each cluster's pairs, and of its edges, float64 [clusters] each.

    Args:
        graph: Of n faces.
        labels: int64 [n], consecutive from 0, of clusters of two faces or more; -1 for faces that are left out.

    Returns:
        Both means. That of edges is -1 for a cluster without any.
    """
    sizes = np.bincount(labels[labels >= 0])
    sums = cluster_sums(graph.embeddings, labels)
    pair = mean_pair_cosine(sums, sizes)
    edges, similarity = np.zeros(len(sizes)), np.zeros(len(sizes))
    for rows in blocks(np.flatnonzero(labels >= 0)):
        neighbors, own = graph.neighbors[rows], labels[rows]
        within = (neighbors >= 0) & (labels[neighbors] == own[:, None])
        edges += np.bincount(own, within.sum(axis=1), len(sizes))
        similarity += np.bincount(own, graph.similarities[rows].sum(axis=1, where=within), len(sizes))
    return pair, np.where(edges > 0, similarity / np.maximum(edges, 1), -1)


def nearest_of_few(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Float64 [clusters]: the mean cosine of a face with the nearest of a few others of its cluster.

    The more faces a cluster has, the nearer is the nearest of them. To make clusters of all sizes comparable, each is
    divided at random into at most `GROUPS` groups of `FEW` faces, or one smaller group. A face looks at its own group.

    Args:
        embeddings: float32 [n, d], unit rows.
        labels: int64 [n], consecutive from 0, of clusters of two faces or more; -1 for faces that are left out.
    """
    order = np.random.default_rng(0).permutation(np.flatnonzero(labels >= 0))
    order = order[np.argsort(labels[order], kind="stable")]
    own, sizes = labels[order], np.bincount(labels[order])
    place = places_in_groups(sizes)
    counts = np.clip(sizes // FEW, 1, GROUPS)
    kept = place < FEW * counts[own]
    order, own, place = order[kept], own[kept], place[kept]
    group = (np.cumsum(counts) - counts)[own] + place % counts[own]
    members = np.full((counts.sum(), FEW), -1)
    members[group, place // counts[own]] = order
    nearest = np.concatenate([_nearest(embeddings, some) for some in blocks(members, BLOCK)])
    of_group = np.repeat(np.arange(len(sizes)), counts)
    there = members >= 0
    return np.bincount(of_group, np.where(there, nearest, 0).sum(axis=1)) / np.bincount(of_group, there.sum(axis=1))


def _nearest(embeddings: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Float32 [b, m]: the largest cosine of each face of a group, int64 [b, m], with another; -1 is none."""
    faces = embeddings[members]
    cosines = np.matmul(faces, faces.transpose(0, 2, 1))
    cosines[np.broadcast_to((members < 0)[:, None], cosines.shape)] = -1
    itself = np.arange(members.shape[1])
    cosines[:, itself, itself] = -1
    return np.asarray(cosines.max(axis=2))


def unmixed(
    graph: KnnGraph, labels_at: Callable[[float], np.ndarray], threshold: float, adaptive: bool
) -> tuple[float, np.ndarray]:
    """Raises a threshold that nobody tuned until the largest clusters are no mixtures.

    Args:
        graph: Of n faces, with cosines as they are.
        labels_at: Clusters the faces at a least similarity: int64 [n], consecutive from 0.
        threshold: The first threshold to try. The next ones rise by `STEP`, up to `STRICTEST`.
        adaptive: False keeps the first threshold.

    Returns:
        The threshold, and the labels.
    """
    labels = labels_at(threshold)
    while adaptive and threshold < STRICTEST and mixed(graph, labels):
        threshold = round(threshold + STEP, 3)
        labels = labels_at(threshold)
    return threshold, labels
