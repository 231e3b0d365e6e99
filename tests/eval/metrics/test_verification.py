import doctest
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from eval.metrics import verification
from eval.metrics.verification import (
    allowed,
    area,
    curve_rates,
    det_curve,
    equal_error,
    fnmr_at_fmr,
    operating_point,
    pair_scores,
)

scores = st.lists(st.integers(-5, 5), min_size=1, max_size=25).map(np.float32)
rates = st.one_of(st.floats(0, 1), st.sampled_from([0.1, 0.2, 0.25, 1e-2, 0.3, 0.5]))


def slow_fnmr(genuine, impostor, fmr):
    """Just above which impostor score does the threshold lie? The first that lets few enough pass."""
    for score in [-np.inf, *sorted(impostor)]:
        if sum(other > score for other in impostor) / len(impostor) <= fmr:
            return sum(one <= score for one in genuine) / len(genuine)
    raise AssertionError


@pytest.mark.parametrize(
    ("fmr", "expected"),
    [
        (0.0, 2 / 3),  # above .4
        (0.1, 2 / 3),  # of ten, one may pass, but two share .4
        (0.2, 1 / 3),  # just above .3, where a genuine score ties and is below
        (0.29, 1 / 3),
        (0.3, 0.0),  # just above .2
        (1.0, 0.0),
    ],
)
def test_by_hand(fmr, expected):
    impostor = np.float32([0.4, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1, 0.0, 0.0, 0.0])
    genuine = np.float32([0.9, 0.3, 0.4])
    assert slow_fnmr(genuine, impostor, fmr) == pytest.approx(expected)
    assert fnmr_at_fmr(genuine, impostor, fmr) == pytest.approx(expected)


@settings(max_examples=150, deadline=None)
@given(scores, scores, rates)
def test_agrees_with_oracle(genuine, impostor, fmr):
    assert fnmr_at_fmr(genuine, impostor, fmr) == slow_fnmr(genuine, impostor, fmr)


@settings(max_examples=60, deadline=None)
@given(scores, scores, rates, st.randoms())
def test_order_and_increasing_maps_do_not_matter(genuine, impostor, fmr, random):
    shuffled = np.float32(random.sample(list(impostor), len(impostor)))
    assert fnmr_at_fmr(genuine, shuffled, fmr) == fnmr_at_fmr(genuine, impostor, fmr)
    assert fnmr_at_fmr(genuine**3 + 2, impostor**3 + 2, fmr) == fnmr_at_fmr(genuine, impostor, fmr)


@settings(max_examples=60, deadline=None)
@given(scores, scores, rates, rates)
def test_more_false_matches_never_cost_genuine_pairs(genuine, impostor, one, other):
    low, high = sorted([one, other])
    assert fnmr_at_fmr(genuine, impostor, low) >= fnmr_at_fmr(genuine, impostor, high)


@settings(max_examples=60, deadline=None)
@given(scores, scores, st.floats(0, 0.99))
def test_threshold_does_what_the_counts_say(genuine, impostor, fmr):
    point = operating_point(np.sort(genuine), np.sort(impostor), fmr)
    assert point.accepted == np.count_nonzero(impostor >= point.threshold)
    assert point.rejected == np.count_nonzero(genuine < point.threshold)
    assert point.accepted / len(impostor) <= fmr
    assert point.supported == (1 / len(impostor) <= fmr)


@pytest.mark.parametrize("count", [1, 7, 10, 30, 999, 1000, 3000, 123_457])
def test_allowed_is_the_largest_count(count):
    for rate in [0.0, 1e-6, 1e-3, 1e-2, 0.1, 0.3, 0.7, 1.0]:
        k = allowed(count, rate)
        assert k / count <= rate
        assert k == count or (k + 1) / count > rate


@pytest.mark.parametrize("cells", [0, 10**6])
def test_pair_scores_are_cosines_in_the_order_of_the_pairs(monkeypatch, cells):
    monkeypatch.setattr(verification, "ROWS_PER_BLOCK", 7)
    monkeypatch.setattr(verification, "CELLS_AT_ONCE", cells)
    rng = np.random.default_rng(0)
    features = rng.standard_normal((50, 8))
    first, second = rng.integers(0, 50, (2, 400)).astype(np.int32)
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


@pytest.mark.parametrize("cells", [0, 10**6])
def test_few_rows_against_many_columns_are_scored_alike(monkeypatch, cells):
    monkeypatch.setattr(verification, "ROWS_PER_BLOCK", 3)
    monkeypatch.setattr(verification, "CELLS_AT_ONCE", cells)
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 8))
    first, second = rng.choice([50, 3, 9, 31, 17], 300), rng.integers(0, 60, 300)
    expected = [features[a] @ features[b] for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(pair_scores(features, first, second), expected, rtol=1e-6)
    np.testing.assert_array_equal(pair_scores(features, second, first), pair_scores(features, first, second))


def slow_eer(genuine, impostor):
    """Of all thresholds, that of the smallest difference; the lowest of those."""
    thresholds = sorted({*genuine.tolist(), *impostor.tolist(), np.inf})
    rates = [(np.mean(impostor >= t), np.mean(genuine < t)) for t in thresholds]
    return min((round(abs(fmr - fnmr), 12), i, (fmr + fnmr) / 2) for i, (fmr, fnmr) in enumerate(rates))[2]


def test_eer_by_hand():
    assert equal_error(np.float32([0.5, 0.6]), np.float32([0.1, 0.2])) == (0, 0.5)
    assert equal_error(np.float32([0.1, 0.2]), np.float32([0.5, 0.6]))[0] == 1
    assert equal_error(np.float32([0.3]), np.float32([0.3]))[0] == 0.5  # a tie: one error of one, either way


@settings(max_examples=100, deadline=None)
@given(scores, scores)
def test_eer_agrees_with_oracle(genuine, impostor):
    found, threshold = equal_error(np.sort(genuine), np.sort(impostor))
    assert found == pytest.approx((np.mean(impostor >= threshold) + np.mean(genuine < threshold)) / 2)
    assert found == pytest.approx(slow_eer(genuine, impostor))


@settings(max_examples=60, deadline=None)
@given(scores, scores)
def test_area_and_points_agree_with_scikit_learn(genuine, impostor):
    label = np.repeat([1, 0], [len(genuine), len(impostor)])
    both = np.r_[genuine, impostor]
    assert area(genuine, np.sort(impostor)) == pytest.approx(roc_auc_score(label, both))
    fpr, tpr, _ = roc_curve(label, both, drop_intermediate=False)
    for fmr in (0.0, 0.1, 0.3, 0.5, 1.0):  # the highest TPR at an FPR of at most fmr
        assert fnmr_at_fmr(genuine, impostor, fmr) == pytest.approx(1 - tpr[fpr <= fmr].max())


def test_det_curve_is_supported_and_falls():
    rng = np.random.default_rng(0)
    impostor, genuine = np.sort(np.float32(rng.normal(0, 1, 1000))), np.sort(np.float32(rng.normal(2, 1, 300)))
    curve = det_curve(genuine, impostor)
    assert (curve[0][0], curve[-1][0]) == (1e-3, 1.0)
    assert [f for f, _, _ in curve] == sorted(f for f, _, _ in curve)
    assert all(left[1] >= right[1] for left, right in itertools.pairwise(curve))
    for fmr, fnmr, threshold in curve[::10]:
        assert fnmr == fnmr_at_fmr(genuine, impostor, fmr) == np.mean(genuine < threshold)
    assert {1e-3, 1e-2, 1e-1} <= set(curve_rates(1000))


def test_examples_run():
    result = doctest.testmod(verification)
    assert result.attempted > 0
    assert result.failed == 0
