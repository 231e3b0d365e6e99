"""Whether clusters are mixtures of people, told without labels from how alike their faces are."""

from __future__ import annotations

import numpy as np

from clustering.hilander.level import chance_level
from clustering.knn import KnnGraph
from facerec.artifacts import blocks

LARGEST, LEAST_FACES = 10, 10
SPREADS, SHARE = 3.0, 0.65


def mixed(graph: KnnGraph, labels: np.ndarray) -> bool:
    """Whether one of the largest clusters, the first to swallow strangers, is a mixture.

    In a mixture neighbours are alike and most pairs are not. So it is one if its mean pair is less than `SPREADS`
    spreads above what chance gives (`chance_level`; one pair of strangers in 740 is, by the normal approximation),
    and less than `SHARE` of the way from there to the mean edge within the cluster. Either alone is found in single
    people, too: the one with weak recognisers, the other with hundreds of faces, whose neighbours are very near.

    Args:
        graph: Of n faces.
        labels: int64 [n], consecutive from 0, -1 for unassigned faces.

    Returns:
        Of the `LARGEST` clusters and those as large as the last of them, with `LEAST_FACES` faces or more.
    """
    sizes = np.bincount(labels[labels >= 0])
    least = max(np.sort(sizes)[-LARGEST:].min(initial=len(labels)), LEAST_FACES)
    location, spread = chance_level(graph.embeddings)
    for cluster in np.flatnonzero(sizes >= least).tolist():
        pair, edge = mean_similarities(graph, labels, cluster)
        if pair - location < min(SPREADS * spread, SHARE * (edge - location)):
            return True
    return False


def mean_similarities(graph: KnnGraph, labels: np.ndarray, cluster: int) -> tuple[float, float]:
    """The mean cosine of all pairs of a cluster of two faces or more, and that of its edges; -1 if it has none."""
    rows = np.flatnonzero(labels == cluster)
    total, edges, similarity = np.zeros(graph.embeddings.shape[1]), 0, 0.0
    for some in blocks(rows):
        total += graph.embeddings[some].sum(axis=0, dtype=np.float64)
        neighbors = graph.neighbors[some]
        within = (neighbors >= 0) & (labels[neighbors] == cluster)
        edges += int(np.count_nonzero(within))
        similarity += graph.similarities[some].sum(where=within, dtype=np.float64)
    pair = (total @ total - len(rows)) / (len(rows) * (len(rows) - 1))
    return float(pair), similarity / edges if edges else -1.0
