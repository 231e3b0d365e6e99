"""The rules on pseudo-labels, by hand and on drawn faces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from clustering.pseudolabels.evidence import Evidence
from clustering.pseudolabels.merge import merge
from clustering.pseudolabels.rules import (
    PseudoLabelRule,
    apply,
    confident,
    duplicates,
    max_size,
    min_size,
    outliers,
    record,
)
from clustering.pseudolabels.split import split
from clustering.pseudolabels.thresholds import mending_rules
from clustering.similarity.likeness import Likeness
from facerec.pipeline.embeddings import normalize


def evidence(embeddings: np.ndarray, k: int = 10) -> Evidence:
    return Evidence(np.ones(len(embeddings), np.float32), KnnGraph.build(embeddings, k))


def only_labels(labels: list[int], confidence: list[float] | None = None) -> tuple[np.ndarray, Evidence]:
    given_confidence = np.ones(len(labels)) if confidence is None else np.array(confidence)
    return np.array(labels), Evidence(given_confidence.astype(np.float32))


def test_sizes_and_confidence_by_hand():
    labels, given_evidence = only_labels([0, 0, 1, 2, 2, 2, -1], [1, 0.2, 1, 1, 1, 0.3, 0])
    np.testing.assert_array_equal(min_size(labels, given_evidence, 2), [0, 0, -1, 1, 1, 1, -1])
    np.testing.assert_array_equal(max_size(labels, given_evidence, 2), [0, 0, 1, -1, -1, -1, -1])
    np.testing.assert_array_equal(confident(labels, given_evidence, 0.3), [0, -1, 1, 2, 2, 2, -1])


def test_outliers_go_and_single_faces_stay():
    embeddings = normalize(np.array([[1, 0], [1, 0.1], [1, -0.1], [0, 1], [0, -1]]))
    found = outliers(np.array([0, 0, 0, 0, 1]), evidence(embeddings, 2), 0.5)
    np.testing.assert_array_equal(found, [0, 0, 0, -1, 1])


def test_of_two_faces_that_are_far_apart_neither_stays():
    embeddings = normalize(np.array([[1, 0], [0.6, 0.8], [-1, 0], [0, 1]]))
    for threshold, expected in ((0.59, [0, 0, -1, -1]), (0.61, [-1, -1, -1, -1])):
        assert outliers(np.array([0, 0, 1, 1]), evidence(embeddings, 2), threshold).tolist() == expected


def test_duplicates_keep_the_first_of_a_cluster():
    embeddings = normalize(np.array([[1, 0], [1, 1e-3], [0, 1], [1, 2e-3], [1, 3e-3]]))
    found = duplicates(np.array([0, 0, 0, 0, 1]), evidence(embeddings, 4), 0.98)
    np.testing.assert_array_equal(found, [0, -1, 0, -1, 1])


THRESHOLDS = [(split, 0.5), (merge, 0.5), (outliers, 0.5), (duplicates, 0.9), (min_size, 2), (max_size, 5)]


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 40), seed=st.integers(0, 999), clusters=st.integers(1, 8))
def test_rules_unassign_or_rename_and_invent_nothing(n, seed, clusters):
    random = np.random.default_rng(seed)
    embeddings = normalize(random.normal(size=(n, 3)))
    embeddings[random.random(n) < 0.1] = 0
    labels = consecutive(np.where(embeddings.any(axis=1), random.integers(-1, clusters, n), -1))
    before = labels.copy()
    for rule, threshold in THRESHOLDS:
        found = rule(labels, evidence(embeddings, 5), threshold)
        np.testing.assert_array_equal(labels, before)
        np.testing.assert_array_equal(found, consecutive(found))
        assert np.all(found[labels < 0] == -1)
        if rule in (split, merge):
            np.testing.assert_array_equal(found >= 0, labels >= 0)


def test_every_rule_says_what_it_did():
    labels, given_evidence = only_labels([0, 0, 1, 2, 2, 2, -1])
    truth = np.array([5, 5, 6, 7, 7, 8, -1])
    found, records = apply(
        [PseudoLabelRule("max_size", 2), PseudoLabelRule("min_size", 2)], labels, given_evidence, truth
    )
    np.testing.assert_array_equal(found, [0, 0, -1, -1, -1, -1, -1])
    assert records[0] | {"purity": None, "pairwise_f": None, "bcubed_f": None} == {
        "rule": "max_size", "why": "Drops clusters of more faces, as mixtures. Threshold: 2", "kept": 3, "dropped": 3,
        "decided": 0, "clusters": [3, 2], "purity": None, "pairwise_f": None, "bcubed_f": None,
    }  # fmt: skip
    assert records[0]["purity"] == pytest.approx([5 / 6, 1])
    assert records[1]["dropped"] == 1


def test_equal_images_reach_a_threshold_of_one():
    found = duplicates(np.zeros(3, np.int64), evidence(np.eye(2, dtype=np.float32)[[0, 0, 1]], 2), 1.0)
    np.testing.assert_array_equal(found, [0, -1, 0])


def test_records_score_the_faces_that_have_a_cluster():
    before, after = np.array([0, 0, 0, 0, -1]), np.array([0, 0, -1, -1, -1])
    decided = np.array([1, 0, 0, 1, 1], bool)  # the fourth is dropped, the last had no cluster before
    found = record("a", "b", before, after, np.zeros(5, np.int64), decided)
    assert (found["pairwise_f"], found["kept"], found["dropped"], found["decided"]) == ([1, 1], 2, 2, 1)
    gone = record("a", "b", before, np.full(5, -1), np.zeros(5, np.int64), decided)
    assert (gone["clusters"], gone["purity"], gone["decided"]) == ([1, 0], [1, None], 2)


def test_thresholds_of_the_rules_by_hand():
    likeness = Likeness(np.linspace(0, 1, 101), np.linspace(-1, 1, 201), 10)
    for calibrated, strict in ((True, 0.3), (False, 0.5)):  # the threshold of a 20th, about .9, would lose more
        rules = mending_rules(["merge", "split"], likeness, 0.05, np.array([0, 0, 1, 2]), calibrated)
        assert [(rule.name, round(rule.threshold, 3)) for rule in rules] == [("split", strict), ("merge", 0.98)]


def test_the_population_of_the_thresholds_are_clusters_of_several():
    likeness = Likeness(np.ones(1), np.linspace(0, 1, 101), 2)
    for labels, merge_threshold in (([0, 0, 1, 1, 2, 3], 0.8), ([0, 0, 1, 1, 2, 2, 3, 3], 0.9)):
        (rule,) = mending_rules(["merge"], likeness, 1.0, np.array(labels), calibrated=True)
        assert rule.threshold == pytest.approx(merge_threshold, abs=1e-6)
