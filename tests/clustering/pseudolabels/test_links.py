"""Links between clusters, counted by hand."""

from __future__ import annotations

import numpy as np

from clustering.graph.knn_graph import KnnGraph
from clustering.pseudolabels.links import SHARE, linked


def test_linked_by_hand():
    neighbors = np.array([[1, 2], [0, 3], [3, 0], [2, 1], [5, 0], [4, 0]], np.int32)
    graph = KnnGraph(np.eye(6, dtype=np.float32), neighbors, np.ones((6, 2), np.float32))
    labels = np.array([0, 0, 1, 1, 2, 2])
    # 0 and 1: of 8 edges 4 lead across, as by chance 2 of 3 would. 1 and 2 have none. 0 and 2: 2 of 6.
    left, right = np.array([0, 1, 0]), np.array([1, 2, 2])
    assert [bool(linked(graph, labels, left[i : i + 1], right[i : i + 1])[0]) for i in range(3)] == [True, False, True]
    assert SHARE * 2 / 3 < 2 / 6
