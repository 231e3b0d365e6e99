"""1:1 verification: FNMR at FMR, EER, AUC, and the DET curve.

    FMR(t) = share of impostor pairs that score >= t
    FNMR(t) = share of genuine pairs that score < t
    FNMR at FMR = f: FNMR(t) at the smallest t for which FMR(t) <= f

`eval.metrics.operating_point` finds t.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.metrics.operating_point import OperatingPoint, check_rates, curve_rates, operating_point, rising

logger = logging.getLogger(__name__)
LEAST_AUC = 0.55
"""With less, genuine scores are hardly higher than impostor scores."""


@dataclass(frozen=True)
class Verification:
    """The figures of 1:1 verification, as fractions.

    Attributes:
        points: For each FMR the threshold, false matches (`accepted`) and false non-matches (`rejected`).
        eer: Equal error rate, see `equal_error`.
        auc: Area under the ROC curve, see `area`.
        genuine: Number of genuine pairs.
        impostor: Number of impostor pairs.
    """

    points: dict[float, OperatingPoint]
    eer: float
    auc: float
    genuine: int
    impostor: int

    @classmethod
    def of(cls, genuine: np.ndarray, impostor: np.ndarray, fmrs: Sequence[float]) -> Verification:
        """The figures of scores in rising order, of one float type; see `verification`."""
        points = {fmr: operating_point(genuine, impostor, fmr) for fmr in check_rates(fmrs, "FMR")}
        eer, _ = equal_error(genuine, impostor)
        return cls(points, eer, area(genuine, impostor), len(genuine), len(impostor))

    @property
    def fnmr(self) -> dict[float, float]:
        """FNMR for each FMR."""
        return {fmr: point.error for fmr, point in self.points.items()}

    @property
    def thresholds(self) -> dict[float, float]:
        """The threshold for each FMR. Scores at or above it match."""
        return {fmr: point.threshold for fmr, point in self.points.items()}


def verification(genuine: Any, impostor: Any, fmrs: Sequence[float] = (1e-4,)) -> Verification:
    """Computes FNMR at each FMR, EER and AUC from similarity scores: the higher, the more alike.

    It warns if genuine scores are hardly higher than impostor scores, as of distances, or if either are labels.

    Args:
        genuine: Scores of pairs of the same person, [g], in any order and of any float type.
        impostor: Scores of pairs of two people, [i].
        fmrs: False match rates, each in [0, 1].

    Raises:
        InputError: There are no genuine or no impostor scores, scores are NaN or infinite (the message names the row),
            or a rate is not in [0, 1].

    Example:
        >>> found = verification([.9, .3, .6], [.5, .1, .2, .4], fmrs=(.25, 0.))
        >>> found.fnmr   # at .25 one impostor may pass: the threshold is just above .4
        {0.25: 0.3333333333333333, 0.0: 0.3333333333333333}
        >>> round(found.thresholds[.25], 6), found.points[.25].accepted, round(found.auc, 3)
        (0.4, 1, 0.833)
    """
    given = rising(genuine, "genuine"), rising(impostor, "impostor")
    genuine, impostor = given if given[0].dtype == given[1].dtype else (side.astype(np.float64) for side in given)
    found = Verification.of(genuine, impostor, fmrs)
    _say_doubts(genuine, impostor, found.auc)
    return found


def _say_doubts(genuine: np.ndarray, impostor: np.ndarray, auc: float) -> None:
    """Warns of scores that look like distances, or like labels; both in rising order."""
    if len(genuine) == len(impostor) and _are_labels(genuine) != _are_labels(impostor):
        logger.warning(
            "%s scores are 0 and 1 alone, one for each of the others: are they labels? Then give "
            "scores[labels == 1] and scores[labels == 0]", "genuine" if _are_labels(genuine) else "impostor",
        )  # fmt: skip
    elif auc < LEAST_AUC:
        logger.warning(
            "genuine scores are hardly higher than impostor scores (AUC %.3f); scores are similarities, so negate "
            "distances; the genuine ones come first", auc,
        )  # fmt: skip


def _are_labels(ordered: np.ndarray) -> bool:
    """Whether scores in rising order are 0 and 1, both there."""
    return bool(ordered[0] == 0 and ordered[-1] == 1 and np.all((ordered == 0) | (ordered == 1)))


def equal_error(genuine: np.ndarray, impostor: np.ndarray) -> tuple[float, float]:
    """EER and its threshold: the mean of FMR and FNMR at the threshold where they are nearest to each other.

    With a rising threshold, FMR falls and FNMR rises in steps, so they may cross without being equal. Then the
    threshold on the side of the crossing with the smaller difference counts; if both differ equally, the lower one.

    Args:
        genuine: Scores in ascending order.
        impostor: Scores in ascending order, of the same float type.

    Example:
        >>> equal_error(np.float32([.2, .6, .7, .9]), np.float32([.1, .3, .5, .65]))[0]   # at .6: 1 of 4 and 1 of 4
        0.25
    """

    def errors(threshold: np.floating[Any]) -> tuple[int, int]:
        """False matches and false non-matches, each times the number of the other pairs, to be compared like rates."""
        passing = len(impostor) - int(np.searchsorted(impostor, threshold))
        return passing * len(genuine), int(np.searchsorted(genuine, threshold)) * len(impostor)

    def is_past_crossing(threshold: np.floating[Any]) -> bool:
        """Whether FMR is below FNMR. Both change just above a score."""
        matches, misses = errors(threshold)
        return matches < misses

    counts = [bisect_left(scores, True, key=is_past_crossing) for scores in (genuine, impostor)]
    low = max(scores[count - 1] for scores, count in zip((genuine, impostor), counts, strict=True) if count)
    with np.errstate(over="ignore"):  # only infinity exceeds the largest number
        above = np.nextafter(low, low.dtype.type(np.inf))
    best = min(low, above, key=lambda score: abs(np.subtract(*errors(score))))
    return sum(errors(best)) / (2 * len(genuine) * len(impostor)), float(best)


def area(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """Area under the ROC curve: how often a genuine score is above an impostor score. A tie counts half.

    Args:
        genuine: Scores in any order.
        impostor: Scores in ascending order.

    Example:
        >>> area(np.float32([.2, .5]), np.float32([.1, .2, .3, .4]))   # (1 + 1/2 + 4) of 8
        0.6875
    """
    below = np.searchsorted(impostor, genuine, side="left").sum(dtype=np.int64)
    upto = np.searchsorted(impostor, genuine, side="right").sum(dtype=np.int64)
    return float((below + upto) / 2 / (len(genuine) * len(impostor)))


def det_curve(genuine: np.ndarray, impostor: np.ndarray) -> list[tuple[float, float, float]]:
    """(FMR, FNMR, threshold) at log-spaced rates, from scores in ascending order."""
    rates = curve_rates(len(impostor))
    points = [operating_point(genuine, impostor, rate) for rate in rates]
    return [(float(f), p.error, p.threshold) for f, p in zip(rates, points, strict=True)]
