"""The threshold at an error rate, and the curve of thresholds: the same for FNMR at FMR (1:1) and FNIR at FPIR (1:N).

Negatives (impostor pairs, non-mated probes) must fail, positives (genuine pairs, mated probes) must pass. At rate f the
threshold is the smallest number at which the share of negatives scoring at or above it is at most f. Of N negatives,
k = max {k: k / N <= f} may pass. So the threshold lies just above the (k + 1)-th highest, and every positive up to that
score is rejected. Negatives that tie fall together: then fewer than k pass. No point of a curve is taken because it is
near, and none is interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from facerec.pipeline.files import InputError
from facerec.pipeline.values import as_array, shown


@dataclass(frozen=True)
class OperatingPoint:
    """One threshold and what it does.

    Attributes:
        threshold: Scores at or above it pass.
        accepted: Number of negatives that pass: false matches, false positives.
        rejected: Number of positives that fail: false non-matches, misses.
        positives: Number of positives.
        supported: Whether there are enough negatives for even one to pass at this rate.
    """

    threshold: float
    accepted: int
    rejected: int
    positives: int
    supported: bool

    @property
    def error(self) -> float:
        """Share of positives that fail: FNMR or FNIR."""
        return self.rejected / self.positives


def operating_point(positives: np.ndarray, negatives: np.ndarray, rate: float) -> OperatingPoint:
    """The threshold at which at most `rate` of the negatives pass, and the positives that it costs.

    Args:
        positives: Scores in rising order. -inf for one that fails at any threshold.
        negatives: Scores in rising order, of the same float type.
        rate: In [0, 1].

    Example:
        >>> impostor, genuine = np.float32([.1, .2, .3, .4]), np.float32([.2, .3, .9])
        >>> point = operating_point(genuine, impostor, 0.25)   # one may pass: just above .3
        >>> point.accepted, point.rejected
        (1, 2)
    """
    score = score_to_exceed(negatives, rate)
    with np.errstate(over="ignore"):  # only infinity exceeds the largest number
        above = float(np.nextafter(score, np.inf, dtype=negatives.dtype))
    return OperatingPoint(
        threshold=above if np.isfinite(score) else score,
        accepted=len(negatives) - _up_to(negatives, score),
        rejected=_up_to(positives, score),
        positives=len(positives),
        supported=allowed(len(negatives), rate) >= 1,
    )


def score_to_exceed(negatives: np.ndarray, rate: float) -> float:
    """The score that a threshold has to exceed for the rate; -inf where all may pass.

    Args:
        negatives: Scores in rising order.
        rate: In [0, 1].
    """
    count = allowed(len(negatives), rate)
    return float(negatives[len(negatives) - 1 - count]) if count < len(negatives) else -np.inf


def allowed(negatives: int, rate: float) -> int:
    """The largest count k with k / negatives <= rate, as compared in floating point.

    Example:
        >>> allowed(3000, 1e-3), allowed(2999, 1e-3), allowed(10, 0.3)
        (3, 2, 3)
    """
    count = min(int(rate * negatives) + 1, negatives)
    while count / negatives > rate:
        count -= 1
    return count


def curve_rates(negatives: int) -> np.ndarray:
    """Log-spaced rates of four digits, 20 a decade, up to 1: from 1e-6 or the lowest that so many negatives support."""
    rates = np.array([float(f"{10 ** (step / 20):.4g}") for step in range(-120, 1)])
    return rates[rates * negatives >= 1]


def check_rates(rates: Sequence[float], name: str) -> list[float]:
    """The rates as floats.

    Raises:
        InputError: No list of numbers, or one that is not in [0, 1].
    """
    if not np.iterable(rates) or isinstance(rates, str):
        raise InputError(f"{name} {shown(rates)}; give a list of rates, as (1e-4,)")
    rates = list(rates)  # a generator can be read once
    for rate in rates:
        if not isinstance(rate, Real) or isinstance(rate, bool) or not 0 <= rate <= 1:
            raise InputError(f"{name} {shown(rate)}; a rate is in [0, 1], as 1e-4")
    return [float(rate) for rate in rates]


def rising(scores: Any, name: str) -> np.ndarray:
    """Scores in rising order, float32 or float64 [n]; no copy of float32 and float64 that rise already.

    Args:
        scores: Numbers [n] in any order.
        name: What they are, for messages.

    Raises:
        InputError: None, not a list of numbers, NaN or infinite.
    """
    array = as_array(f"{name} scores", scores)
    if array.ndim != 1 or array.dtype.kind not in "fiu" or not len(array):
        raise InputError(f"{name} scores: {array.dtype} with shape {list(array.shape)}; expected numbers [n], n > 0")
    if array.dtype not in (np.float32, np.float64):
        with np.errstate(over="ignore"):  # a long double may become infinite
            array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise InputError(f"{name} scores: {array[bad[0]]} in row {bad[0]}; scores are finite, leave such pairs out")
    return array if np.all(array[:-1] <= array[1:]) else np.sort(array)


def _up_to(ordered: np.ndarray, score: float) -> int:
    """How many scores are at most `score`, which no threshold below or at it lets through."""
    return int(np.searchsorted(ordered, ordered.dtype.type(score), side="right"))
