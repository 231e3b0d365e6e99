"""Which questions are asked: by hand on small corpora, and in rounds."""

from __future__ import annotations

import numpy as np
import pytest

from clustering.answers.file import DIFFERENT, SAME, UNSURE, Answers
from clustering.answers.groups import Groups, halves
from clustering.answers.odds import Odds
from clustering.answers.questions import choose_questions
from clustering.answers.simulation import ask_in_rounds
from clustering.backends.dbscan import Dbscan
from clustering.graph.knn_graph import KnnGraph
from clustering.similarity.corpus_scale import CorpusScale
from eval.clusters import scores


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
    turns = list(ask_in_rounds(weak, graph, labels, truth, Answers.none(), 5, 4))
    before, after = (scores(truth, each)["bcubed_f"] for each in (labels, turns[-1].labels))
    assert after > before + 0.2
    assert len(turns) == 4
    pairs = np.sort(turns[-1].answers.pairs, axis=1)
    assert len(np.unique(pairs, axis=0)) == len(pairs)


def test_halves_and_groups_by_hand():
    faces = np.array([[1, 0], [1, 0], [0, 1], [1, 0], [0, 0]], np.float32)
    label = halves(faces, np.array([0, 0, 0, 1, -1]))
    assert label.tolist() == [0, 0, 1, 2, -1]
    groups = Groups.of(faces, np.array([0, 0, 1, 1, -1]), CorpusScale())
    assert groups.sizes.tolist() == [2, 2]
    usual = 0.5  # of the two pairs one has cosine 1, one 0
    assert groups.cohesion.tolist() == pytest.approx([(1 * 2 + usual * 4) / 6, (0 * 2 + usual * 4) / 6])
    between = groups.likeness(np.array([0]), np.array([1]), CorpusScale())
    assert between[0] == pytest.approx(0.5 / np.sqrt(2 / 3 * 1 / 3))


def test_answers_move_the_middle():
    odds = Odds.guessed(np.array([0.4, 0.4]), np.array([0.8]))
    assert odds.middle == pytest.approx(0.6)
    assert odds.probability(np.array([0.6])) == pytest.approx([0.5])
    assert odds.corrected(np.zeros(0), np.zeros(0, bool)) is odds
    likeness = np.linspace(0.3, 1, 100)
    moved = odds.corrected(likeness, likeness > 0.8)
    assert 0.7 < moved.middle < 0.82
    assert Odds.guessed(np.zeros(0), np.zeros(0)).middle == 0.5
