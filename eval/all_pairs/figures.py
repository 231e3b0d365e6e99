"""1:1 figures from counts of scores on the grid: the definitions of `eval.metrics.fnmr`, of any number of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eval.all_pairs.scores import GRID, AllPairs
from eval.metrics.fnmr import Verification
from eval.metrics.operating_point import OperatingPoint, allowed, curve_rates


def counted_verification(pairs: AllPairs, rates: Sequence[float]) -> Verification:
    """FNMR at each FMR, EER and AUC, as `eval.metrics.verification` has them of the same scores.

    Thresholds are multiples of 1 / GRID; one step above 1 where no cosine may match.
    """
    genuine, impostor = pairs.genuine_counts, pairs.impostor_counts
    points = dict(zip(rates, _points(pairs, rates), strict=True))
    return Verification(points, _equal_error(pairs), _area(pairs), int(genuine.sum()), int(impostor.sum()))


def counted_det(pairs: AllPairs) -> list[tuple[float, float, float]]:
    """(FMR, FNMR, threshold) at log-spaced rates."""
    rates = curve_rates(int(pairs.impostor_counts.sum())).tolist()
    return [(rate, each.error, each.threshold) for rate, each in zip(rates, _points(pairs, rates), strict=True)]


def share_matching(pairs: AllPairs, threshold: float) -> tuple[int, int]:
    """False matches and false non-matches at a threshold that is a multiple of 1 / GRID."""
    place = round(threshold * GRID) + GRID
    return int(pairs.impostor_counts[place:].sum()), int(pairs.genuine_counts[:place].sum())


def _points(pairs: AllPairs, rates: Sequence[float]) -> list[OperatingPoint]:
    """At each rate the smallest threshold at which at most so many of the impostor pairs match."""
    passing, reached = _at_or_above(pairs.impostor_counts), _at_or_above(pairs.genuine_counts)
    missed = reached[0] - reached
    total, positives = int(passing[0]), int(missed[-1])
    points = []
    for rate in rates:
        count = allowed(total, rate)
        place = len(passing) - int(np.searchsorted(passing[::-1], count, side="right"))
        threshold = (place - GRID) / GRID
        points.append(OperatingPoint(threshold, int(passing[place]), int(missed[place]), positives, count >= 1))
    return points


def _at_or_above(counts: np.ndarray) -> np.ndarray:
    """How many have at least each score, and how many a higher one than all: int64 [2 * GRID + 2]."""
    return np.append(np.cumsum(counts[::-1])[::-1], 0)


def _equal_error(pairs: AllPairs) -> float:
    """See `eval.metrics.fnmr.equal_error`."""
    genuine, impostor = int(pairs.genuine_counts.sum()), int(pairs.impostor_counts.sum())
    kind = _exact_for(genuine * impostor)
    matches = _at_or_above(pairs.impostor_counts).astype(kind) * genuine
    misses = (genuine - _at_or_above(pairs.genuine_counts)).astype(kind) * impostor
    best = np.argmin(np.abs(matches - misses))
    return int(matches[best] + misses[best]) / (2 * genuine * impostor)


def _area(pairs: AllPairs) -> float:
    """See `eval.metrics.fnmr.area`."""
    genuine, impostor = pairs.genuine_counts, pairs.impostor_counts
    compared = int(genuine.sum()) * int(impostor.sum())
    below = np.cumsum(impostor) - impostor
    won = np.sum(genuine.astype(_exact_for(compared)) * (2 * below + impostor))
    return int(won) / 2 / compared


def _exact_for(product: int) -> Any:
    """Whole numbers where twice the product fits, else floating point."""
    return np.int64 if product < 2**62 else np.float64
