"""Groups of faces that questions are about: clusters, and sides of clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.partition import cluster_sums
from clustering.similarity.centres import cosine_to_rest_of_cluster, mean_cosine_between, mean_pair_cosine
from clustering.similarity.corpus_scale import CorpusScale

LEAST_COHESION = 0.05
PRIOR_PAIRS = 4
"""Each group's cohesion is averaged with so many more pairs, which have the mean cohesion of all groups."""
POWER = 0.75
"""Between the power of pairwise F, which counts the pairs of two groups, and that of BCubed F, which counts faces."""


@dataclass(frozen=True)
class Groups:
    """Groups of faces, clusters or sides of them.

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


def stake(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Float64 [p]: what a wrong answer about groups of so many faces costs, ``(a b)^POWER``."""
    return np.asarray((one.astype(np.float64) * other) ** POWER)
