"""Clusters that join in pairs: by hand, and against average linkage among all pairs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering.backends.hac import HacAverage
from clustering.graph.joining import Joining, pairs_once
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from clustering.quality.nested_cuts import mean_cosine
from facerec.pipeline.embeddings import normalize


def nearness(sums: np.ndarray, sizes: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Minus the distance between means of numbers."""
    return -np.abs(sums[i, 0] / sizes[i] - sums[j, 0] / sizes[j]).astype(np.float32)


def joined(numbers: list[float], edges: list[tuple[int, int]], least: float, rounds: int = 500) -> Joining:
    i, j = np.array(edges).T
    found = Joining(np.array(numbers, np.float32)[:, None], np.ones(len(numbers), np.float32), i, j, nearness)
    found.join(least, rounds)
    return found


@pytest.mark.parametrize(
    ("least", "clusters"),
    [
        (-0.5, [0, 1, 2, 3]),
        (-1.5, [0, 0, 1, 2]),  # 1 and 2.4 are near enough, but not once 1 has joined 0
        (-2.0, [0, 0, 0, 1]),
        (-10.0, [0, 0, 0, 0]),
    ],
)
def test_an_edge_is_judged_when_it_is_taken(least, clusters):
    found = joined([0, 1, 2.4, 10], [(0, 1), (1, 2), (2, 3)], least)
    np.testing.assert_array_equal(consecutive(found.clusters()[0]), clusters)


def test_what_has_no_edge_never_joins():
    np.testing.assert_array_equal(joined([0, 0, 5, 5], [(0, 2), (1, 3)], -1.0).clusters()[0], [0, 1, 2, 3])


def test_the_larger_cluster_keeps_its_place():
    found = joined([0, 3, 3.5, 3.6], [(0, 1), (1, 2), (2, 3)], -10.0)
    np.testing.assert_array_equal(found.parents, [2, 2, 2, 2])  # 3 joins 2, then 1, then 0
    np.testing.assert_allclose(found.joined, [-(3.55 * 2 + 3) / 3, -0.55, 0, -0.1], atol=1e-5)
    assert (found.sizes[2], found.sums[2, 0]) == (4, pytest.approx(10.1))


def test_a_round_joins_pairs_that_are_each_other_s_best():
    found = joined([0, 1, 10, 11], [(0, 1), (1, 2), (2, 3)], -20.0, rounds=1)
    np.testing.assert_array_equal(found.clusters()[0], [0, 0, 1, 1])


@given(st.integers(0, 10_000), st.sampled_from([0.2, 0.4, 0.6]))
def test_among_all_pairs_it_is_average_linkage(seed, least):
    random = np.random.default_rng(seed)
    faces = normalize(random.normal(size=(25, 4)))
    i, j = np.triu_indices(25, 1)
    found = Joining(faces.copy(), np.ones(25, np.float32), i, j, mean_cosine)
    found.join(least)
    exact = HacAverage(min_similarity=least).cluster(KnnGraph.build(faces, 24)).labels
    np.testing.assert_array_equal(consecutive(found.clusters()[0]), consecutive(exact))


def test_pairs_of_as_many_rows_as_int32_holds():
    most = np.iinfo(np.int32).max
    one, other = np.array([[most - 1, 3, 0, 7, most - 2], [most - 2, most - 1, most - 1, 7, most - 1]])
    i, j = pairs_once(one, other, most)
    assert list(zip(i, j, strict=True)) == [(0, most - 1), (3, most - 1), (most - 2, most - 1)]


def test_best_pairs_are_the_same_in_blocks(monkeypatch):
    """Equally good edges, too, of which the last counts."""
    random = np.random.default_rng(0)
    i, j = np.triu_indices(30, 1)
    values = random.integers(0, 4, len(i)).astype(np.float32)
    found = Joining(np.zeros((30, 1), np.float32), np.ones(30, np.float32), i, j, nearness, values)
    order = np.lexsort((np.arange(len(i)), values))
    best = {node: edge for edge in order for node in (i[edge], j[edge])}
    expected = [edge for edge in range(len(i)) if values[edge] >= 1 and best[i[edge]] == best[j[edge]] == edge]
    for block in (7, 1 << 18):
        monkeypatch.setattr("clustering.graph.joining.BLOCK", block)
        assert found._mutually_best(1).tolist() == expected
    assert expected


def test_what_is_far_too_little_is_forgotten():
    """Were it not, the means 0 and 4 of what joins first would be near enough to 2 in the end."""
    numbers, edges = [-1.0, 1.0, 5.0], [(0, 1), (0, 2), (1, 2)]
    i, j = np.array(edges).T
    for slack, count in ((np.inf, 1), (0.5, 2)):
        found = Joining(np.array(numbers, np.float32)[:, None], np.ones(3, np.float32), i, j, falling_behind)
        found.join(-3.0, slack=slack)
        assert len(found.clusters()[1]) == count


def falling_behind(sums: np.ndarray, sizes: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Minus the distance over the size of the larger: large clusters join what single ones would not."""
    return nearness(sums, sizes, i, j) / np.maximum(sizes[i], sizes[j])


def held(numbers: list[float], edges: list[tuple[int, int]], together: list, apart: list) -> list[int]:
    i, j = np.array(edges).T
    found = Joining(np.array(numbers, np.float32)[:, None], np.ones(len(numbers), np.float32), i, j, nearness)
    found.hold(*(np.array(pairs, np.int64).reshape(-1, 2) for pairs in (together, apart)))
    found.join(-np.inf)
    found.unite()
    found.join(-np.inf)
    assert found.sums[found.clusters()[1]].sum() == pytest.approx(sum(numbers))
    return consecutive(found.clusters()[0]).tolist()


def test_what_must_not_be_together_never_joins_and_what_must_joins_in_the_end():
    line = [(0, 1), (1, 2), (2, 3)]
    assert held([0, 1, 3, 7], line, [], [(0, 1)]) == [0, 1, 1, 1]
    assert held([0, 1, 3, 7], line, [], [(0, 3)]) == [0, 0, 0, 1]  # also once 0 has become part of something
    assert held([0, 1, 3, 7], line, [(3, 1), (2, 3)], [(0, 3)]) == [0, 1, 1, 1]
    assert held([0, 1, 3, 7], [(0, 1)], [(0, 2)], [(3, 1)]) == [0, 0, 0, 1]  # without an edge between them
    assert held([0, 1, 7, 8], [(0, 1), (2, 3)], [(1, 2)], []) == [0, 0, 0, 0]  # as wholes
    assert held([0, 1, 7, 8], [(0, 1), (2, 3)], [(1, 2)], [(0, 3)]) == [0, 1, 1, 1]  # 2 has joined the nearer one


def slowly(numbers: list[float], together: np.ndarray, apart: np.ndarray) -> list[int]:
    """One pair at a time: the nearest two whose tied clusters have nobody who must be apart."""
    clusters = [{number} for number in range(len(numbers))]

    def tied(whole: set[int]) -> set[int]:
        while more := [other for pair in together.tolist() for other in pair if len(whole & set(pair)) == 1]:
            whole = whole.union(*[cluster for cluster in clusters if cluster & set(more)])
        return whole

    def allowed(one: set[int], other: set[int]) -> bool:
        whole = tied(one | other)
        return not any({a, b} <= whole for a, b in apart.tolist())

    def mean(cluster: set[int]) -> float:
        return float(np.mean([numbers[number] for number in cluster]))

    while free := [pair for pair in combinations(clusters, 2) if allowed(*pair)]:
        one, other = min(free, key=lambda pair: abs(mean(pair[0]) - mean(pair[1])))
        clusters = [one | other, *(cluster for cluster in clusters if cluster not in (one, other))]
    wholes = [tied(cluster) for cluster in clusters]
    return consecutive(np.array([min(next(w for w in wholes if n in w)) for n in range(len(numbers))])).tolist()


@given(st.integers(0, 10_000))
def test_held_pairs_against_an_oracle(seed):
    random = np.random.default_rng(seed)
    numbers, people = np.cumsum(random.uniform(0.1, 1, 9)).tolist(), random.integers(0, 3, 9)
    pairs = random.integers(0, 9, (6, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    same = people[pairs[:, 0]] == people[pairs[:, 1]]
    found = held(numbers, np.stack(np.triu_indices(9, 1), axis=1), pairs[same], pairs[~same])
    assert found == slowly(numbers, pairs[same], pairs[~same])


def test_what_joins_is_recorded_by_hand():
    sums, sizes = np.array([[0], [4], [30], [31]], np.float32), np.array([1, 4, 3, 1], np.float32)
    found = Joining(sums, sizes, np.array([0, 2]), np.array([1, 3]), nearness)  # means 0 and 1, 10 and 31
    found.join(-1)  # at the least worth, too
    assert found.parents.tolist() == [1, 1, 2, 3]
    assert (found.met.tolist(), found.joined.tolist()) == ([4, 0, 0, 0], [-1, 0, 0, 0])
    assert (found.sums[1, 0], found.sizes[1]) == (4, 5)


def test_several_tied_clusters_join_the_largest():
    sums, sizes = np.array([[1], [2], [4], [8]], np.float32), np.array([1, 1, 3, 1], np.float32)
    found = Joining(sums, sizes, np.array([0]), np.array([3]), nearness)
    found.hold(np.array([[0, 1], [1, 2]]), np.zeros((0, 2), np.int64))
    found.unite()
    assert found.parents.tolist() == [2, 2, 2, 3]
    assert (found.sums[2, 0], found.sizes[2], found.met.tolist()) == (7, 5, [3, 3, 0, 0])


def test_a_copy_without_some_nodes_has_none_of_their_edges():
    found = Joining(np.zeros((3, 1), np.float32), np.ones(3, np.float32), np.array([0, 1]), np.array([1, 2]), nearness)
    copy = found.without(np.array([0]))
    copy.join(-1)
    assert copy.parents.tolist() in ([0, 1, 1], [0, 2, 2])
