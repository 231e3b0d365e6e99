"""Whether clusters are mixtures of people, told without labels from how alike their faces are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clustering.graph.knn_graph import KnnGraph
from clustering.partition import cluster_sums
from clustering.similarity.centres import mean_pair_cosine
from clustering.similarity.corpus_scale import CorpusScale
from facerec.pipeline.files import blocks

LARGEST, LEAST_FACES = 10, 10
SPREADS, SHARE = 3.0, 0.65
TOLERATED = 0.05
STEP, STRICTEST = 0.05, 0.95


def mixed(graph: KnnGraph, labels: np.ndarray, tolerated: float = TOLERATED) -> bool:
    """Whether one of the largest clusters, the first to swallow strangers, is a mixture, and mixtures hold many faces.

    In a mixture neighbours are alike and most pairs are not. With the mean cosine p of its pairs, the mean cosine e of
    its edges, and location c and spread s of strangers (`CorpusScale`), a cluster is a mixture if both

        p - c < SPREADS s    (by the normal approximation one pair of strangers in 740 is above this)
        p - c < SHARE (e - c)

    Either can hold for a single person: the first with a weak recogniser, the second with hundreds of faces, whose
    neighbours are very near.

    Args:
        graph: Of n faces.
        labels: int64 [n], consecutive from 0, -1 for unassigned faces.
        tolerated: Share of the faces that may be in mixtures. A stricter threshold costs all clusters more than that.

    Returns:
        True if of the `LARGEST` clusters and those as large as the last of them one is a mixture, and all mixtures
        together hold more than the tolerated share of the faces. Clusters of fewer than `LEAST_FACES` don't count.
    """
    sizes = np.bincount(labels[labels >= 0])
    least = max(np.sort(sizes)[-LARGEST:].min(initial=len(labels)), LEAST_FACES)
    numbers = np.flatnonzero(sizes >= LEAST_FACES)
    if not len(numbers):
        return False
    places = np.full(len(sizes) + 1, -1)  # its last entry is for -1
    places[numbers] = np.arange(len(numbers))
    pair, edge = mean_similarities(graph, places[labels])
    scale = CorpusScale.of(graph)
    above = pair - scale.location
    mixtures = above < np.minimum(SPREADS * scale.spread, SHARE * (edge - scale.location))
    held = sizes[numbers[mixtures]]
    return bool(np.any(held >= least) and held.sum() > tolerated * len(labels))


def mean_similarities(graph: KnnGraph, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of clusters of two faces or more, float64 [clusters]: the mean cosine of their pairs, and of their edges.

    Args:
        graph: Of n faces.
        labels: int64 [n], consecutive from 0, -1 for faces that are left out.

    Returns:
        Both means; that of edges is -1 where there are none.
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


def unmixed(
    graph: KnnGraph, labels_at: Callable[[float], np.ndarray], threshold: float, adaptive: bool
) -> tuple[float, np.ndarray]:
    """The first threshold at which the largest clusters are no mixtures: for thresholds that nobody tuned.

    Args:
        graph: Of n faces, with cosines as they are.
        labels_at: Clusters the faces at a least similarity: int64 [n], consecutive from 0.
        threshold: The first threshold to try; then in steps of `STEP` up to `STRICTEST`.
        adaptive: False keeps the first.

    Returns:
        The threshold, and the labels.
    """
    labels = labels_at(threshold)
    while adaptive and threshold < STRICTEST and mixed(graph, labels):
        threshold = round(threshold + STEP, 3)
        labels = labels_at(threshold)
    return threshold, labels
