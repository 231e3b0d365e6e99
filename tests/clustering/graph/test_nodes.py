"""The graph of the faces without copies: as if it had been made of them alone."""

import faiss
import numpy as np
import pytest

from clustering.graph import approximate
from clustering.graph.approximate import ApproximateSettings
from clustering.graph.cells import CellSettings
from clustering.graph.copies import Copies
from clustering.graph.knn_graph import KnnGraph
from clustering.graph.nodes import Nodes, candidates, exact_graph_of_nodes, graph_of_nodes
from clustering.graph.second_search import SecondSearchSettings, is_listed, share_per_row
from facerec.pipeline.embeddings import normalize

K = 6


def crowded(faces: int, seed: int = 0) -> np.ndarray:
    """Faces of people, some of them with one to thirty copies; two are unreadable."""
    random = np.random.default_rng(seed)
    people = normalize(random.normal(size=(faces // 8, 48)))
    rows = normalize(people[random.integers(0, len(people), faces)] + 0.8 * normalize(random.normal(size=(faces, 48))))
    copied = random.choice(faces, faces // 12, replace=False)
    rows = np.concatenate([rows, np.repeat(rows[copied], random.integers(1, 31, len(copied)) // 6 + 1, axis=0)])
    rows[[3, len(rows) - 2]] = 0
    return rows[random.permutation(len(rows))]


@pytest.fixture(scope="module")
def graph() -> KnnGraph:
    return KnnGraph.build(crowded(2_400), K)


@pytest.fixture(scope="module")
def copies(graph) -> Copies:
    return Copies.of(graph)


@pytest.fixture(scope="module")
def truth(graph, copies) -> KnnGraph:
    return KnnGraph.build(graph.embeddings[copies.first], K)


def test_candidates_by_hand():
    graph = KnnGraph(
        np.eye(5, dtype=np.float32), np.array([[1, 2], [0, 3], [3, -1], [2, 1], [-1, -1]]), np.ones((5, 2))
    )
    copies = Copies(np.array([0, 0, 1, 1, 2]), np.array([0, 2, 4]))
    np.testing.assert_array_equal(candidates(graph, copies, np.arange(3)), [[0, 1], [1, -1], [-1, -1]])


def test_some_lists_lack_neighbours_and_some_do_not(graph, copies):
    """Else the other tests show nothing."""
    known = candidates(graph, copies, np.arange(len(copies.first)))
    full = np.array([len({*row} - {-1, node}) == K for node, row in enumerate(known.tolist())])
    assert 0.1 < full.mean() < 0.9
    assert copies.where_they_crowd(K) is copies


def test_copies_are_one_node_only_where_they_fill_lists(graph, copies, truth):
    once = Nodes.of(graph, K)
    assert once.found == copies.count > 0
    np.testing.assert_array_equal(once.copies.node, copies.node)
    np.testing.assert_array_equal(once.graph.neighbors, truth.neighbors)
    few = KnnGraph.build(np.concatenate([truth.embeddings, truth.embeddings[10:12]]), K)
    each = Nodes.of(few, K)
    assert (each.graph is few, each.found) == (True, 2)
    np.testing.assert_array_equal(each.copies.node, np.arange(len(few)))
    np.testing.assert_array_equal(each.copies.first, np.arange(len(few)))


def test_exactly_it_is_the_graph_of_the_nodes(graph, copies, truth, tmp_path):
    for found in (exact_graph_of_nodes(graph, copies, K), graph_of_nodes(graph, copies, tmp_path, K)):
        np.testing.assert_array_equal(found.embeddings, truth.embeddings)
        np.testing.assert_array_equal(found.neighbors, truth.neighbors)
        np.testing.assert_allclose(found.similarities, truth.similarities, atol=1e-6)


def test_approximately_it_is_nearly_that(graph, copies, truth, tmp_path):
    found = graph_of_nodes(graph, copies, tmp_path, K, "ivf")
    rows = np.flatnonzero(truth.readable)
    assert share_per_row(is_listed(truth.neighbors[rows], found.neighbors[rows]), truth.neighbors[rows]).mean() > 0.99
    assert (found.neighbors[rows] >= 0).all()
    unreadable = ~truth.readable
    assert unreadable.sum() == 2
    assert (found.neighbors[unreadable] == -1).all()


def test_a_list_that_was_full_is_taken_over(graph, copies, tmp_path):
    """With a first look into one cell only what lacks neighbours could be worse."""
    known = candidates(graph, copies, np.arange(len(copies.first)))
    full = [node for node, row in enumerate(known.tolist()) if len({*row} - {-1, node}) == K]
    found = graph_of_nodes(graph, copies, tmp_path, K, "ivf")
    for node in full:
        assert set(known[node].tolist()) == set(found.neighbors[node].tolist())


def test_what_is_known_and_the_neighbours_of_that_are_in_the_lists(graph, copies, truth, tmp_path, monkeypatch):
    """Also where the faces are hardly searched for: the nearest cell, a round, and a last one."""
    settings = ApproximateSettings(
        probed=1, rounds=1, cells=CellSettings(rows=20), second=SecondSearchSettings((2,), 0)
    )
    monkeypatch.setattr(approximate, "ApproximateSettings", lambda: settings)
    found = graph_of_nodes(graph, copies, tmp_path, K, "ivf").neighbors
    known = [{*row} - {-1, node} for node, row in enumerate(candidates(graph, copies, np.arange(len(found))).tolist())]
    lacking = [node for node, row in enumerate(known) if 0 < len(row) < K]
    near = {node: known[node].union(*(known[other] for other in known[node] if len(known[other]) == K))
            for node in lacking}  # fmt: skip
    assert sum(len(near[node] & {*truth.neighbors[node].tolist()} - known[node]) for node in lacking) > 100
    for node in lacking:
        assert near[node] & {*truth.neighbors[node].tolist()} <= {*found[node].tolist()}


@pytest.mark.parametrize("k", [3, 9])
def test_another_number_of_neighbours(graph, copies, tmp_path, k):
    true = KnnGraph.build(graph.embeddings[copies.first], k)
    np.testing.assert_array_equal(graph_of_nodes(graph, copies, tmp_path / "exact", k).neighbors, true.neighbors)
    found, rows = graph_of_nodes(graph, copies, tmp_path / "ivf", k, "ivf"), np.flatnonzero(true.readable)
    assert share_per_row(is_listed(true.neighbors[rows], found.neighbors[rows]), true.neighbors[rows]).mean() > 0.98


def test_without_copies_nothing_changes(tmp_path):
    rows = crowded(1_300, seed=2)[:1_300]
    graph = KnnGraph.build(rows[np.unique(rows, axis=0, return_index=True)[1]], K)
    none = Copies(np.arange(len(graph)), np.arange(len(graph)))
    for index in ("exact", "ivf"):
        found = graph_of_nodes(graph, none, tmp_path / index, K, index)
        np.testing.assert_array_equal(found.neighbors, graph.neighbors)


def test_fewer_nodes_than_neighbours(tmp_path):
    """Nothing but copies of three faces."""
    rows = normalize(np.random.default_rng(0).normal(size=(3, 40)))
    graph = KnnGraph.build(np.repeat(rows, 20, axis=0), K)
    found = graph_of_nodes(graph, Copies.of(graph), tmp_path, K)
    assert found.neighbors.tolist() == KnnGraph.build(rows, 2).neighbors.tolist()


def test_it_goes_on_where_it_was_interrupted_with_any_number_of_threads(graph, copies, tmp_path, monkeypatch):
    whole = graph_of_nodes(graph, copies, tmp_path / "whole", K, "ivf")
    refined = approximate.refined

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(approximate, "refined", interrupted)
    with pytest.raises(KeyboardInterrupt):
        graph_of_nodes(graph, copies, tmp_path / "parts", K, "ivf")
    monkeypatch.setattr(approximate, "refined", refined)
    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(3)
        again = graph_of_nodes(graph, copies, tmp_path / "parts", K, "ivf")
    finally:
        faiss.omp_set_num_threads(before)
    np.testing.assert_array_equal(again.neighbors, whole.neighbors)
    np.testing.assert_array_equal(again.similarities, whole.similarities)
