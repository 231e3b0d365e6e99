"""The rule that parts two identities which have become one cluster."""

from __future__ import annotations

import numpy as np

from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from clustering.pseudolabels.evidence import Evidence
from clustering.pseudolabels.links import linked
from clustering.similarity.centres import cosine_to_rest_of_cluster, mode_weights

MODE_STEPS = 5
"""Steps of the search for a cluster's mode, see `modes`, to bound the time. Of LFW's clusters by five backends 10 or 20
steps make at most 1 % more, 3 steps at most 1.3 % fewer."""
ROUNDS = 3
"""How often the faces that left a cluster are looked at again, to bound the time. On the same clusters 6 rounds make at
most .7 % more."""


def split(labels: np.ndarray, evidence: Evidence, threshold: float) -> np.ndarray:
    """Parts faces that are too far from their cluster's mode, and have few links with its other faces.

    Two or more such faces become a cluster of their own, which is then looked at in the same way. `modes` says where
    two identities in one cluster are parted, `linked` what keeps one identity in one piece. A cluster is not parted
    between two faces that a person said are the same.

    Args:
        labels: int64 [n], consecutive from 0; -1 for unassigned.
        evidence: With a graph of the n faces.
        threshold: Least cosine with the mode.
    """
    graph = evidence.links
    labels, part = labels.copy(), labels
    for _ in range(ROUNDS):
        part = consecutive(part)
        far = (part >= 0) & (modes(graph.embeddings, part) < threshold)
        moved = far & _apart(graph, part, far)[part]
        moved &= ~evidence.torn(part, moved)[part]
        if not moved.any():
            break
        part = np.where(moved, part, -1)
        labels = np.where(moved, part + labels.max() + 1, labels)
    return consecutive(labels)


def modes(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Float32 [n]: each face's cosine with where its cluster's other faces are densest, see `mode_weights`.

    Args:
        embeddings: float32 [n, d].
        labels: int64 [n], consecutive from 0; -1 for unassigned.
    """
    return cosine_to_rest_of_cluster(embeddings, labels, mode_weights(embeddings, labels, MODE_STEPS))


def _apart(graph: KnnGraph, labels: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Bool [clusters + 1]: whether a cluster's `far` faces, two or more, are not linked with the rest of it.

    The last entry, that of unassigned faces, is False.
    """
    count = int(labels.max(initial=-1)) + 1
    parts = np.where(far, labels + count, labels)
    sizes = np.bincount(parts[parts >= 0], minlength=2 * count)
    possible = np.flatnonzero((sizes[count:] > 1) & (sizes[:count] > 0))
    found = np.zeros(count + 1, dtype=bool)
    found[possible] = ~linked(graph, parts, possible, possible + count)
    return found
