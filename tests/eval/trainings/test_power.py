"""How many trainings a difference needs."""

import numpy as np
import pytest
from scipy import stats

from eval.trainings.analysis import compare_rows
from eval.trainings.power import POWER, power, smallest_difference, too_few_people, trainings_needed


@pytest.mark.parametrize(("n", "sd"), [(5, 0.9), (50, 2)])
def test_power_without_people_is_that_of_a_paired_t_test(n, sd):
    """Two rows, n trainings: t with n - 1 degrees of freedom; a difference has sqrt(2) times a training's sd."""
    shift, border = 1 / np.sqrt(2 * sd**2 / n), stats.t.isf(0.025, n - 1)
    expected = 1 - stats.nct.cdf(border, n - 1, shift) + stats.nct.cdf(-border, n - 1, shift)
    assert power(1, sd, 0, 2, n) == pytest.approx(expected)


def test_trainings_needed_are_the_fewest():
    for rows in (2, 5):
        needed = trainings_needed(1, 0.9, 0.02, rows)
        assert power(1, 0.9, 0.02, rows, needed) >= POWER > power(1, 0.9, 0.02, rows, needed - 1)
        assert smallest_difference(0.9, 0.02, rows, needed) <= 1 < smallest_difference(0.9, 0.02, rows, needed - 1)
    assert trainings_needed(1, 0.9, 0.2, 5) is None  # the people alone have a standard deviation of .45
    assert trainings_needed(1, 0, 0, 2) == trainings_needed(1, 0, 0.01, 2) == 1
    assert trainings_needed(1, 0.01, 0, 2) == 2


@pytest.mark.parametrize("people", [0.02, 0.04, 0.06, 0.08, 0.1, 0.2])
def test_people_are_too_few_where_a_million_trainings_do_not_help(people):
    assert too_few_people(1, people, 5) == (power(1, 0.9, people, 5, 10**6) < POWER)


def test_power_is_the_share_of_simulated_comparisons_that_find_it():
    rng, found, times = np.random.default_rng(1), 0, 300
    for _ in range(times):
        people = 0.3 * rng.standard_normal((2, 1))
        values = np.array([[0.0], [1.5]]) + people + 0.6 * rng.standard_normal((2, 4))
        draws = 0.3 * rng.standard_normal((2, 1, 100)) + np.zeros((2, 4, 100))
        found += compare_rows(values, draws).differs[0, 1]
    assert found / times == pytest.approx(power(1.5, 0.6, 2 * 0.09, 2, 4), abs=0.07)


def test_one_training_whose_deviation_is_known_is_a_z_test():
    assert power(1.959964 + 0.841621, np.sqrt(0.5), 0, 2, 1) == pytest.approx(0.8, abs=1e-5)


def test_more_rows_lower_the_level_and_raise_the_freedom():
    """Three rows, four trainings: alpha / 3 for each pair, 2 x 3 degrees of freedom."""
    shift, border = 2 / np.sqrt(2 / 4), stats.t.isf(0.05 / 6, 6)
    expected = stats.nct.sf(border, 6, shift) + stats.nct.cdf(-border, 6, shift)
    assert power(2, 1, 0, 3, 4) == pytest.approx(expected)


@pytest.mark.parametrize(("rows", "trainings"), [(2, 2), (3, 2), (20, 10), (50, 20)])
def test_power_is_right_where_the_noncentral_t_of_scipy_is_not(rows, trainings):
    """At the difference that is found four times of five, by drawing the statistic."""
    rng, freedom, draws = np.random.default_rng(0), (rows - 1) * (trainings - 1), 200_000
    shift = smallest_difference(1, 0, rows, trainings) / np.sqrt(2 / trainings)
    drawn = (shift + rng.standard_normal(draws)) / np.sqrt(rng.chisquare(freedom, draws) / freedom)
    assert np.mean(np.abs(drawn) > stats.t.isf(0.05 / (rows * (rows - 1)), freedom)) == pytest.approx(POWER, abs=0.005)


def test_without_any_variance_every_difference_is_found():
    assert smallest_difference(0, 0, 3, 2) == 0


def test_people_raise_the_freedom():
    """As much variance from people as from trainings: (1 / .5)^2 times the 3 degrees of freedom, t = 2.5."""
    border = stats.t.isf(0.025, 12)
    assert power(2.5, 1, 0.5, 2, 4) == pytest.approx(stats.nct.sf(border, 12, 2.5) + stats.nct.cdf(-border, 12, 2.5))


@pytest.mark.parametrize("trainings", [1, 5])
def test_next_to_no_difference_is_found_as_often_as_the_level_says(trainings):
    assert power(1e-9, 1, 0, 2, trainings) == pytest.approx(0.05)
