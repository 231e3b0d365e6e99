"""Weights by shared neighbours: by hand, and as a slow sum over all faces."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clustering.backends.hilander.shared_neighbors import LIKELY, weights_by_shared_neighbors
from clustering.graph.knn_graph import KnnGraph


def test_by_hand():
    neighbors = np.array([[1, 2, 3], [2, -1, -1], [-1, -1, -1], [-1, -1, -1]], np.int32)
    linkage = np.array([[0.3, 0.4, 0.2], [0.95, 0, 0], [0, 0, 0], [0, 0, 0]], np.float32)
    found = weights_by_shared_neighbors(_graph(neighbors), linkage).toarray()
    expected = np.zeros((4, 4))
    # Faces 0 and 1 share face 2; face 0 has .6 of linkage beside face 1, which has .95 beside face 0.
    expected[0, 1] = expected[1, 0] = (0.4 * 0.95) ** 2 / (2.6 * 2.95)
    expected[0, 2] = expected[2, 0] = (0.3 * 0.95) ** 2 / (2.5 * 2.95)
    # Faces 1 and 2 are likely as they are, and face 3 shares nobody with face 0.
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@given(st.integers(0, 1000))
def test_as_a_slow_sum(seed):
    random = np.random.default_rng(seed)
    n, k = 12, 4
    neighbors = np.stack([random.permutation(np.delete(np.arange(n), face))[:k] for face in range(n)]).astype(np.int32)
    linkage = random.random((n, k)).astype(np.float32)
    found = weights_by_shared_neighbors(_graph(neighbors), linkage).toarray()
    r = np.zeros((n, n))
    for i in range(n):
        for j, linked in zip(neighbors[i], linkage[i], strict=True):
            r[i, j] = r[j, i] = max(r[i, j], linked if linked >= 1e-3 else 0)
    for i in range(n):
        for j in range(n):
            weight = r[i] @ r[j] / (2 + r[i].sum() - r[i, j]) * (r[i] @ r[j]) / (2 + r[j].sum() - r[i, j])
            counts = i != j and 0 < r[i, j] < LIKELY and weight >= 1e-3
            np.testing.assert_allclose(found[i, j], weight if counts else 0, atol=1e-6)


def test_no_edges():
    alone = np.full((3, 2), -1, np.int32)
    assert weights_by_shared_neighbors(_graph(alone), np.zeros((3, 2), np.float32)).nnz == 0


def _graph(neighbors: np.ndarray) -> KnnGraph:
    return KnnGraph(np.eye(len(neighbors), dtype=np.float32), neighbors, np.zeros(neighbors.shape, np.float32))
