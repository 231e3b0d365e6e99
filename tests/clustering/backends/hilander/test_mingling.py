"""Pairs that mingle: by hand, against slow loops, and what they gain on simulated and real embeddings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering.backends.hilander import mingling, pairs
from clustering.backends.hilander.hilander import HiLander
from clustering.backends.hilander.level import Level
from clustering.backends.hilander.mingling import UNLIKELY, Crossings, may_mingle, mingling_pairs
from clustering.graph.constraints import Constraints
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.learning.versions import large
from eval.clusters import scores
from facerec.pipeline.embeddings import normalize


def listed(*neighbors, width=40):
    """A graph with these lists of neighbours, padded to a width."""
    lists = np.full((len(neighbors), width), -1, np.int32)
    for own, near in zip(lists, neighbors, strict=True):
        own[: len(near)] = near
    return KnnGraph(np.eye(len(neighbors), dtype=np.float32), lists, np.zeros(lists.shape, np.float32))


def test_as_much_as_one_person_by_hand():
    """Two clusters of two faces: of one person, two of three neighbours would be in the other cluster."""
    graph = listed([1, 2, 3], [2, 3, 0], [3, 1, 0], [0, 2, 1])
    crossings = Crossings.of(graph, np.array([0, 0, 1, 1]), np.ones(2, bool))
    found = crossings.mingling(np.arange(2), np.full(2, 2, np.float32), np.array([1]), np.array([0]))
    edges, across = 8, 5  # the first two of each list: half as many as there are faces
    assert found == pytest.approx(across / edges / (2 / 3))


@given(st.integers(0, 10_000))
def test_as_slow_loops(seed):
    random = np.random.default_rng(seed)
    faces, clusters = int(random.integers(1, 40)), int(random.integers(1, 6))
    cluster = random.integers(0, clusters, faces)
    longest = random.choice([2, 41])  # with short lists, some pairs have no edge
    lists = [random.permutation(faces)[: random.integers(0, longest)] for _ in range(faces)]
    lists = [near[near != face] for face, near in enumerate(lists)]
    among = random.random(clusters) < 0.8
    parents = np.array([int(random.choice(np.flatnonzero(among[: one + 1]))) if among[one] else one
                        for one in range(clusters)])  # fmt: skip
    now = parents[parents[parents[parents[parents[cluster]]]]]
    sizes = np.bincount(now, minlength=clusters).astype(np.float32)
    roots = [one for one in range(clusters) if among[one] and parents[one] == one and sizes[one]]
    wanted = [(one, other) for one in roots for other in roots if one != other]
    one, other = np.array(wanted, np.int64).reshape(-1, 2).T
    crossings = Crossings.of(listed(*lists), cluster, among)
    found = crossings.mingling(parents, sizes, one, other)
    np.testing.assert_allclose(found, [slow(lists, now, *pair) for pair in wanted])


def slow(lists, now, one, other):
    n, m = (now == one).sum(), (now == other).sum()
    most = min((n + m) // 2, 40)
    edges = [(now[face], now[near]) for face, nears in enumerate(lists) for near in nears[:most]
             if {now[face], now[near]} <= {one, other}]  # fmt: skip
    across = sum(a != b for a, b in edges)
    return across / max(len(edges), 1) * (n + m) * (n + m - 1) / (2 * n * m)


def test_small_and_unlikely_pairs_are_not_looked_at():
    graph = KnnGraph.build(np.eye(20, dtype=np.float32), 2)
    i, j = np.array([0, 0, 1, 2], np.int32), np.array([1, 2, 2, 3], np.int32)
    values, sizes = np.array([-2, -2.1, 3, 3], np.float32), np.array([5, 6, 5, 4], np.float32)
    assert may_mingle(graph, i, j, values, sizes).tolist() == [0, 2]


def test_nothing_is_looked_at_if_that_takes_long(monkeypatch):
    graph = KnnGraph.build(np.eye(20, dtype=np.float32), 2)
    pair = np.array([0], np.int32), np.array([1], np.int32)
    given = graph, *pair, np.ones(1, np.float32), np.array([7, 8], np.float32)
    monkeypatch.setattr(mingling, "MOST_OPERATIONS", 2 * 15 * 20 * 20)
    assert may_mingle(*given).tolist() == [0]
    monkeypatch.setattr(mingling, "MOST_OPERATIONS", 2 * 15 * 20 * 20 - 1)
    assert may_mingle(*given).tolist() == []


@pytest.mark.parametrize(("mingle", "decoys", "joins"), [(2, 3, True), (2, 4, False), (4, 6, True), (4, 7, False)])
def test_many_pairs_that_nearly_mingle_show_that_strangers_do(mingle, decoys, joins, monkeypatch):
    lowest, beyond = (share * mingling.LEAST for share in mingling.DECOYS)
    amounts = np.array([0.35] + [0.4] * (mingle - 1) + [lowest] + [0.2] * (decoys - 1) + [beyond, 0.3, 0.1])
    monkeypatch.setattr(Crossings, "mingling", lambda crossings, parents, sizes, i, j: amounts[: len(i)])
    graph = KnnGraph.build(np.eye(2 * len(amounts), dtype=np.float32), 2)
    ends = np.arange(2 * len(amounts), dtype=np.int32).reshape(2, -1)
    every = np.arange(len(graph))

    def likely(sums, sizes, i, j):
        return np.full(len(i), 3, np.float32)

    joining = mingling_pairs(graph, every, Level.of_faces(graph), *ends, likely(None, None, *ends), likely)
    joining.join(UNLIKELY)
    assert np.flatnonzero(joining.parents != every).tolist() == (ends[1, :mingle].tolist() if joins else [])


@pytest.fixture(scope="module")
def in_pieces(data):
    """Simulated people of celeba299 with 20 to 600 faces, whose three nearest neighbours share a pose."""
    with np.load(data / "embeddings_celeba299_mobilefacenet128.npz", allow_pickle=False) as content:
        faces = LabelledFaces(normalize(content["embeddings"]), content["labels"])
    some = large(faces, np.random.default_rng(0))
    return KnnGraph.build(some.embeddings, 40), some.labels


def test_pieces_of_people_with_many_faces_come_together(in_pieces, monkeypatch):
    """The width of the graph changes nothing: what it lacks is searched for."""
    graph, truth = in_pieces
    strict = HiLander(k=3, p_tau=0.9, adaptive=False)
    found = strict.cluster(graph).labels
    np.testing.assert_array_equal(strict.cluster(graph.narrowed(3)).labels, found)
    monkeypatch.setattr(pairs, "may_mingle", lambda *given: np.zeros(0, np.int64))
    without = strict.cluster(graph).labels
    for figure in ("pairwise_f", "bcubed_f"):
        assert scores(truth, found)[figure] > scores(truth, without)[figure] + 0.15
    assert scores(truth, found)["pairwise_precision"] > 0.95


def test_two_people_stay_apart_however_they_mingle(in_pieces):
    graph, _ = in_pieces
    strict = HiLander(k=3, p_tau=0.9, adaptive=False)
    found = strict.cluster(graph)
    before, after = (level["labels"] for level in found.levels[-3:-1])
    moved = next(one for one in range(after.max() + 1) if len(np.unique(before[after == one])) == 2)
    pair = [np.flatnonzero(before == one)[0] for one in np.unique(before[after == moved])]
    known = Constraints(len(graph), np.array([pair]), np.array([False]))
    labels = strict.cluster_with(graph, known).labels
    assert labels[pair[0]] != labels[pair[1]]
    assert found.labels[pair[0]] == found.labels[pair[1]]


def test_sentences_without_labels(data):
    """Without pairs that mingle F is .822 and .840."""
    with np.load(data / "embeddings_clinc150_minilm384_train.npz", allow_pickle=False) as content:
        faces, truth = normalize(content["embeddings"]), content["labels"]
    figures = scores(truth, HiLander().cluster(KnnGraph.build(faces, 40)).labels)
    assert figures["pairwise_f"] > 0.825
    assert figures["bcubed_f"] > 0.843
