import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eval.clusters.calibration import calibration_error, in_majority, lowest_tenth, reliability, rows_in_company
from facerec.pipeline.files import InputError


def slow_majority(truth, predicted):
    found = []
    for t, p in zip(truth, predicted, strict=True):
        votes = [u for u, q in zip(truth, predicted, strict=True) if q == p and u >= 0]
        winner = min(set(votes), key=lambda u: (-votes.count(u), u)) if votes else None
        found.append(t >= 0 and (p < 0 or t == winner))
    return found


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12).flatmap(lambda n: st.tuples(
    arrays(np.int64, n, elements=st.integers(-1, 3)), arrays(np.int64, n, elements=st.integers(-1, 4))
)))  # fmt: skip
def test_majority_equals_the_slow_one(labels):
    np.testing.assert_array_equal(in_majority(*labels), slow_majority(*labels))


def test_majority_by_hand():
    truth, predicted = np.array([7, 9, 9, 3, 2, -1, 5, 5]), np.array([0, 0, 0, 1, 1, 1, -1, -1])
    np.testing.assert_array_equal(in_majority(truth, predicted), [0, 1, 1, 0, 1, 0, 1, 1])
    large = np.where(predicted == 1, 2**62, predicted)  # times the number of identities is more than int64 holds
    np.testing.assert_array_equal(in_majority(truth, large), [0, 1, 1, 0, 1, 0, 1, 1])


def test_reliability_by_hand():
    confidence = np.array([0.9, 0.1, 0.5, 0.3, 0.9, 0.9])
    right = np.array([True, False, False, True, True, False])
    table = reliability(confidence, right, bins=3)
    np.testing.assert_allclose(table, [[0.1, 0.3, 2, 0.2, 0.5], [0.5, 0.5, 1, 0.5, 0], [0.9, 0.9, 3, 0.9, 2 / 3]])
    assert calibration_error(table) == pytest.approx((2 * 0.3 + 1 * 0.5 + 3 * (0.9 - 2 / 3)) / 6)
    assert reliability(np.array([]), np.array([], bool)).shape == (0, 5)
    assert calibration_error(np.zeros((0, 5))) == 0


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float64, st.integers(1, 60), elements=st.sampled_from([0, 0.1, 0.2, 0.5, 0.55, 0.9, 1])),
    st.integers(1, 20), st.integers(0, 99),
)  # fmt: skip
def test_bins_hold_every_face_once_whatever_the_order(confidence, bins, seed):
    random = np.random.default_rng(seed)
    right = random.random(len(confidence)) < confidence
    table = reliability(confidence, right, bins)
    assert len(table) <= bins
    assert table[:, 2].sum() == len(confidence)
    assert np.all(table[1:, 0] > table[:-1, 1])  # equal values share a bin
    np.testing.assert_allclose(table[:, 2] @ table[:, 4], right.sum())
    np.testing.assert_allclose(table[:, 2] @ table[:, 3], confidence.sum())
    order = random.permutation(len(confidence))
    np.testing.assert_allclose(reliability(confidence[order], right[order], bins), table)


def test_what_is_right_as_often_as_it_says_has_no_error():
    random = np.random.default_rng(0)
    confidence = random.random(200_000)
    right = random.random(200_000) < confidence
    assert calibration_error(reliability(confidence, right)) < 0.01
    assert calibration_error(reliability(np.sqrt(confidence), right)) == pytest.approx(2 / 3 - 1 / 2, abs=0.01)


def test_faces_in_company_by_hand():
    """Cluster 0 has two known faces, 1 one known and one unknown face, 2 one; -1 is nobody's company."""
    truth, predicted = np.array([5, 7, 1, -1, 3, 4, 4]), np.array([0, 0, 1, 1, 2, -1, -1])
    assert rows_in_company(truth, predicted).tolist() == [0, 1]


def test_the_least_sure_tenth_by_hand():
    confidence = np.array([0.2, 0.4, *np.linspace(0.9, 0.99, 18)])
    right = np.array([False, True, *[True] * 18])
    found = lowest_tenth(confidence, right)
    assert found == {"faces": 2, "confidence": pytest.approx(0.3), "right": 0.5, "error": pytest.approx(0.2)}
    assert lowest_tenth(np.full(20, 0.8), np.arange(20) < 15)["faces"] == 20


@pytest.mark.parametrize(
    ("confidence", "right", "message"),
    [
        ([0.5, 2], [True, False], "confidence: float64 of shape"),
        ([0.5, np.nan], [True, False], "expected numbers .* from 0 to 1"),
        (None, [True], "confidence: object"),
        ([0.5, 0.6], [True], r"right: bool of shape \[1\] for 2 faces"),
        ([0.5], [3], "right: int64"),
    ],
)
def test_what_is_no_confidence(confidence, right, message):
    with pytest.raises(InputError, match=message):
        reliability(confidence, right)
    with pytest.raises(InputError, match="expected what reliability gives"):
        calibration_error(confidence)


@pytest.mark.parametrize(
    "table",
    ["x", None, [], np.ones((2, 5, 1)), [["a"] * 5], np.ones((2, 5), bool), [[np.nan] * 5]],
)
def test_what_is_no_reliability_table(table):
    with pytest.raises(InputError, match="expected what reliability gives"):
        calibration_error(table)


def test_the_calibration_error_of_a_table_out_of_json():
    table = reliability([0.2, 0.4, 0.8], [False, True, True])
    assert calibration_error(table.tolist()) == calibration_error(table)
