"""Paired differences of rows, over trainings and test people at once.

A row is a way to train a recogniser, such as one clustering backend. Its figure varies for two reasons: another
seed of the training, and other test people. Both are crossed: every training is tested on the same people. Radiology
has the same design: readers stand for trainings, patients for people. Its standard analysis is used here
(Obuchowski and Rockette 1995, with the degrees of freedom of Hillis 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from eval.trainings.multiple import holm_of_pairs, letters

LEVEL = 0.05
LEAST_DRAWS = 100
"""Bootstrap samples; the variance of fewer is off by more than 15 %."""


@dataclass(frozen=True)
class Comparison:
    """Rows compared in pairs. Matrices are float64 [rows, rows]; entry (i, j) is about row i less row j.

    Attributes:
        mean: float64 [rows], the mean figure over trainings.
        sd: Standard deviation of one training, the same for all rows.
        people: Variance of a difference that comes from the test people, which no further training lowers.
        freedom: Degrees of freedom of `sd`; infinite if it was assumed.
        difference: Mean over trainings.
        low: Lower end of the 95 % interval.
        high: Upper end.
        p: Of the hypothesis that the difference is 0, two-sided; not corrected.
        adjusted: p after Holm's correction for the number of pairs.
        letters: Rows that share a letter cannot be told apart; "a" has the lowest mean.
    """

    mean: np.ndarray
    sd: float
    people: np.ndarray
    freedom: float
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    adjusted: np.ndarray
    letters: list[str]

    @property
    def differs(self) -> np.ndarray:
        """Whether two rows differ significantly after the correction, bool [rows, rows]."""
        return self.adjusted <= LEVEL


def compare_rows(values: np.ndarray, samples: np.ndarray, assumed_sd: float = 0.0) -> Comparison:
    """Compares every row with every other.

    With r trainings and the paired differences d_1 .. d_r of two rows, the variance of their mean is

        V = 2 MS / r + max(c, 0),    freedom (V / (2 MS / r))^2 (rows - 1) (r - 1)

    MS is the mean square of rows x trainings after row means and training means. c is the mean covariance of d_s and
    d_t, s != t, over people. See eqs. 2 to 6 of Hillis 2007, with all rows in MS. c is estimated by a bootstrap over
    subjects. With one training MS is not known: `assumed_sd` squared takes its place, and c is the variance of d_1.

    Args:
        values: float64 [rows, trainings], the figure on all test people. Training s has the same seed in each row.
        samples: float64 [rows, trainings, draws], the figure on the same drawn people in each row and training.
        assumed_sd: Standard deviation from training to training; counts where there is one training.

    Raises:
        ValueError: Shapes that do not fit, or fewer than 100 draws.

    Example:
        >>> values = np.array([[0.20, 0.22, 0.21], [0.15, 0.16, 0.155]])
        >>> noise = np.random.default_rng(0).normal(0, 0.004, (2, 3, 500))
        >>> found = compare_rows(values, values[:, :, None] + noise)
        >>> found.letters, found.difference[0, 1].round(3).item()
        (['b', 'a'], 0.055)
    """
    rows, trainings = values.shape
    samples = samples[:, :, ~np.isnan(samples).any(axis=(0, 1))]
    if samples.shape[:2] != values.shape or samples.shape[2] < LEAST_DRAWS:
        raise ValueError(f"samples {samples.shape} of values {values.shape}; at least {LEAST_DRAWS} draws are needed")
    mean = values.mean(axis=1)
    people = _people_variance(samples)
    known = trainings > 1 and rows > 1
    square, freedom = _residual_square(values) if known else (assumed_sd**2, np.inf)
    of_trainings = 2 * square / trainings
    variance = of_trainings + people
    difference = mean[:, None] - mean
    degrees = (variance / of_trainings) ** 2 * freedom if of_trainings > 0 else np.full_like(variance, np.inf)
    error = np.sqrt(variance)
    half = stats.t.ppf(1 - LEVEL / 2, degrees) * error
    p = _p_values(difference, error, degrees)
    adjusted = holm_of_pairs(p)
    return Comparison(
        mean, float(np.sqrt(square)), people, float(freedom), difference, difference - half, difference + half, p,
        adjusted, letters(mean, adjusted <= LEVEL),
    )  # fmt: skip


def _residual_square(values: np.ndarray) -> tuple[float, int]:
    """MS of rows x trainings and its degrees of freedom."""
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    freedom = (values.shape[0] - 1) * (values.shape[1] - 1)
    return float(np.sum(rest**2) / freedom), freedom


def _people_variance(samples: np.ndarray) -> np.ndarray:
    """Covariance over people of the differences of two trainings, at least 0; of one training their variance.

    It is (Var(sum of d_s) - sum of Var(d_s)) / (r (r - 1)).
    """
    trainings = samples.shape[1]
    single = np.sum([_variance_of_differences(samples[:, s]) for s in range(trainings)], axis=0)
    if trainings == 1:
        return single
    together = _variance_of_differences(samples.sum(axis=1))
    return np.maximum(together - single, 0) / (trainings * (trainings - 1))


def _variance_of_differences(samples: np.ndarray) -> np.ndarray:
    """Of float64 [rows, draws] the variance of the difference of every two rows, float64 [rows, rows]."""
    covariance = np.atleast_2d(np.cov(samples))
    own = np.diag(covariance)
    return np.maximum(own[:, None] + own - 2 * covariance, 0)


def _p_values(difference: np.ndarray, error: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Two-sided p of t = difference / error; without any error 1 where there is no difference, 0 where there is."""
    t = np.divide(difference, error, out=np.where(difference == 0, 0.0, np.inf), where=error > 0)
    return 2 * stats.t.sf(np.abs(t), degrees)
