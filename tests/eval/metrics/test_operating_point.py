import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.metrics.operating_point import allowed, operating_point, rising

scores = st.lists(st.integers(-5, 5), min_size=1, max_size=25).map(np.float32)


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


def test_a_threshold_in_double_precision_lies_just_above_its_score():
    negatives = np.array([0.1, 0.2, 0.3])
    point = operating_point(np.array([0.2, 0.3, np.nextafter(0.2, 1)]), negatives, 1 / 3)
    assert (point.threshold, point.accepted, point.rejected) == (np.nextafter(0.2, 1), 1, 1)


def test_rounding_in_rates_and_scores():
    assert allowed(100, 0.29) == 29  # 0.29 * 100 is 28.999999999999996
    assert rising([2**24 + 1, 2**24], "genuine").tolist() == [2**24, 2**24 + 1]  # float32 has one number for both
