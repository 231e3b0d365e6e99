"""Accuracy on folds of pairs (Huang et al. 2007, View 2 of LFW): thresholds chosen on the other folds."""

from __future__ import annotations

import numpy as np

FOLDS = 10


def consecutive_folds(count: int) -> np.ndarray:
    """Int64 [count]: the fold of each pair, ten of consecutive pairs, as equal as can be, the larger ones first.

    Example:
        >>> consecutive_folds(12)
        array([0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    return np.repeat(np.arange(FOLDS), [len(part) for part in np.array_split(np.arange(count), FOLDS)])


def decide(scores: np.ndarray, same: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Whether each pair is decided rightly by the threshold of its fold, bool [p], and the thresholds.

    Args:
        scores: float [p].
        same: bool [p].
        fold: int64 [p], from 0.

    Example:
        >>> scores, same = np.array([.9, .2, .8, .1]), np.array([True, False, True, False])
        >>> decide(scores, same, np.array([0, 0, 1, 1]))   # thresholds .8 of fold 1 and .9 of fold 0
        (array([ True,  True, False,  True]), [0.8, 0.9])
    """
    right, thresholds = np.empty(len(scores), dtype=bool), []
    for index in range(int(fold.max()) + 1):
        inside = fold == index
        threshold = best_threshold(scores[~inside], same[~inside])
        right[inside] = (scores[inside] >= threshold) == same[inside]
        thresholds.append(float(threshold))
    return right, thresholds


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """The threshold that decides most pairs rightly: one of the scores, or infinity.

    A pair is accepted if it scores at or above the threshold. Of several such thresholds the middle one is taken.
    """
    candidates = np.append(np.unique(scores), np.inf)
    genuine, impostor = np.sort(scores[same]), np.sort(scores[~same])
    right = len(genuine) - np.searchsorted(genuine, candidates) + np.searchsorted(impostor, candidates)
    best = np.flatnonzero(right == right.max())
    return float(candidates[best[(len(best) - 1) // 2]])
