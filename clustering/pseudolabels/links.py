"""Whether two clusters are linked: whether their faces are neighbours in the kNN graph."""

from __future__ import annotations

import numpy as np

from clustering.graph.knn_graph import KnnGraph
from clustering.partition import share_across
from facerec.pipeline.files import blocks

NEIGHBORS = 10
"""First neighbours of a face that count. A backend's graph has as many by default (`DEFAULT_K`), so it serves. They are
too few where people have hundreds of faces without structure inside. `split` takes pieces off these people, see
docs/lab/pseudo-labels.md."""
SHARE = 0.3
"""Least share of edges across, as a part of what chance gives. It was chosen with the rules, on validation people of
the rendered corpus and on celeba299. benchmarks/pseudolabels.py measures all rules on LFW."""


def linked(graph: KnnGraph, labels: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Bool [pairs]: whether two clusters are linked, as the faces of one person are.

    Let the clusters have n and m faces. A share s of the edges among these faces leads from one cluster to the other.
    If both were one person, neighbours would come from both alike. Then s would be ``2nm / ((n + m)(n + m - 1))``. The
    clusters are linked if s is at least `SHARE` of that. Only the first n + m - 1 neighbours of a face count: it would
    have as many in one cluster.

    Example: for two clusters of 5 faces it would be 50 / 90, so they are linked if a sixth of the edges lead across.

    Args:
        graph: Of all faces.
        labels: int64 [faces], clusters, consecutive from 0; -1 for unassigned.
        left: int64 [pairs], clusters; each cluster is in one pair at most.
        right: int64 [pairs], the other cluster of each pair.
    """
    count = int(labels.max(initial=-1)) + 1
    member = np.full(count + 1, -1)
    member[left], member[right] = np.arange(len(left)), np.arange(len(left))
    sizes = np.bincount(labels[labels >= 0], minlength=count)
    n, m = sizes[left], sizes[right]
    near = graph.narrowed(NEIGHBORS).neighbors
    column = np.arange(near.shape[1])
    across, within = np.zeros(len(left)), np.zeros(len(left))
    for some in blocks(np.flatnonzero(member[labels] >= 0)):
        pair, own = member[labels[some]][:, None], labels[some][:, None]
        other = np.where(near[some] >= 0, labels[near[some]], -1)
        together = (member[other] == pair) & (column < (n + m - 1)[pair])
        across += np.bincount(pair[:, 0], (together & (other != own)).sum(axis=1), len(left))
        within += np.bincount(pair[:, 0], (together & (other == own)).sum(axis=1), len(left))
    share = across / np.maximum(across + within, 1)
    return np.asarray(share >= SHARE * share_across(n, m)) & (across > 0)
