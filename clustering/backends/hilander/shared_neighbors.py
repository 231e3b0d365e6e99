"""Weights of pairs of faces that share neighbours.

A turned head is unlike each single face of its person, but a bit like all of them. A stranger is a bit like one.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, csr_matrix

from clustering.graph.edges import Edges
from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.files import blocks

LEAST_LINKAGE, LEAST_WEIGHT = 1e-3, 1e-3
"""Linkage and weights below count as 0."""
UNSHARED = 2
"""Neighbours that each face is taken to have in addition, shared with nobody, because few neighbours prove little. With
1, more faces of large identities come together. So do more strangers of small ones."""
LIKELY = 0.9
"""Pairs of this linkage weigh enough by themselves."""
PAIRS = 1 << 15
"""Pairs that are processed at once."""


def weights_by_shared_neighbors(graph: KnnGraph, linkage: np.ndarray) -> csr_array:
    """Weights ``u_ij u_ji`` [n, n] of pairs that the model is not sure of, the same in either direction.

    Here ``u_ij = sum_l r_il r_lj / (UNSHARED + sum_l r_il)``, over all faces l but i and j. It is the mean linkage of j
    with the other neighbours of i.

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
