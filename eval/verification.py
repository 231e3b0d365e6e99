"""1:1 verification: FNMR at FMR, and the DET curve.

FNMR at FMR = f. The threshold is the smallest one at which the share of impostor scores at or above it is at most f;
FNMR is the share of genuine scores below it. With N impostor scores, k = the largest count with k / N <= f of them may
pass, so the threshold lies just above the (k+1)-th highest, and every genuine score up to that one is rejected. Ties
of impostor scores fall together: then fewer than k pass. Never the nearest point of a curve, never interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROWS_PER_BLOCK = 512


@dataclass(frozen=True)
class OperatingPoint:
    """One threshold and what it does.

    Attributes:
        threshold: Scores at or above it pass.
        accepted: Number of negatives (impostor pairs, non-mated probes) that pass.
        rejected: Number of positives (genuine pairs, mated probes) that fail.
        supported: Whether there are enough negatives for even one to pass at this rate.
    """

    threshold: float
    accepted: int
    rejected: int
    supported: bool


def pair_scores(features: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of each pair of templates, float32 [p].

    Products of blocks of rows with all rows that they meet. In double precision, then rounded: so equal faces get equal
    scores wherever they stand in a matrix, and ties are ties.

    Args:
        features: float64 [t, d], unit or zero rows.
        first: int [p], positions in `features`.
        second: int [p].
    """
    low, high = np.minimum(first, second), np.maximum(first, second)
    block = low // ROWS_PER_BLOCK
    order = np.argsort(block.astype(np.uint16) if block.max(initial=0) < 2**16 else block, kind="stable")
    ends = np.cumsum(np.bincount(block))
    scores = np.empty(len(low), dtype=np.float32)
    column = np.empty(len(features), dtype=np.int32)
    for index, (start, end) in enumerate(zip(np.r_[0, ends[:-1]], ends, strict=True)):
        pairs = order[start:end]
        met = _distinct(high[pairs], len(features))
        column[met] = np.arange(len(met))
        top = index * ROWS_PER_BLOCK
        products = features[top : top + ROWS_PER_BLOCK] @ features[met].T
        scores[pairs] = products[low[pairs] - top, column[high[pairs]]]
    return scores


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


def border(negatives: np.ndarray, rate: float) -> float:
    """The score that a threshold has to exceed for the rate; -inf where all may pass.

    Args:
        negatives: Scores in rising order.
        rate: In [0, 1].
    """
    count = allowed(len(negatives), rate)
    return float(negatives[len(negatives) - 1 - count]) if count < len(negatives) else -np.inf


def operating_point(positives: np.ndarray, negatives: np.ndarray, rate: float) -> OperatingPoint:
    """The threshold at which at most `rate` of the negatives pass, and the positives that it costs.

    Args:
        positives: Scores in rising order, float32. -inf for one that fails at any threshold.
        negatives: Scores in rising order, float32.
        rate: In [0, 1].

    Example:
        >>> impostor, genuine = np.float32([.1, .2, .3, .4]), np.float32([.2, .3, .9])
        >>> point = operating_point(genuine, impostor, 0.25)   # one may pass: just above .3
        >>> point.accepted, point.rejected
        (1, 2)
    """
    score = border(negatives, rate)
    return OperatingPoint(
        threshold=float(np.nextafter(np.float32(score), np.float32(np.inf))) if np.isfinite(score) else score,
        accepted=len(negatives) - _up_to(negatives, score),
        rejected=_up_to(positives, score),
        supported=allowed(len(negatives), rate) >= 1,
    )


def fnmr_at_fmr(genuine: np.ndarray, impostor: np.ndarray, fmr: float) -> float:
    """Share of genuine scores below the threshold of `fmr`; see the top of this file. Scores in any order."""
    point = operating_point(np.sort(genuine), np.sort(impostor), fmr)
    return point.rejected / len(genuine)


def curve_rates(negatives: int, per_decade: int = 20, lowest: float = 1e-6) -> np.ndarray:
    """Log-spaced rates of four digits from `lowest`, or what `negatives` scores support if that is more, to 1."""
    steps = range(round(per_decade * np.log10(lowest)), 1)
    rates = np.array([float(f"{10 ** (step / per_decade):.4g}") for step in steps])
    return rates[rates * negatives >= 1]


def det_curve(genuine: np.ndarray, impostor: np.ndarray) -> list[tuple[float, float, float]]:
    """(FMR, FNMR, threshold) at log-spaced rates; scores in rising order."""
    rates = curve_rates(len(impostor))
    points = [operating_point(genuine, impostor, rate) for rate in rates]
    return [(float(f), p.rejected / len(genuine), p.threshold) for f, p in zip(rates, points, strict=True)]


def _up_to(ordered: np.ndarray, score: float) -> int:
    """How many scores are at most `score`, which no threshold below or at it lets through."""
    return int(np.searchsorted(ordered, ordered.dtype.type(score), side="right"))


def _distinct(values: np.ndarray, limit: int) -> np.ndarray:
    seen = np.zeros(limit, dtype=bool)
    seen[values] = True
    return np.flatnonzero(seen)
