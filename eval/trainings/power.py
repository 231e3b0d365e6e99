"""How many trainings a row a difference needs, and how small a difference so many trainings find."""

from __future__ import annotations

import numpy as np
from scipy import integrate, stats

from eval.trainings.analysis import LEVEL

POWER = 0.8
MOST_TRAININGS = 1000
POINTS = 4001
"""Of the integral over the estimated standard deviation."""


def power(difference: float, sd: float, people: float, rows: int, trainings: int) -> float:
    """Probability that two rows that differ by so much are told apart, see `eval.trainings.analysis.compare_rows`.

    The level is Bonferroni's for every two of the rows, which is Holm's for its first step: the worst case.

    Args:
        difference: In the unit of `sd`, not 0.
        sd: Standard deviation of one training.
        people: Variance of a difference that comes from the test people.
        rows: At least 2.
        trainings: Of each row. With one, `sd` counts as known.
    """
    of_trainings = 2 * sd**2 / trainings
    variance = of_trainings + people
    if variance == 0:
        return 1.0
    known = trainings == 1 or of_trainings == 0
    freedom = np.inf if known else (variance / of_trainings) ** 2 * (rows - 1) * (trainings - 1)
    tail = LEVEL / (rows * (rows - 1))  # each side of every pair
    shift, border = abs(difference) / np.sqrt(variance), stats.t.isf(tail, freedom)
    if freedom > 1e6:
        return float(stats.norm.sf(border - shift) + stats.norm.cdf(-border - shift))
    # SciPy's noncentral t is NaN or wrong far from its middle: its numerator is integrated over its denominator here
    least, most = stats.chi.ppf([1e-12, 1 - 1e-12], freedom)
    roots = np.linspace(least, most, POINTS)
    far = border * roots / np.sqrt(freedom)
    found = stats.norm.sf(far - shift) + stats.norm.cdf(-far - shift)
    return float(integrate.simpson(found * stats.chi.pdf(roots, freedom), x=roots))


def trainings_needed(difference: float, sd: float, people: float, rows: int) -> int | None:
    """The fewest trainings of each row with which the difference is found four times of five.

    Returns:
        From 2, or 1 where trainings do not vary; None if `MOST_TRAININGS` do not find it, see `too_few_people`.

    Example:
        >>> trainings_needed(0.01, 0.009, 0.0, 2)
        15
    """
    low, high = 1, MOST_TRAININGS
    if power(difference, sd, people, rows, high) < POWER:
        return None
    if sd == 0:
        return 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(difference, sd, people, rows, middle) >= POWER else (middle, high)
    return high


def too_few_people(difference: float, people: float, rows: int) -> bool:
    """Whether the test people alone hide a difference, however many trainings there are.

    Example:
        >>> too_few_people(0.01, 0.01**2, 5), too_few_people(0.01, 0.0, 5)
        (True, False)
    """
    return smallest_difference(0.0, people, rows, 1) > difference


def smallest_difference(sd: float, people: float, rows: int, trainings: int) -> float:
    """The difference that so many trainings find four times of five, in the unit of `sd`."""
    error = float(np.sqrt(2 * sd**2 / trainings + people))
    low, high = 0.0, error
    while power(high, sd, people, rows, trainings) < POWER:
        low, high = high, 2 * high
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle, sd, people, rows, trainings) >= POWER else (middle, high)
    return high
