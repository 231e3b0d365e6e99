"""Longer lists for people with many faces: their lengths by hand, their neighbours exact, and what they gain."""

from __future__ import annotations

import numpy as np
import pytest

from clustering.backends.hilander import hilander, pairs
from clustering.backends.hilander.hilander import HiLander
from clustering.backends.hilander.longer_lists import lengths_by_size, with_longer_lists, worth_it
from clustering.graph.constraints import Constraints
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.learning.versions import versions
from eval.clusters import scores
from facerec.pipeline.embeddings import normalize


@pytest.fixture(scope="module")
def many_faces(data):
    """Simulated people of celeba299 with 8 to 240 faces each."""
    with np.load(data / "embeddings_celeba299_mobilefacenet128.npz", allow_pickle=False) as content:
        chosen = np.isin(content["labels"], np.unique(content["labels"])[:150])
        faces = LabelledFaces(normalize(content["embeddings"][chosen]), content["labels"][chosen])
    large = versions(faces, 0)["large"]
    some = np.random.default_rng(0).permutation(len(large.labels))[:1700]
    return large.embeddings[some], large.labels[some]


def test_a_list_holds_a_fifth_of_as_many_faces_as_the_cluster():
    labels = np.repeat(np.arange(5), [99, 100, 150, 199, 1000])
    alone = lengths_by_size(np.concatenate([labels, np.arange(5, 2000)]), 10)  # the median is 1
    assert alone[np.searchsorted(labels, range(5))].tolist() == [10, 20, 30, 39, 40]
    assert alone[-1] == 10


def test_pieces_count_as_if_they_had_the_median_size():
    labels = np.repeat(np.arange(4), [160, 5, 5, 5])
    assert set(lengths_by_size(labels, 10)) == {32}
    assert set(lengths_by_size(labels, 20)) == {20}  # less than twice as long


def test_faces_without_cluster_get_no_longer_lists():
    labels = np.repeat([0, -1], [200, 3])
    assert lengths_by_size(labels, 10)[[0, -1]].tolist() == [40, 10]
    assert lengths_by_size(np.full(3, -1), 10).tolist() == [10, 10, 10]


def test_a_second_climb_needs_enough_faces_and_not_too_many():
    lengths = np.repeat([20, 10], [15, 85])
    assert worth_it(lengths, 10, 128)
    assert not worth_it(np.repeat([20, 10], [14, 86]), 10, 128)
    assert not worth_it(lengths, 20, 128)
    assert not worth_it(np.zeros(0, np.int64), 10, 128)
    assert worth_it(np.full(270_000, 40), 10, 128)
    assert not worth_it(np.full(290_000, 40), 10, 128)  # the search would take long


def test_longer_lists_are_exact_and_the_others_stay(blobs):
    faces = blobs(identities=6, faces=10, spread=1.0)[0]
    faces[7] = 0  # could not be read
    lengths = np.where(np.arange(60) % 3 == 0, 20, 5)
    lengths[[3, 7]] = 12, 5
    found, exact = with_longer_lists(KnnGraph.build(faces, 5), 5, lengths), KnnGraph.build(faces, 20)
    inside = np.arange(20) < lengths[:, None]
    np.testing.assert_array_equal(found.neighbors, np.where(inside, exact.neighbors, -1))
    np.testing.assert_array_equal(with_longer_lists(exact, 5, lengths).neighbors, found.neighbors)  # no search
    np.testing.assert_allclose(found.similarities, np.where(inside, exact.similarities, 0), atol=1e-6)


def test_people_with_many_faces_come_together(many_faces, monkeypatch, caplog):
    """Also if the width of the graph is another one. Pairs that mingle would bring pieces together, too."""
    caplog.set_level("INFO")
    monkeypatch.setattr(pairs, "may_mingle", lambda *given: np.zeros(0, np.int64))
    faces, truth = many_faces
    graph, strict = KnnGraph.build(faces, 30), HiLander(k=3, p_tau=0.9)
    found = strict.cluster(graph)
    assert "some people have many faces, so 1,700 faces got up to 40 neighbours" in caplog.text
    assert min(scores(truth, found.labels)[name] for name in ("pairwise_f", "bcubed_f")) > 0.95
    np.testing.assert_array_equal(strict.cluster(KnnGraph.build(faces, 3)).labels, found.labels)
    once = strict.with_settings(adaptive=False).cluster(graph).labels
    assert max(scores(truth, once)[name] for name in ("pairwise_f", "bcubed_f")) < 0.91
    monkeypatch.setattr(hilander, "mixed", lambda graph, labels: labels.max() < once.max())
    np.testing.assert_array_equal(strict.cluster(graph).labels, once)  # with mixtures, longer lists are no better


def test_answers_hold_with_longer_lists(many_faces):
    faces, _ = many_faces
    graph, clusterer = KnnGraph.build(faces, 10), HiLander()
    labels = clusterer.cluster(graph).labels
    largest = np.flatnonzero(labels == np.bincount(labels).argmax())
    torn = Constraints(len(labels), largest[None, :2], np.array([False]))
    found = clusterer.cluster_with(graph, torn).labels
    assert found[largest[0]] != found[largest[1]]
    assert scores(labels, found)["bcubed_f"] > 0.9
