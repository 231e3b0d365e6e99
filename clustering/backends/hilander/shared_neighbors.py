"""Pairs of faces that share neighbours: a turned head is unlike each of its person's faces, but like all of them a bit.

A stranger who is as like one of them is next to few of the others.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, csr_matrix

from clustering.graph.edges import Edges
from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.files import blocks

LEAST_LINKAGE, LEAST_WEIGHT = 1e-3, 1e-3
UNSHARED = 2
"""Neighbours that either face counts as having beside its own, not linked with the other: few neighbours prove little.
With 1 more of a large identity's faces come together, and more strangers of identities with few."""
LIKELY = 0.9
"""Pairs of this linkage weigh enough by themselves."""
PAIRS = 1 << 15
"""That are worked on at once."""


def weights_by_shared_neighbors(graph: KnnGraph, linkage: np.ndarray) -> csr_array:
    """Weights ``u_ij u_ji`` [n, n] of pairs that the model is not sure of, the same in either direction.

    ``u_ij = sum_l r_il r_lj / (2 + sum_l r_il)`` over all faces l but i and j: the linkage of j with the other
    neighbours of i, on average, with `UNSHARED` more that it is not linked with.

    Args:
        graph: Of n faces.
        linkage: r_ij, float32 [n, k], 0 for missing neighbours; the greater of both directions counts.
    """
    pairs = Edges.of(graph, linkage, LEAST_LINKAGE)
    near = pairs.adjacency(len(graph), pairs.similarity)
    total = UNSHARED + np.asarray(near.sum(axis=1)).ravel()
    pairs = pairs.where(pairs.similarity < LIKELY)
    others = (total[end] - pairs.similarity for end in (pairs.i, pairs.j))
    weights = (shared(near, pairs) ** 2 / np.multiply(*others)).astype(np.float32)
    kept = weights >= LEAST_WEIGHT
    return csr_array(pairs.where(kept).adjacency(len(graph), weights[kept]))


def shared(near: csr_matrix, pairs: Edges) -> np.ndarray:
    """Float32 [e]: ``sum_l r_il r_lj`` of pairs, by the symmetric linkage [n, n]."""
    ends = zip(blocks(pairs.i, PAIRS), blocks(pairs.j, PAIRS), strict=True)
    return np.concatenate(
        [np.zeros(0, np.float32), *(np.asarray(near[i].multiply(near[j]).sum(axis=1)).ravel() for i, j in ends)]
    )
