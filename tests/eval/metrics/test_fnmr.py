import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from eval.metrics import verification
from eval.metrics.fnmr import area, det_curve, equal_error
from eval.metrics.operating_point import curve_rates
from facerec.pipeline.files import InputError

scores = st.lists(st.integers(-5, 5), min_size=1, max_size=25).map(np.float32)
rates = st.one_of(st.floats(0, 1), st.sampled_from([0.1, 0.2, 0.25, 1e-2, 0.3, 0.5]))


def fnmr_at_fmr(genuine, impostor, fmr):
    return verification(genuine, impostor, [fmr]).fnmr[fmr]


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


@pytest.mark.parametrize("kind", [list, np.float16, np.float32, np.float64, np.longdouble])
def test_figures_of_arrays_by_hand(kind):
    """Eighths, which every float type has. Of eight impostors 2 may pass at .25: just above .375, and .5 is above."""
    impostor = [0.5, 0.5, 0.375, 0.125, 0, 0, -0.25, -0.5]
    genuine = [0.875, 0.375, 0.75, 0.25]
    if kind is not list:
        genuine, impostor = np.array(genuine, kind)[::1], np.array(impostor, kind)[::-1]
    found = verification(genuine, impostor, fmrs=(0.25, 0.1, 0))
    assert found.fnmr == {0.25: 0.5, 0.1: 0.5, 0: 0.5}
    assert [(p.accepted, p.rejected, p.supported) for p in found.points.values()] == [
        (2, 2, True), (0, 2, False), (0, 2, False),
    ]  # fmt: skip
    assert found.thresholds[0.25] == pytest.approx(0.375, abs=1e-6)
    assert found.thresholds[0.25] > 0.375
    assert found.eer == pytest.approx((3 / 8 + 1 / 4) / 2)  # at .375: 3 of 8 pass, 1 of 4 fails
    assert found.auc == pytest.approx((8 + 5.5 + 8 + 5) / 32)
    assert (found.genuine, found.impostor) == (4, 8)


def test_arrays_stay_as_they_are():
    genuine, impostor = np.float32([0.9, 0.1]), np.float32([0.3, 0.2])
    genuine.flags.writeable = impostor.flags.writeable = False
    assert verification(genuine, impostor, fmrs=(0.5,)).fnmr == {0.5: 0.5}
    assert verification(genuine, impostor).fnmr == {1e-4: 0.5}
    assert genuine.tolist() == pytest.approx([0.9, 0.1])


def test_float_types_may_differ():
    """A third is rounded up in single precision, so it is above a third in double precision."""
    assert verification(np.float32([1 / 3]), np.array([1 / 3, 0.0]), fmrs=(0.0,)).fnmr == {0.0: 0.0}


def test_rates_may_come_from_a_generator():
    found = verification([0.9, 0.3], [0.5, 0.1], fmrs=(rate for rate in (0.0, 0.5)))
    assert found.fnmr == {0.0: 0.5, 0.5: 0.0}


@pytest.mark.parametrize(
    ("genuine", "impostor", "fmrs", "message"),
    [
        ([], [0.1], [0.1], r"genuine scores: float64 with shape \[0\]; expected numbers \[n\], n > 0"),
        ([0.1], [[0.1]], [0.1], r"impostor scores: float64 with shape \[1, 1\]"),
        (["x"], [0.1], [0.1], "genuine scores: <U1"),
        ([0.1], [0.1, np.nan], [0.1], "impostor scores: nan in row 1"),
        ([0.1, -np.inf], [0.1], [0.1], "genuine scores: -inf in row 1"),
        ([0.1, np.longdouble("1e4000")], [0.1], [0.1], "genuine scores: inf in row 1"),
        ([0.1], [0.1], [1.5], r"FMR 1.5; a rate is in \[0, 1\]"),
        ([0.1], [0.1], [np.nan], "FMR nan"),
        ([0.1], [0.1], [True], "FMR True; a rate is in"),
        ([0.1], [0.1], ["x"], "FMR 'x'; a rate is in"),
        ([0.1], [0.1], 0.1, "FMR 0.1; give a list of rates"),
        ([[1], [1, 2]], [0.1], [0.1], "genuine scores: no array of numbers"),
    ],
)
def test_scores_that_cannot_be_used_are_refused(genuine, impostor, fmrs, message):
    with pytest.raises(InputError, match=message):
        verification(genuine, impostor, fmrs)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_only_infinity_exceeds_the_largest_number(kind):
    largest = np.finfo(kind).max
    found = verification(kind([largest, 1]), kind([largest, 0]), fmrs=(0,))
    assert (found.thresholds, found.fnmr, found.points[0.0].accepted) == ({0.0: np.inf}, {0.0: 1.0}, 0)


def test_scores_that_are_distances_or_labels_are_said(caplog):
    scores, labels = np.linspace(-1, 1, 40), np.arange(40) % 4 == 0
    verification([0.9, 0.8, 0.7], [0.1, 0.2, 0.75])
    verification([1, 0, 1, 1], [0, 0, 1, 0])  # decisions as scores
    assert caplog.messages == []
    verification([0.1, 0.2], [0.9, 0.8, 0.15])
    verification(scores, labels * 1)
    verification(labels * 1.0, scores)
    said = caplog.messages
    assert "genuine scores are hardly higher than impostor scores (AUC 0.167)" in said[0]
    assert "so negate distances" in said[0]
    assert [each.split(":")[0] for each in said[1:]] == [
        f"{side} scores are 0 and 1 alone, one for each of the others" for side in ("impostor", "genuine")
    ]
