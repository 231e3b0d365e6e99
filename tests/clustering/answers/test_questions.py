"""Which questions are asked: by hand on small corpora, and in rounds."""

from __future__ import annotations

import numpy as np
import pytest

from clustering.answers.clustered import clusters_of
from clustering.answers.file import DIFFERENT, SAME, UNSURE, Answers
from clustering.answers.groups import Groups, stake
from clustering.answers.odds import Correction, between, within
from clustering.answers.questions import between_clusters, choose_questions, links_between
from clustering.answers.sides import sides, undone
from clustering.answers.simulation import Turn, ask_in_rounds
from clustering.backends.dbscan import Dbscan
from clustering.backends.hilander.hilander import packaged
from clustering.backends.hilander.pairs import Start
from clustering.backends.networks.gcn_v import GcnV
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.edges import Edges
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from clustering.quality.estimate import estimate_quality
from eval.clusters import scores
from facerec.pipeline.files import InputError


@pytest.fixture
def corpus():
    """Six people of ten faces, and a clustering: person 0 in two clusters, persons 1 and 2 in one."""
    generator = np.random.default_rng(0)
    truth = np.repeat(np.arange(6), 10)
    faces = np.eye(6, 32)[truth] + 0.08 * generator.normal(size=(60, 32))
    faces = (faces / np.linalg.norm(faces, axis=1, keepdims=True)).astype(np.float32)
    labels = np.where(np.arange(60) < 5, 6, np.where(truth == 2, 1, truth))
    return KnnGraph.build(faces, 10), labels, truth


def test_a_cluster_in_two_and_two_people_in_one_are_asked_about_first(corpus):
    graph, labels, truth = corpus
    found = choose_questions(graph, labels, Answers.none(), 2)
    assert sorted(truth[pair].tolist() for pair in np.sort(found.pairs, axis=1)) == [[0, 0], [1, 2]]
    assert (found.answer == UNSURE).all()
    answers = found.answered(truth)
    assert sorted(answers.answer.tolist()) == [DIFFERENT, SAME]
    again = choose_questions(graph, labels, answers, 100)
    asked = {frozenset(pair) for pair in labels[answers.pairs].tolist()}
    assert not asked & {frozenset(pair) for pair in labels[again.pairs].tolist() if len(set(pair)) > 1}
    assert (found.answered(np.full(60, -1)).answer == UNSURE).all()


def test_no_question_about_two_clusters_follows_from_others(corpus):
    graph, labels, _ = corpus
    found = choose_questions(graph, labels, Answers.none(), 1000)
    pairs = labels[found.pairs]
    between = pairs[pairs[:, 0] != pairs[:, 1]]
    assert len(between) <= len(np.unique(labels)) - 1
    within = pairs[pairs[:, 0] == pairs[:, 1], 0]
    assert sorted(within.tolist()) == np.unique(labels).tolist()  # the sides of each cluster, however sure


def test_sides_that_were_asked_about_are_not_asked_about_again():
    graph = KnnGraph.build(np.random.default_rng(0).normal(size=(20, 16)), 10)
    first = choose_questions(graph, np.zeros(20, np.int64), Answers.none(), 1)
    again = choose_questions(graph, np.zeros(20, np.int64), first.answered(np.zeros(20)), 1)
    assert len(first) == len(again) == 1
    assert set(first.pairs[0]) != set(again.pairs[0])


def test_answers_that_are_sure_correct_the_log_odds_of_questions(corpus, monkeypatch):
    seen = []
    monkeypatch.setattr(Correction, "by_answers", lambda *given: seen.extend(map(list, given)) or Correction())
    answer, log_odds = np.array([SAME, UNSURE, DIFFERENT, SAME]), np.array([1, 2, 3, np.nan])
    choose_questions(*corpus[:2], Answers(np.array([[0, 1], [0, 2], [0, 11], [3, 4]]), answer, log_odds), 1)
    assert seen == [[1, 3], [True, False]]


def test_links_count_for_a_face_of_the_smaller_cluster(corpus):
    graph, labels, _ = corpus
    labels = consecutive(labels)
    start = Start.of(graph, packaged().model)
    found = between_clusters(start, labels, np.zeros((0, 2), np.int64))
    sizes, likeness = np.bincount(labels), found.groups.likeness(*found.pairs.T, start.level.scale)
    links = links_between(start.edges, labels, found.pairs) / [min(sizes[one], sizes[two]) for one, two in found.pairs]
    assert len(set(sizes)) > 1
    np.testing.assert_allclose(found.log_odds, between(likeness, links))


@pytest.mark.parametrize(
    "labels", [np.arange(60), np.zeros(60, int), np.full(60, -1), np.where(np.arange(60) < 2, 0, -1)]
)
def test_extreme_clusterings(corpus, labels):
    found = choose_questions(corpus[0], labels, Answers.none(), 5)
    assert len(found) <= 5
    assert (labels[found.pairs] >= 0).all()


def test_rounds_mend_the_clustering(corpus):
    graph, _, truth = corpus
    weak = Dbscan(min_similarity=0.01, adaptive=False)
    labels = weak.cluster(graph).labels
    turns = list(ask_in_rounds(weak, graph, Turn(Answers.none(), labels), truth, 5, 4))
    before, after = (scores(truth, each)["bcubed_f"] for each in (labels, turns[-1].labels))
    assert after > before + 0.2
    assert len(turns) == 4
    pairs = np.sort(turns[-1].answers.pairs, axis=1)
    assert len(np.unique(pairs, axis=0)) == len(pairs)


def test_groups_by_hand():
    faces = np.array([[1, 0], [1, 0], [0, 1], [1, 0], [0, 0]], np.float32)
    groups = Groups.of(faces, np.array([0, 0, 1, 1, -1]), CorpusScale())
    assert groups.sizes.tolist() == [2, 2]
    usual = 0.5  # of the two pairs one has cosine 1, one 0
    assert groups.cohesion.tolist() == pytest.approx([(1 * 2 + usual * 4) / 6, (0 * 2 + usual * 4) / 6])
    between = groups.likeness(np.array([0]), np.array([1]), CorpusScale())
    assert between[0] == pytest.approx(0.5 / np.sqrt(2 / 3 * 1 / 3))
    assert stake(np.array([4]), np.array([4])) == pytest.approx([8])


def test_single_typical_and_loose_faces():
    faces, one, other = np.eye(2, dtype=np.float32)[[0, 1, 1, 0]], np.array([0]), np.array([1])
    single = Groups.of(np.array([[1, 0], [0.6, 0.8]], np.float32), np.arange(2), CorpusScale())
    assert single.likeness(one, other, CorpusScale()) == pytest.approx([0.6])
    angles = np.radians([0.0, 50, 20])
    typical = Groups.of(np.stack([np.cos(angles), np.sin(angles)], axis=1), np.zeros(3, np.int64), CorpusScale())
    assert typical.shown.tolist() == [2]
    loose = Groups.of(faces, np.array([0, 0, 1, 1]), CorpusScale())  # 0 within, on average .5 between
    assert loose.likeness(one, other, CorpusScale()) == pytest.approx([0.5 / 0.05])


def test_links_by_hand():
    graph = KnnGraph(np.zeros((5, 1)), np.array([[1, 2], [3, -1], [0, 4], [0, 1], [2, 3]]), np.ones((5, 2), np.float32))
    edges = Edges.of(graph)  # 0-1, 0-2, 0-3, 1-3, 2-4, 3-4
    pairs = np.array([[0, 1], [0, 2], [1, 2]])
    assert links_between(edges, np.array([0, 0, 1, 2, -1]), pairs).tolist() == [1, 2, 0]
    assert links_between(edges, np.full(5, -1), pairs[:0]).tolist() == []


def test_sides_of_a_join_by_hand():
    # 1 and 2 joined 0, then 4 with its 5 joined 0, then 3; 7 joined 6, and 8 is alone
    parents, met = np.array([0, 0, 0, 0, 0, 4, 6, 6, 8]), np.array([0, 1, 2, 5, 3, 1, 0, 1, 0], np.float32)
    assert undone(parents, met, np.array([4, 7])).tolist() == [0, 0, 0, -1, 1, 1, 2, 3, -1]
    assert undone(parents, met, np.array([2])).tolist() == [0, 0, 1, -1, -1, -1, -1, -1, -1]


def test_two_people_in_a_cluster_are_its_sides(corpus):
    graph, labels, truth = corpus
    labels = consecutive(labels)
    labels = (labels - labels[truth == 1][0]) % (labels.max() + 1)  # theirs is cluster 0
    start, centres = Start.of(graph, packaged().model), np.unique(labels, return_index=True)[1]
    none = np.zeros((0, 2), np.int64)
    both = np.flatnonzero(labels == labels[truth == 1][0])
    found = sides(start, labels, centres, none)[both]
    assert len(np.unique(np.stack([found, truth[both]]), axis=1).T) == 2
    asked = np.array([[both[0], both[-1]]])
    found = sides(start, labels, centres, asked)[both]
    assert found[0] == found[-1]


def test_answers_correct_the_log_odds():
    none = Correction.by_answers(np.zeros(0), np.zeros(0, bool))
    assert (none.slope, none.offset) == pytest.approx((1, 0), abs=1e-3)
    assert none.probability(np.array([0.0])) == pytest.approx([0.5], abs=1e-3)
    log_odds = np.linspace(-3, 3, 200)
    moved = Correction.by_answers(log_odds, log_odds > 1)
    assert 0.7 < -moved.offset / moved.slope < 1.1
    backwards = Correction.by_answers(log_odds, log_odds < 0)
    assert (backwards.slope, backwards.offset) == (1, 0)  # nonsense changes nothing
    assert Correction(2, -1).probability(np.array([0.5, 1])) == pytest.approx([0.5, 1 / (1 + np.exp(-1))])


def test_log_odds_by_hand():
    """-7.75 + 7.13 likeness + 1.34 log(1 + links), and -3.8 + 6.4 likeness."""
    assert between(np.array([1.0, 1.0]), np.array([0.0, np.e - 1])) == pytest.approx([-0.62, 0.72])
    assert within(np.array([0.5, 1])) == pytest.approx([-0.6, 2.6])


def test_arguments_of_another_type_are_named():
    graph, before = (
        KnnGraph.build(np.eye(3), 2),
        Answers(np.zeros((0, 2), np.int64), np.zeros(0, np.int64), np.zeros(0)),
    )
    for call, message in (
        (lambda: choose_questions(np.eye(3), np.arange(3), before, 1), "graph is array.*; expected KnnGraph"),
        (lambda: choose_questions(graph, np.arange(3), None, 1), "before is None; expected Answers"),
        (lambda: clusters_of("dbscan", graph, None), "clusterer is 'dbscan'; expected Clusterer"),
        (lambda: clusters_of(GcnV(), graph, None), "gcn_v has no model, but None; make one with GcnV.learn"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_graphs_that_were_made_by_hand_are_checked():
    graph = KnnGraph.build(np.random.default_rng(0).normal(size=(60, 8)), 10)
    moved = KnnGraph(graph.embeddings[::-1], graph.neighbors, graph.similarities)
    for call in (
        lambda: choose_questions(moved, np.arange(60), Answers.none(), 1),
        lambda: clusters_of(Dbscan(), moved, None),
        lambda: estimate_quality(moved, np.arange(60)),
    ):
        with pytest.raises(InputError, match="similarities: row 0: .*; the graph is of other faces, or of another"):
            call()


def test_answers_about_other_faces_are_refused():
    before = Answers(np.array([[0, 5]]), np.array([UNSURE]), np.zeros(1))
    with pytest.raises(InputError, match="pair 0 has row 5; expected rows from 0 to 4"):
        choose_questions(KnnGraph.build(np.eye(5), 2), np.arange(5), before, 3)
