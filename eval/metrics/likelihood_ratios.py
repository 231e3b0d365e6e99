"""Scores to likelihood ratios, and what these cost: Cllr (Brümmer and du Preez 2006, eq. 13).

    LLR(s) = ln p(s | one person) - ln p(s | two people)
    Cllr = 1/2 [mean over genuine pairs of log2(1 + e^-LLR) + mean over impostor pairs of log2(1 + e^LLR)]

Cllr is in bits: 0 at best; 1 for a system that always says LLR = 0. *min Cllr* is that of the isotonic map (pool
adjacent violators) that is fitted to the very pairs it is measured on. No rising map of the scores can beat it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LEAST_PENALTY = 1e4
Map = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class LabelledScores:
    """Scores of pairs and the subjects of both sides; a genuine pair has one subject twice. Arrays of [g] and [i]."""

    genuine: np.ndarray
    impostor: np.ndarray
    genuine_subjects: np.ndarray
    impostor_subjects: tuple[np.ndarray, np.ndarray]


def cllr(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """The cost of natural log-likelihood ratios, in bits; infinite values are allowed.

    Example:
        >>> cllr(np.zeros(3), np.zeros(2)), cllr(np.array([np.inf]), np.array([-np.inf]))
        (1.0, 0.0)
    """
    costs = np.mean(np.logaddexp(0, -genuine)) + np.mean(np.logaddexp(0, impostor))
    return float(costs / (2 * np.log(2)))


def logistic_map(genuine: np.ndarray, impostor: np.ndarray) -> Map:
    """LLR = a s + b by logistic regression in which both kinds weigh alike (scikit-learn).

    The slope of standardised scores has the penalty a^2 / 2, beside LEAST_PENALTY times the loss of all pairs. This
    only keeps the slope finite where both kinds do not overlap.
    """
    from sklearn.linear_model import LogisticRegression

    scores = np.concatenate([genuine, impostor]).astype(np.float64)
    label = np.r_[np.ones(len(genuine)), np.zeros(len(impostor))]
    shift, scale = scores.mean(), scores.std() or 1.0
    model = LogisticRegression(C=LEAST_PENALTY, class_weight="balanced", max_iter=1000)
    model.fit(((scores - shift) / scale)[:, None], label)
    slope, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
    return lambda score: slope * (np.asarray(score, np.float64) - shift) / scale + offset


def isotonic_map(genuine: np.ndarray, impostor: np.ndarray, misleading: int = 1) -> Map:
    """The rising map of highest likelihood by pool adjacent violators, both kinds weighing alike (scikit-learn).

    Between scores that it was fitted to it is linear in the probability.

    Args:
        genuine: Scores.
        impostor: Scores.
        misleading: Number of genuine pairs that are added below all scores, and of impostor pairs above all. With 1
            every LLR is finite (Laplace's rule). With 0 it is the map of min Cllr.
    """
    from sklearn.isotonic import IsotonicRegression

    scores = np.concatenate([genuine, impostor]).astype(np.float64)
    label = np.r_[np.ones(len(genuine)), np.zeros(len(impostor))]
    added = np.repeat([[scores.min() - 1, 1.0], [scores.max() + 1, 0.0]], misleading, axis=0)
    scores, label = np.r_[scores, added[:, 0]], np.r_[label, added[:, 1]]
    weight = np.where(label == 1, 1 / np.count_nonzero(label == 1), 1 / np.count_nonzero(label == 0))
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, label, weight)

    def ratio(score: np.ndarray) -> np.ndarray:
        probability = model.predict(np.asarray(score, np.float64))
        with np.errstate(divide="ignore"):
            return np.log(probability) - np.log1p(-probability)

    return ratio


def min_cllr(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """Min Cllr in bits: the cost of the isotonic map, fitted to these very pairs."""
    ratio = isotonic_map(genuine, impostor, misleading=0)
    return cllr(ratio(genuine), ratio(impostor))


def cross_validated(scores: LabelledScores, fit: Callable[[np.ndarray, np.ndarray], Map], fold: np.ndarray) -> float:
    """Cllr of LLRs that come from other people: of each fold by the map fitted to pairs without any of its subjects.

    Pairs whose subjects lie in different folds are measured nowhere. NaN if a fold leaves no pair of a kind to fit, or
    if no pair of a kind is measured.

    Args:
        scores: The pairs.
        fit: `logistic_map` or `isotonic_map`.
        fold: int [subjects], the fold of each subject.
    """
    own, (one, two) = fold[scores.genuine_subjects], (fold[side] for side in scores.impostor_subjects)
    genuine, impostor = np.full(len(own), np.nan), np.full(len(one), np.nan)
    for index in range(int(fold.max()) + 1):
        training = scores.genuine[own != index], scores.impostor[(one != index) & (two != index)]
        if not all(map(len, training)):
            return float("nan")
        ratio = fit(*training)
        for ratios, values, test in (
            (genuine, scores.genuine, own == index),
            (impostor, scores.impostor, (one == index) & (two == index)),
        ):
            if test.any():
                ratios[test] = ratio(values[test])
    genuine, impostor = genuine[~np.isnan(genuine)], impostor[~np.isnan(impostor)]
    return cllr(genuine, impostor) if len(genuine) and len(impostor) else float("nan")
