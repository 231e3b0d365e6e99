import numpy as np
import pytest

from eval.metrics.discard import error_discard, perfect_discard
from facerec.pipeline.files import InputError


def slow(failed, quality, share):
    """EDC by the definition: the largest quality below which at most the share of pairs lies."""
    best = max(q for q in quality if sum(x < q for x in quality) <= share * len(quality))
    left = [f for f, x in zip(failed, quality, strict=True) if x >= best]
    return sum(left) / len(left)


def test_the_curve_is_that_of_the_definition():
    generator = np.random.default_rng(0)
    for _ in range(40):
        failed, quality = generator.random(23) < 0.4, generator.integers(0, 9, 23) / 4
        curve = error_discard(failed, quality)
        shares = np.linspace(0, 0.99, 12)
        assert [curve.at(share) for share in shares] == [slow(failed, quality, share) for share in shares]
        fine = np.linspace(0, 0.6, 20001)[:-1]
        assert curve.mean(0.6) == pytest.approx(np.mean([curve.at(share) for share in fine[::20]]), abs=2e-3)


def test_by_hand():
    """Qualities 1 1 2 3, the first and the third fail: 2 of 4; without the two of quality 1, 1 of 2; the last, 0."""
    curve = error_discard(np.array([True, False, True, False]), np.array([1, 1, 2, 3]))
    assert curve.share.tolist() == [0, 0.5, 0.75]
    assert curve.error.tolist() == [0.5, 0.5, 0.0]
    assert (curve.at(0.49), curve.at(0.5), curve.at(0.75), curve.at(1)) == (0.5, 0.5, 0, 0)
    assert curve.mean(1.0) == 0.375
    assert perfect_discard(np.array([False, True, False, True])).at(0.5) == 0
    assert perfect_discard(np.array([False, True, False, True])).mean(0.5) == pytest.approx((0.5 + 1 / 3) / 2)


def test_a_quality_that_says_nothing_changes_nothing():
    assert error_discard(np.array([True, False]), np.array([3, 3])).mean(0.2) == 0.5


@pytest.mark.parametrize(("failed", "quality"), [([True], [1, 2]), ([], []), ([True, False], [1, np.nan]), (True, 1)])
def test_qualities_that_do_not_fit_are_refused(failed, quality):
    with pytest.raises(InputError, match="expected one of each for every pair, and finite qualities"):
        error_discard(failed, quality)


def test_scores_in_the_place_of_failures_are_refused():
    with pytest.raises(InputError, match="failed: float64; expected bool"):
        error_discard(np.array([0.3, 0.8]), np.array([True, False]))
