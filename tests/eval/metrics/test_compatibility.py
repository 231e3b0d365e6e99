"""The scripts, written out slowly from what they do, against the fast code."""

import heapq
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve
from sklearn.model_selection import KFold

from eval.commands.ijb import ijb
from eval.metrics import compatibility, verification
from eval.metrics.compatibility import FARS, flattened_recall, grid_accuracy, nearest_tar, script_flags
from eval.metrics.pair_scores import double_cosines


def script_11(scores, labels):
    fpr, tpr, _ = roc_curve(labels, scores)
    fpr, tpr = np.flipud(fpr), np.flipud(tpr)
    found = {}
    for far in FARS:
        _, index = min(list(zip(abs(fpr - float(far)), range(len(fpr)), strict=True)))
        found[far] = tpr[index]
    return found


def script_1n(queries, gallery, mask):
    number = len(queries)
    similarity = queries @ gallery.T
    top = np.argsort(-similarity)
    ranks = {k: sum(mask[i] in top[i, :k] for i in range(number)) / number for k in (1, 5, 10)}
    positive = []
    for i in range(number):
        positive.append(similarity[i, mask[i]])
        similarity[i, mask[i]] = -2.0
    needed = [math.ceil(number * far) for far in (0.01, 0.1)]
    negative = heapq.nlargest(max(needed), similarity[np.where(similarity > -2.0)])
    recall = [np.sum(np.array(positive) > negative[count - 1]) / number for count in needed]
    return recall, ranks


def script_folds(distance, same):
    """Thresholds 0, 0.01, ... 3.99 on squared distances; the first of the best on nine folds serves the tenth."""
    accuracies = []
    for train, test in KFold(n_splits=10, shuffle=False).split(distance):
        best = np.argmax([np.mean((distance[train] < t) == same[train]) for t in np.arange(0, 4, 0.01)])
        accuracies.append(np.mean((distance[test] < np.arange(0, 4, 0.01)[best]) == same[test]))
    return np.mean(accuracies)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_nearest_point_agrees_with_the_script(seed, ties):
    rng = np.random.default_rng(seed)
    genuine, impostor = rng.normal(1, 1, rng.integers(1, 40)), rng.normal(0, 1, rng.integers(1, 400))
    if ties:
        genuine, impostor = genuine.round(1), impostor.round(1)
    genuine, impostor = np.float32(genuine), np.float32(impostor)
    labels = np.repeat([1, 0], [len(genuine), len(impostor)])
    assert nearest_tar(genuine, impostor) == script_11(np.r_[genuine, impostor], labels)


def test_scores_that_differ_in_double_precision_alone_are_no_ties():
    features = np.array([[1, 0], [1 - 1e-9, np.sqrt(1 - (1 - 1e-9) ** 2)], [1 - 3e-9, np.sqrt(1 - (1 - 3e-9) ** 2)]])
    scores = double_cosines(features, np.array([0, 0]), np.array([1, 2]))
    assert scores.dtype == np.float64
    np.testing.assert_allclose(1 - scores, [1e-9, 3e-9], atol=1e-15)
    assert nearest_tar(scores[:1], scores[1:])["1e-6"] == 1.0
    rounded = scores.astype(np.float32)
    assert nearest_tar(rounded[:1], rounded[1:])["1e-6"] == 0.0


def test_the_nearest_point_flatters():
    """The example of docs/reference/published-figures.md: of 15 impostors one may pass, the nearest point lets two."""
    impostor = np.float32([0.9, 0.8, *np.linspace(0, 0.5, 13)])
    genuine = np.float32([0.95, 0.85, 0.7, 0.1])
    assert verification(genuine, impostor, [0.1]).fnmr == {0.1: 0.5}
    assert nearest_tar(genuine, impostor)["1e-1"] == 0.75


@pytest.mark.parametrize("block", [7, 2048])
def test_flattened_scores_agree_with_the_script(monkeypatch, block):
    monkeypatch.setattr(compatibility, "ROWS_PER_BLOCK", block)
    rng = np.random.default_rng(0)
    gallery, names = rng.standard_normal((40, 6)), rng.permutation(40) * 3
    who = rng.integers(0, 40, 230)
    queries = gallery[who] + 0.9 * rng.standard_normal((230, 6))
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    recall, ranks = script_1n(queries, gallery, who.tolist())
    found = flattened_recall(queries, names[who], gallery, names)
    assert list(found["recall_at_far"].values()) == recall
    assert {k: found[f"rank{k}"] for k in ranks} == ranks


def test_a_mate_must_score_above_the_ceiling_th_highest_impostor():
    """Of 15 probes one at FAR 1e-2 and two at 1e-1 may have an impostor at the threshold; a tie is not above it."""
    probes = np.stack([np.full(15, 0.5), np.r_[0.9, 0.5, np.full(13, 0.1)]], axis=1)
    found = flattened_recall(probes, np.zeros(15, int), np.eye(2), np.array([0, 1]))
    assert found == {"recall_at_far": {"1e-2": 0, "1e-1": 0}, "rank1": 14 / 15, "rank5": 1, "rank10": 1}
    probes[1, 1] = 0.4
    found = flattened_recall(probes, np.zeros(15, int), np.eye(2), np.array([0, 1]))
    assert found["recall_at_far"] == {"1e-2": 0, "1e-1": 1}


def test_fold_accuracy_by_hand():
    """Genuine pairs have distance 1, impostors 2, one of them 1.005: below 1.01, the first threshold above 1."""
    same = np.tile([True, False], 10)
    scores = np.where(same, 0.5, 0)
    scores[1] = 0.4975
    found = grid_accuracy(scores, same)
    assert found["folds"] == [0.5, *[1.0] * 9]
    assert (found["accuracy"], found["std"]) == pytest.approx((0.95, 0.15))


def test_protocols_at_which_the_script_stops_are_named():
    eye = np.eye(3)
    two = flattened_recall(eye, np.array([1, 2, 2]), eye, np.array([1, 2, 2]))
    assert two == {"not_applicable": "subject 2 has more than one gallery template"}
    none = flattened_recall(eye, np.array([1, 2, 9]), eye, np.array([1, 2, 3]))
    assert "probe subject 9 is in no gallery" in none["not_applicable"]


def test_fold_accuracy_agrees_with_the_script():
    rng = np.random.default_rng(0)
    same = np.tile(np.repeat([True, False], 15), 10)
    scores = np.clip(np.where(same, 0.5, 0.1) + 0.2 * rng.standard_normal(300), -1, 1)
    found = grid_accuracy(scores, same)
    assert found["accuracy"] == pytest.approx(script_folds(2 - 2 * scores, same))
    assert len(found["folds"]) == 10


def test_flags_are_those_of_the_scripts():
    kept = script_flags("kept", True, None)
    assert kept == {"use_norm_score": True, "use_detector_score": True, "use_flip_test": None}
    assert script_flags("removed", False, True)["use_norm_score"] is False


def test_the_report_holds_them_only_if_asked(protocol, embeddings, tmp_path):
    ijb(protocol=protocol, embeddings=embeddings, out=tmp_path / "a")
    assert "compatibility" not in json.loads((tmp_path / "a" / "metrics.json").read_text())
    ijb(protocol=protocol, embeddings=embeddings, out=tmp_path / "b", compatibility=True)
    found = json.loads((tmp_path / "b" / "metrics.json").read_text())["compatibility"]
    assert found["insightface_ijb_11"]["tar_at_nearest_far"]["1e-4"] == 1
    assert found["insightface_ijb_1n"] == {"not_applicable": "subject 2 has more than one gallery template"}
    assert found["test_mode"]["use_norm_score"] is False
