"""The log-odds that two groups of faces are one person; answers correct them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

BETWEEN = (-7.75, 7.13, 1.34)
"""For two clusters: the constant, the weight of likeness and that of links, see `between`."""
WITHIN = (-3.8, 6.4)
"""For two sides of a cluster: the constant and the weight of likeness, see `within`."""
PRIOR_ANSWERS = 20
"""Answers that the log-odds as they are count for, see `Correction.by_answers`."""
GRID = np.linspace(-5, 5, 25)


def between(likeness: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Of two clusters: ``a + b likeness + c log(1 + links)``, float64 [p].

    The coefficients were fitted to three embedding sets, rendered faces and eight simulated corpora, each pair weighted
    by what is at stake.

    Args:
        likeness: float64 [p], see `Groups.likeness`.
        links: float64 [p]: edges of the graph from one cluster to the other, a face of the smaller one.
    """
    constant, by_likeness, by_links = BETWEEN
    return np.asarray(constant + by_likeness * likeness + by_links * np.log1p(links))


def within(likeness: np.ndarray) -> np.ndarray:
    """Of two sides of a cluster: ``a + b likeness``, float64 [p]."""
    return WITHIN[0] + WITHIN[1] * likeness


@dataclass(frozen=True)
class Correction:
    """A logistic function: ``P(same) = 1 / (1 + exp(-(slope z + offset)))`` of log-odds z.

    Attributes:
        slope: 1 before any answer.
        offset: 0 before any answer.
    """

    slope: float = 1.0
    offset: float = 0.0

    def probability(self, log_odds: np.ndarray) -> np.ndarray:
        """Float64 [p]."""
        return np.asarray(expit(self.slope * log_odds + self.offset))

    @classmethod
    def by_answers(cls, log_odds: np.ndarray, same: np.ndarray) -> Correction:
        """Maximum likelihood (Platt scaling), in which the log-odds as they are count as `PRIOR_ANSWERS` answers.

        Args:
            log_odds: float64 [m], when the questions were asked.
            same: Bool [m].
        """
        z, y = np.concatenate([log_odds, GRID]), np.concatenate([same, expit(GRID)])
        weight = np.append(np.ones(len(log_odds)), np.full(len(GRID), PRIOR_ANSWERS / len(GRID)))

        def loss(w: np.ndarray) -> float:
            return float(weight @ (np.logaddexp(0, w[0] * z + w[1]) - y * (w[0] * z + w[1])))

        slope, offset = minimize(loss, [1.0, 0.0]).x
        return cls(float(slope), float(offset)) if slope > 0 else cls()
