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
CELLS_AT_ONCE = 1 << 27


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

    Products of blocks of rows with all columns that they meet. In double precision, then rounded: so equal faces get
    equal scores wherever they stand in a matrix, and ties are ties.

    Args:
        features: float64 [t, d], unit or zero rows.
        first: int [p], positions in `features`.
        second: int [p].
    """
    rows, columns = _sides(first, second, len(features))
    named, met = _distinct(rows, len(features)), _distinct(columns, len(features))
    rank = np.zeros(len(features), dtype=np.int32)
    rank[named] = np.arange(len(named))
    if len(named) * len(met) <= CELLS_AT_ONCE:
        column = np.zeros(len(features), dtype=np.int32)
        column[met] = np.arange(len(met))
        return _products(features, named, met)[rank[rows], column[columns]]
    return _scores_by_block(features, rows, columns, named, rank)


def _scores_by_block(
    features: np.ndarray, rows: np.ndarray, columns: np.ndarray, named: np.ndarray, rank: np.ndarray
) -> np.ndarray:
    """The same where the pairs are few among many templates: each block of rows with the columns that it meets."""
    block = rank[rows] // ROWS_PER_BLOCK
    order = np.argsort(block.astype(np.uint16) if block.max(initial=0) < 2**16 else block, kind="stable")
    ends = np.cumsum(np.bincount(block))
    scores = np.empty(len(rows), dtype=np.float32)
    column = np.empty(len(features), dtype=np.int32)
    for index, (start, end) in enumerate(zip(np.r_[0, ends[:-1]], ends, strict=True)):
        pairs = order[start:end]
        met = _distinct(columns[pairs], len(features))
        column[met] = np.arange(len(met))
        top = index * ROWS_PER_BLOCK
        products = _products(features, named[top : top + ROWS_PER_BLOCK], met)
        scores[pairs] = products[rank[rows[pairs]] - top, column[columns[pairs]]]
    return scores


def _products(features: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """All products of some templates with others, float32 [rows, columns], computed in double precision."""
    right = features[columns].T
    products = np.empty((len(rows), len(columns)), dtype=np.float32)
    for start in range(0, len(rows), ROWS_PER_BLOCK):
        products[start : start + ROWS_PER_BLOCK] = features[rows[start : start + ROWS_PER_BLOCK]] @ right
    return products


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


def score_to_exceed(negatives: np.ndarray, rate: float) -> float:
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
    score = score_to_exceed(negatives, rate)
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


def equal_error(genuine: np.ndarray, impostor: np.ndarray) -> tuple[float, float]:
    """EER and its threshold: where FMR and FNMR are nearest to each other, and half their sum there.

    FMR falls and FNMR rises with the threshold, in steps, so they may pass each other without meeting; of the two
    thresholds beside the crossing the one with the smaller difference counts, of equal ones the lower.

    Args:
        genuine: Scores in rising order, float32.
        impostor: The same.

    Example:
        >>> equal_error(np.float32([.2, .6, .7, .9]), np.float32([.1, .3, .5, .65]))[0]   # at .6: 1 of 4 and 1 of 4
        0.25
    """

    def errors(threshold: np.float32) -> tuple[int, int]:
        """False matches and false non-matches, each times the number of the others: so they compare as FMR and FNMR."""
        passing = len(impostor) - int(np.searchsorted(impostor, threshold))
        return passing * len(genuine), int(np.searchsorted(genuine, threshold)) * len(impostor)

    low, high = _key(np.float32(-np.inf)), _key(np.float32(np.inf))
    while high - low > 1:  # at `low` FMR >= FNMR, at `high` it is below
        middle = (low + high) // 2
        matches, misses = errors(_float(middle))
        low, high = (middle, high) if matches >= misses else (low, middle)
    best = min((_float(low), _float(high)), key=lambda threshold: abs(np.subtract(*errors(threshold))))
    return sum(errors(best)) / (2 * len(genuine) * len(impostor)), float(best)


def area(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """Area under the ROC curve: how often a genuine score is above an impostor score, a tie counting half.

    Args:
        genuine: Scores in any order.
        impostor: Scores in rising order.

    Example:
        >>> area(np.float32([.2, .5]), np.float32([.1, .2, .3, .4]))   # (1 + 1/2 + 4) of 8
        0.6875
    """
    below = np.searchsorted(impostor, genuine, side="left").sum(dtype=np.int64)
    upto = np.searchsorted(impostor, genuine, side="right").sum(dtype=np.int64)
    return float((below + upto) / 2 / (len(genuine) * len(impostor)))


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


def _sides(first: np.ndarray, second: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs as rows and columns of products: as they stand, or the lower position first if that is not more.

    The side with fewer distinct templates becomes the rows. Swapping first and second changes nothing.
    """
    low, high = np.minimum(first, second), np.maximum(first, second)
    sizes = [len(_distinct(side, count)) for side in (first, second, low, high)]
    if sizes[2] * sizes[3] <= sizes[0] * sizes[1]:
        return low, high
    return (first, second) if sizes[0] < sizes[1] else (second, first) if sizes[1] < sizes[0] else (low, high)


def _key(number: np.float32) -> int:
    """An integer for each float32, in the same order."""
    bits = int(number.view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF)


def _float(key: int) -> np.float32:
    """The float32 of such an integer."""
    return np.int32(key).view(np.float32) if key >= 0 else -np.int32(-key).view(np.float32)


def _distinct(values: np.ndarray, limit: int) -> np.ndarray:
    seen = np.zeros(limit, dtype=bool)
    seen[values] = True
    return np.flatnonzero(seen)
