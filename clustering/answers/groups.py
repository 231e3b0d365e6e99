"""Groups of faces that questions are about: clusters, and halves of clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.partition import cluster_sums
from clustering.similarity.centres import cosine_to_rest_of_cluster, mean_cosine_between, mean_pair_cosine
from clustering.similarity.corpus_scale import CorpusScale
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import blocks

HALVING = 5
LEAST_COHESION = 0.05
PRIOR_PAIRS = 4
"""A group's cohesion is a mean with so many pairs of the mean over all groups."""


@dataclass(frozen=True)
class Groups:
    """Groups of faces, clusters or halves of them.

    Attributes:
        label: int64 [n]: the group of each face, -1 for none.
        sums: float32 [g, d]: of their embeddings.
        sizes: int64 [g].
        shown: int64 [g]: the face that is most like the others of its group.
        cohesion: float64 [g]: mean corrected cosine of two of its faces, drawn to the mean over all groups.
    """

    label: np.ndarray
    sums: np.ndarray
    sizes: np.ndarray
    shown: np.ndarray
    cohesion: np.ndarray

    @classmethod
    def of(cls, embeddings: np.ndarray, label: np.ndarray, scale: CorpusScale) -> Groups:
        """The groups of some labels, consecutive from 0."""
        sums = cluster_sums(embeddings, label)
        sizes = np.bincount(label[label >= 0], minlength=len(sums))
        rows = np.flatnonzero(label >= 0)
        fit = cosine_to_rest_of_cluster(embeddings, label)[rows]
        order = rows[np.lexsort((rows, -fit, label[rows]))]
        shown = order[np.cumsum(sizes) - sizes]
        cohesion = scale.corrected(mean_pair_cosine(sums, sizes).astype(np.float32)).astype(np.float64)
        pairs = sizes * (sizes - 1.0)
        usual = float(np.average(cohesion, weights=pairs)) if pairs.any() else 1.0
        return cls(label, sums, sizes, shown, (cohesion * pairs + usual * PRIOR_PAIRS) / (pairs + PRIOR_PAIRS))

    def likeness(self, a: np.ndarray, b: np.ndarray, scale: CorpusScale) -> np.ndarray:
        """Float64 [p]: mean corrected cosine of two faces of two groups, over the mean of two faces of one of them."""
        between = mean_cosine_between(self.sums[a], self.sizes[a], self.sums[b], self.sizes[b]).astype(np.float32)
        return scale.corrected(between) / np.sqrt(np.maximum(self.cohesion[a] * self.cohesion[b], LEAST_COHESION**2))


def halves(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Int64 [n]: twice the cluster of each face, plus 1 in the smaller of its halves; -1 for unassigned faces.

    Two means in each cluster at once. They begin with the face that is least like the others, and the rest. Clusters
    that do not divide have one half.

    Args:
        embeddings: float32 [n, d], unit or zero rows.
        labels: int64 [n], consecutive from 0; -1 for unassigned.
    """
    rows = np.flatnonzero(labels >= 0)
    own = labels[rows]
    sizes = np.bincount(own)
    order = np.lexsort((cosine_to_rest_of_cluster(embeddings, labels)[rows], own))
    odd = np.zeros(len(labels), np.int64)
    odd[rows[order[np.cumsum(sizes) - sizes]]] = 1
    odd[rows[sizes[own] < 2]] = 0
    for _ in range(HALVING):
        means = np.zeros((2 * len(sizes), embeddings.shape[1]), np.float32)
        sums = cluster_sums(embeddings, np.where(labels < 0, -1, 2 * labels + odd))
        means[: len(sums)] = normalize(sums)
        now = np.zeros(len(labels), np.int64)
        for some in blocks(rows):
            apart = means[2 * labels[some] + 1] - means[2 * labels[some]]
            now[some] = np.einsum("nd,nd->n", embeddings[some], apart) > 0
        if np.array_equal(now, odd):
            break
        odd = now
    larger = np.bincount(own, odd[rows]) * 2 > sizes
    found = np.full(len(labels), -1, np.int64)
    found[rows] = 2 * own + np.where(larger[own], 1 - odd[rows], odd[rows])
    return found
