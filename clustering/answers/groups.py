"""Groups of faces that questions are about: whole clusters, or the two sides into which a cluster is divided."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.graph.corpus_scale import CorpusScale
from clustering.partition import cluster_sums
from clustering.similarity.centres import cosine_to_rest_of_cluster, mean_cosine_between, mean_pair_cosine

LEAST_COHESION = 0.05
"""Floor of the geometric mean of two cohesions, by which `Groups.likeness` divides."""
PRIOR_PAIRS = 4
"""Pairs of mean cohesion that are added to the pairs of each group, as a prior: small groups have few pairs."""
POWER = 0.75
"""Exponent of `stake`. 1 would count pairs of faces, as pairwise F does; 0.5 would count faces, as BCubed F does."""


@dataclass(frozen=True)
class Groups:
    """Groups of faces: clusters, or sides of clusters.

    Attributes:
        label: int64 [n]: the group of each face, -1 for faces in none.
        sums: float32 [g, d]: the sum of each group's embeddings.
        sizes: int64 [g]: faces of each group.
        shown: int64 [g]: the face of each group whose cosine with the centre of the group's other faces is highest.
        cohesion: float64 [g]: mean corrected cosine of two faces of the group, see `CorpusScale`. It is shrunk towards
            the mean over all groups, see `PRIOR_PAIRS`.
    """

    label: np.ndarray
    sums: np.ndarray
    sizes: np.ndarray
    shown: np.ndarray
    cohesion: np.ndarray

    @classmethod
    def of(cls, embeddings: np.ndarray, label: np.ndarray, scale: CorpusScale) -> Groups:
        """The groups of n faces; their labels are consecutive from 0."""
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
        """Float64 [p]: how alike the groups a and b of each of p pairs are, ``m_ab / sqrt(c_a c_b)``.

        m_ab is the mean corrected cosine of a face of a with a face of b, and c is the cohesion of a group. The
        likeness is 1 if faces of the two groups are as alike as faces of one group.
        """
        between = mean_cosine_between(self.sums[a], self.sizes[a], self.sums[b], self.sizes[b]).astype(np.float32)
        return scale.corrected(between) / np.sqrt(np.maximum(self.cohesion[a] * self.cohesion[b], LEAST_COHESION**2))


def stake(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Float64 [p]: the cost of a wrong answer about two groups of a and b faces, ``(a b)^POWER``."""
    return np.asarray((one.astype(np.float64) * other) ** POWER)
