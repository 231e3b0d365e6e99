"""Links between clusters, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def lists(*rows: list[int]) -> KnnGraph:
    neighbors = np.array(rows, np.int32)
    return KnnGraph(np.eye(len(rows), dtype=np.float32), neighbors, np.ones(neighbors.shape, np.float32))


@pytest.mark.parametrize(("crossing", "expected"), [(0, False), (6, False), (7, True)])
def test_three_tenths_of_what_chance_gives_by_hand(crossing, expected):
    """Two clusters of five faces with four neighbours each: 5 / 9 of 40 edges would cross, and 6.7 suffice."""
    rows = [[x for x in range(5 * (row // 5), 5 * (row // 5) + 5) if x != row] for row in range(10)]
    for row in range(crossing):
        rows[row][0] = 9 if row < 5 else 0
    assert linked(lists(*rows), np.repeat([0, 1], 5), np.array([0]), np.array([1]))[0] == expected


@given(st.integers(0, 10_000))
def test_as_slow_loops(seed):
    random = np.random.default_rng(seed)
    clusters = int(random.integers(2, 7))
    labels = np.concatenate([np.arange(clusters), random.integers(-1, clusters, random.integers(0, 25))])
    random.shuffle(labels)
    near = np.array([random.permutation(len(labels)) for _ in labels])[:, : random.integers(1, 14)]
    near[(near == np.arange(len(labels))[:, None]) | (random.random(near.shape) < 0.2)] = -1
    pairs = random.permutation(clusters)[: clusters // 2 * 2].reshape(-1, 2)
    expected = []
    for one, other in pairs:
        sizes = [(labels == one).sum(), (labels == other).sum()]
        ends = [
            (labels[face], labels[neighbor])
            for face, row in enumerate(near)
            for neighbor in row[: min(10, sum(sizes) - 1)]
            if neighbor >= 0 and {labels[face], labels[neighbor]} <= {one, other}
        ]
        across = sum(a != b for a, b in ends)
        by_chance = 2 * sizes[0] * sizes[1] / (sum(sizes) * (sum(sizes) - 1))
        expected.append(across > 0 and across / len(ends) >= SHARE * by_chance)
    assert linked(lists(*near.tolist()), labels, *pairs.T).tolist() == expected


def test_missing_neighbours_and_those_beyond_one_cluster_do_not_count():
    pair, labels = (np.array([0]), np.array([1])), np.array([0, 0, 1, 1])
    assert not linked(lists([1, -1], [0, -1], [3, -1], [2, -1]), labels, *pair)[0]  # -1 is not the last face
    further = lists([1, 4, 5, 2], [0, 4, 5, 2], [3, 4, 5, 0], [2, 4, 5, 0], [5, 0, 1, 2], [4, 0, 1, 2])
    assert not linked(further, np.array([0, 0, 1, 1, 2, 2]), *pair)[0]  # of four faces each has three others


def test_the_first_ten_neighbours_count(monkeypatch):
    neighbors = np.full((12, 11), -1)
    neighbors[:, :5] = [[x for x in range(6 * (row // 6), 6 * (row // 6) + 6) if x != row] for row in range(12)]
    neighbors[:, 10] = (np.arange(12) + 6) % 12
    halves = np.repeat([0, 1], 6), np.array([0]), np.array([1])
    assert not linked(lists(*neighbors.tolist()), *halves)[0]
    monkeypatch.setattr("clustering.pseudolabels.links.NEIGHBORS", 11)
    assert linked(lists(*neighbors.tolist()), *halves)[0]
