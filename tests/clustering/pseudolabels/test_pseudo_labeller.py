"""`PseudoLabeller` as a user meets it: arrays in, labels and weights out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clustering.graph.knn_graph import KnnGraph
from clustering.pseudolabels.pseudo_labeller import PseudoLabeller
from facerec.pipeline.files import InputError


def around(*degrees: float) -> np.ndarray:
    """Unit rows in the plane."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_sizes_and_confidence_without_embeddings():
    labels, confidence = [7, 7, 7, 2, 2, -1, 5], [0.9, 0.8, 0.2, 0.7, 0.6, 0.0, 1.0]
    labeller = PseudoLabeller(min_size=2, min_confidence=0.5)
    y, w = labeller.fit_transform(None, labels, confidence)
    np.testing.assert_array_equal(y, [0, 0, -1, 1, 1, -1, -1])
    np.testing.assert_allclose(w, [0.9, 0.8, 0, 0.7, 0.6, 0, 0])
    assert (y.dtype, w.dtype) == (np.int64, np.float32)
    assert labeller.summary_["dropped"] == {"unassigned": 1, "confident": 1, "min_size": 1}
    assert (labeller.summary_["used"], labeller.summary_["clusters"], labeller.summary_["weights"]) == (
        4, 2, "confidence"
    )  # fmt: skip
    assert labeller.same_as_.tolist() == [-1, -1]


@pytest.mark.parametrize(("angle", "label"), [(85, 0), (95, -1)])
def test_an_outlier_goes_by_the_calibrated_threshold(angle, label):
    # Calibration: four people at right angles, faces 10 degrees off on either side: the nearest other centre is at 80
    # degrees from each. So a face may be 80 degrees from the mean of its cluster's others, which is at 7.5 degrees.
    people = around(-10, 10, 80, 100, 170, 190, 260, 280), np.repeat(np.arange(4), 2)
    X = around(0, 5, 10, 15, angle, 200, 205)
    labeller = PseudoLabeller(rules=["outliers"], false_match=0.0)
    y, w = labeller.fit_transform(X, [0, 0, 0, 0, 0, 1, 1], calibration=people)
    np.testing.assert_array_equal(y, [0, 0, 0, 0, label, 1, 1])
    why = labeller.summary_["rules"][0]["why"]
    assert float(why.split()[-1]) == pytest.approx(math.cos(math.radians(80)), abs=1e-5)
    assert labeller.summary_["weights"] == "similarity"
    assert w[[0, 1, 2, 3, 5, 6]].min() > 0.5
    assert w[4] < w[0]


def test_duplicates_keep_the_first():
    X = around(0, 0.1, 20, 40, 60)
    y, _ = PseudoLabeller(rules=[], duplicates=0.999).fit_transform(X, [0, 0, 0, 0, 0])
    np.testing.assert_array_equal(y, [0, -1, 0, 0, 0])


def test_kept_clusters_stay_and_weigh_one():
    X = around(0, 5, 120, 240, 245, 250)
    labels, kept = [0, 0, 0, 1, 1, 1], [True, True, True, False, False, False]
    confidence = [0.5, 0.5, 0.5, 0.8, 0.8, 0.3]
    labeller = PseudoLabeller(rules=["outliers"], min_confidence=0.4)
    y, w = labeller.fit_transform(X, labels, confidence, kept=kept)
    assert len(set(y[:3])) == 1
    assert y[0] >= 0
    assert y[0] not in y[3:]
    np.testing.assert_array_equal(w[:3], 1)
    np.testing.assert_allclose(w[3:], [0.8, 0.8, 0])


def test_what_is_merged_with_a_kept_cluster_is_one_class_with_it():
    """Faces 0 to 2 were kept, and then 3 to 5 were merged with them."""
    X = around(0, 5, 10, 12, 14, 90, 200, 205)
    kept = np.arange(8) < 3
    y, w = PseudoLabeller(rules=[]).fit_transform(X, [0] * 6 + [1] * 2, np.full(8, 0.5), kept=kept)
    assert y.tolist() == [0] * 6 + [1] * 2
    assert w.tolist() == [1] * 3 + [0.5] * 5
    confidence = [0.1, 0.5, 0.5, 0.5, 0.1, 0.5, 0.5, 0.5]
    y, _ = PseudoLabeller(rules=[], min_confidence=0.2).fit_transform(X, [0] * 6 + [1] * 2, confidence, kept=kept)
    assert y.tolist() == [0, 0, 0, 0, -1, 0, 1, 1]


def test_a_face_that_a_person_kept_alone_is_not_dropped_for_its_confidence():
    labeller = PseudoLabeller(min_size=1, min_confidence=0.5)
    y, w = labeller.fit_transform(None, [0, 1, 2, 2], [0.1, 0.2, 0.9, 0.3], kept=[True, False, False, False])
    assert (y.tolist(), w.tolist()) == ([0, -1, 1, -1], [1, 0, np.float32(0.9), 0])
    assert labeller.summary_["dropped"]["confident"] == 2


@pytest.fixture
def planted(blobs):
    """Eight people; of the first four half of the faces are labelled, as 100 + person."""
    embeddings, person = blobs(identities=8, faces=10, dimension=32, spread=0.4)
    known = (person < 4) & (np.arange(80) % 2 == 0)
    return embeddings[~known], person[~known], (embeddings[known], person[known] + 100)


@pytest.mark.parametrize("action", ["drop", "merge", "keep"])
def test_labelled_people(action, planted):
    X, person, labelled = planted
    labeller = PseudoLabeller(overlap=action, overlap_false_match=0.05)
    y, w = labeller.fit_transform(X, person, labelled=labelled)
    both = person < 4
    assert labeller.summary_["overlap"]["action"] == action
    assert labeller.summary_["overlap"]["people"] == 4
    assert labeller.summary_["overlap"]["faces"] == np.count_nonzero(both)
    assert np.all(y[~both] >= 0)
    assert np.all((y[both] >= 0) == (action != "drop"))
    if action == "merge":
        np.testing.assert_array_equal(labeller.same_as_[y[both]], person[both] + 100)
        np.testing.assert_array_equal(w[both], 1)
    assert np.all(labeller.same_as_[y[~both]] == -1)


def test_labelled_people_who_are_in_the_calibration_too_set_no_threshold(planted, blobs, caplog):
    X, person, (faces, identities) = planted
    alone, again, both = (PseudoLabeller(overlap="merge", overlap_false_match=0.05) for _ in range(3))
    expected, _ = alone.fit_transform(X, person, calibration=(faces, identities), labelled=(faces, identities))
    y, _ = again.fit_transform(
        X, person, calibration=(faces[::-1], identities[::-1] - 99), labelled=(faces, identities)
    )
    np.testing.assert_array_equal(y, expected)
    assert again.summary_["overlap"]["people"] == 4
    assert not caplog.text
    others, names = blobs(identities=40, faces=4, dimension=32, spread=0.4, seed=5)
    mixed = np.vstack([others, faces[:9]]), np.append(names, identities[:9])
    both.fit_transform(X, person, calibration=mixed, labelled=(faces, identities))
    assert both.summary_["overlap"]["people"] == 4
    assert "calibration: 2 people of 42 share a face with the labelled people, and are left out" in caplog.text


def test_truth_is_for_the_summary_alone():
    labeller = PseudoLabeller(max_size=2)
    y, w = labeller.fit_transform(None, [0, 0, 1, 1, 1], truth=[4, 4, 5, 5, 6])
    assert labeller.summary_["rules"][0]["purity"] == pytest.approx([4 / 5, 1])
    same, weights = PseudoLabeller(max_size=2).fit_transform(None, [0, 0, 1, 1, 1])
    np.testing.assert_array_equal(same, y)
    np.testing.assert_array_equal(weights, w)


@pytest.mark.parametrize(
    "change", [lambda X: 20 * X.astype(np.float64), lambda X: np.asfortranarray(X), np.ndarray.tolist]
)
def test_any_array_or_graph_serves(change, blobs):
    X, person = blobs(identities=6, faces=8, spread=0.6)
    labels = np.where(person == 5, 4, person)
    y, w = PseudoLabeller().fit_transform(KnnGraph.build(X, 10), labels)
    assert len(np.unique(y[person >= 4])) == 2  # the mixture is parted
    again, weights = PseudoLabeller().fit_transform(change(X), labels)
    np.testing.assert_array_equal(again, y)
    np.testing.assert_allclose(weights, w, atol=1e-5)


def test_nothing_left_is_no_error():
    labeller = PseudoLabeller(min_size=3)
    y, w = labeller.fit_transform(None, [0, 0, 1, 1])
    assert y.tolist() == [-1] * 4
    assert w.tolist() == [0] * 4
    assert (labeller.summary_["used"], labeller.summary_["sizes"]) == (0, {})


X = around(0, 1, 90, 91)
LABELS = [0, 0, 1, 1]
BAD = [
    ({"X": np.full((4, 2), np.nan)}, "row 0 has NaN or infinite values"),
    ({"X": X[:3]}, "labels are int64 of shape [4] for 3 faces; expected integers"),
    ({"X": X, "kept": [True]}, "kept has shape [1] for 4 faces"),
    ({"X": X, "confidence": [1.0]}, "confidence has shape [1] for 4 faces"),
    ({"X": X, "truth": [[1]] * 4}, "true identities are int64 of shape [4, 1] for 4 faces"),
    ({"X": X, "calibration": (X, [0, 0])}, "calibration labels are int64 of shape [2] for 4 faces"),
    ({"X": X, "calibration": ([[1, np.nan]], [0])}, "calibration embeddings: row 0 has NaN or infinite values"),
    ({"X": X, "labelled": ([1, 0], [0])}, "labelled embeddings: int64 of shape [2]; expected numbers"),
    ({"X": X, "calibration": (np.eye(3), [0, 1, 2])}, "calibration: embeddings of length 3, the clustered ones of 2"),
    ({"X": X, "calibration": (X, [0, 0, -1, 0])}, "calibration: 1 labelled person; at least 2 are needed"),
    ({"X": X, "labelled": (X, [0, 0, 1, 1])}, "labelled: 2 labelled people; at least 3 are needed"),
    ({"X": None, "labelled": (X, [0, 1, 2, 3])}, "no embeddings"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_arrays_that_do_not_fit(arguments, message):
    with pytest.raises(InputError) as error:
        PseudoLabeller().fit_transform(labels=LABELS, **arguments)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_size": 0}, "min_size is 0"),
        ({"min_size": 3, "max_size": 2}, "max_size is 2; it must be a number from 3"),
        ({"rules": ["divide"]}, "a rule is 'divide'; it must be one of split, merge, outliers"),
        ({"overlap": "forget"}, "overlap is 'forget'; it must be one of drop, merge, keep"),
    ],
)
def test_settings_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        PseudoLabeller(**options)


def test_rules_without_embeddings_say_what_is_missing():
    with pytest.raises(InputError, match="no embeddings"):
        PseudoLabeller(rules=["split"]).fit_transform(None, LABELS)


def test_faces_in_no_cluster_and_unreadable_faces_get_no_label():
    X = np.array([[1, 0], [1, 0.01], [0, 1], [0.01, 1], [1, 1], [0, 0]])
    kept = np.array([False, False, False, False, True, True])
    y, w = PseudoLabeller(rules=[]).fit_transform(X, [0, 0, 1, 1, -1, 1], kept=kept)
    assert y.tolist() == [0, 0, 1, 1, -1, -1]
    assert w[4:].tolist() == [0, 0]


def test_unassigned_faces_say_nothing_about_the_backends_confidence():
    labeller = PseudoLabeller(rules=["outliers"])
    labeller.fit_transform(around(0, 5, 90, 95, 200), [0, 0, 1, 1, -1], [1, 1, 1, 1, 0])
    assert labeller.summary_["weights"] == "similarity"
