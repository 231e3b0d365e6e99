"""Lists of neighbours as the papers define them: the face itself comes first, cosines are not corrected."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.files import row_blocks

BLOCK_CELLS = 1 << 23


def with_self(graph: KnnGraph, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours int64 [n, k] and cosines float64 [n, k] clipped to [0, 1], the face itself counted and first.

    Missing neighbours are the face itself with a cosine of 0.
    """
    graph = graph.narrowed(k - 1)
    own = np.arange(len(graph))[:, None]
    neighbors = np.hstack([own, np.where(graph.valid, graph.neighbors, own)])
    cosines = np.where(graph.valid, graph.similarities, 0).astype(np.float64)
    return neighbors, np.clip(np.hstack([np.ones_like(own, dtype=np.float64), cosines]), 0, 1)


def sparse(neighbors: np.ndarray, values: np.ndarray) -> csr_array:
    """The matrix [n, n] that holds ``values[i, h]`` in row i and column ``neighbors[i, h]``; zeros are left out."""
    n, k = neighbors.shape
    matrix = csr_array((values.ravel(), neighbors.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n), copy=True)
    matrix.eliminate_zeros()
    return matrix


def products_at(left: csr_array, right: csr_array, neighbors: np.ndarray) -> np.ndarray:
    """Float64 [n, k]: entry (i, neighbors[i, h]) of the product of two sparse matrices [n, n], in blocks of rows."""
    n = len(neighbors)
    parts = [
        np.take_along_axis((left[rows] @ right).toarray(), neighbors[rows], axis=1)
        for rows in row_blocks(n, max(BLOCK_CELLS // n, 1))
    ]
    return np.concatenate(parts)
