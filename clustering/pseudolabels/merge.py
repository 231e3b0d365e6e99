"""The rule that joins the pieces of one identity."""

from __future__ import annotations

import numpy as np

from clustering.partition import consecutive
from clustering.pseudolabels.evidence import Evidence
from clustering.pseudolabels.links import linked
from clustering.similarity.centres import centres, nearest

ROUNDS = 20
"""Most rounds of merging pairs, to bound the time. LFW's clusters by five backends need 1 to 8."""


def merge(labels: np.ndarray, evidence: Evidence, threshold: float) -> np.ndarray:
    """Joins clusters whose faces are near enough to each other's centre on average, and linked.

    Each round joins all pairs of clusters that are each other's nearest. Clusters of one face stay alone, and so do
    those that a person has confirmed or told apart.

    Args:
        labels: int64 [n], consecutive from 0; -1 for unassigned.
        evidence: With a graph of the n faces.
        threshold: Least mean cosine of each cluster's faces with the other's centre.
    """
    for _ in range(ROUNDS):
        left, right = _twins(evidence, labels, threshold)
        if not len(left):
            break
        number = np.arange(labels.max() + 2)  # its last entry is for unassigned faces
        number[right] = left
        number[-1] = -1
        labels = consecutive(number[labels])
    return labels


def _twins(evidence: Evidence, labels: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of clusters to be joined, int64 [pairs] each, the lower number first."""
    graph = evidence.links
    found, tightness, sizes = centres(graph.embeddings, labels)
    several = np.flatnonzero(sizes > 1)
    other, cosine = np.full(len(found), -1), np.zeros(len(found))
    if len(several) > 1:
        near, cosines = nearest(found[several], found[several], 2)
        column = (near[:, 0] == np.arange(len(several))).astype(np.int64)  # the first that is not the cluster itself
        other[several] = several[near[np.arange(len(several)), column]]
        cosine[several] = cosines[np.arange(len(several)), column]
    left = several[other[several] > several]
    left = left[other[other[left]] == left]
    right = other[left]
    alike = cosine[left] * np.minimum(tightness[left], tightness[right]) >= threshold
    alike &= evidence.may_join(labels, left, right)
    left, right = left[alike], right[alike]
    joined = linked(graph, labels, left, right)
    return left[joined], right[joined]
