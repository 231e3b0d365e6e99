import numpy as np
import pytest

from eval.metrics import pair_scores as module
from eval.metrics.pair_scores import pair_scores, row_cosines
from facerec.pipeline.files import InputError


@pytest.mark.parametrize("cells", [0, 10**6])
@pytest.mark.parametrize(("block", "rows"), [(7, range(50)), (3, [50, 3, 9, 31, 17])])  # few rows, many columns
def test_pair_scores_are_cosines_in_the_order_of_the_pairs(monkeypatch, cells, block, rows):
    monkeypatch.setattr(module, "ROWS_PER_BLOCK", block)
    monkeypatch.setattr(module, "CELLS_AT_ONCE", cells)
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 8))
    first, second = rng.choice(rows, 400).astype(np.int32), rng.integers(0, 60, 400).astype(np.int32)
    expected = [features[a] @ features[b] for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(pair_scores(features, first, second), expected, rtol=1e-6)
    np.testing.assert_array_equal(pair_scores(features, second, first), pair_scores(features, first, second))


def test_equal_faces_get_equal_scores_wherever_they_stand():
    rng = np.random.default_rng(1)
    features = rng.standard_normal((1500, 37))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    features[[3, 700, 1499]] = features[11]
    first, second = np.meshgrid([3, 11, 700, 1499], np.arange(1500))
    found = pair_scores(features, first.ravel(), second.ravel()).reshape(1500, 4)
    np.testing.assert_array_equal(found, found[:, :1].repeat(4, axis=1))


def test_cosines_are_of_rows_of_any_length():
    rows = np.float32([[0.6, 0.8], [0.6004, 0.8004], [0, 0.9996]])
    assert row_cosines(rows, np.array([0, 1]), np.array([1, 2])) == pytest.approx([1, 0.8], abs=2e-4)
    assert row_cosines(rows, np.array([1]), np.array([1])) == 1


def test_cosines_of_0_are_0_however_they_are_summed():
    rows = np.array([[-6, 1, -3, -4, 3], [4, 6, 0, 0, 6]]) / np.sqrt([[71], [88]])
    assert rows[0] @ rows[1] != 0
    first, second = np.zeros(1, np.int64), np.ones(1, np.int64)
    assert pair_scores(rows, first, second) == row_cosines(rows, first, second) == 0


def test_cosines_of_rows_by_hand():
    rows = np.float32([[1, 0], [0.6, 0.8], [0, 0]])
    assert row_cosines(rows, np.array([0, 1, 2]), np.array([1, 1, 0])).tolist() == pytest.approx([0.6, 1, 0])


@pytest.mark.parametrize("function", [pair_scores, row_cosines])
@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([0, 1], [1], r"second of pairs are int64 of shape \[1\] for 2 faces"),
        ([0.5], [1], r"first of pairs are float64 of shape \[1\]"),
        ([0, 1], [2, 3], "second of pair 1 is row 3; expected one from 0 to 2"),
        ([0, -1], [2, 1], "first of pair 1 is row -1; expected one from 0 to 2"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(function, first, second, message):
    with pytest.raises(InputError, match=message):
        function(np.eye(3), first, second)
