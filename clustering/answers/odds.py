"""The probability that two groups of faces are one person, as a function of their likeness; answers correct it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

SLOPE = 18.0
PRIOR_ANSWERS = 20
GRID = np.linspace(0, 1.2, 25)


@dataclass(frozen=True)
class Odds:
    """A logistic function: ``P(same) = 1 / (1 + exp(-slope (likeness - middle)))``.

    Attributes:
        middle: The likeness of probability one half.
        slope: Log-odds by likeness.
    """

    middle: float
    slope: float = SLOPE

    def probability(self, likeness: np.ndarray) -> np.ndarray:
        """Float64 [p]."""
        return np.asarray(expit(self.slope * (likeness - self.middle)))

    @classmethod
    def guessed(cls, nearest: np.ndarray, halves: np.ndarray) -> Odds:
        """Before any answer: the middle lies between what is mostly two people and what is mostly one.

        Args:
            nearest: float64 [c]: the likeness of clusters of several faces with the likest other one.
            halves: float64 [h]: of the halves of clusters.
        """
        known = [float(np.median(values)) for values in (nearest, halves) if len(values)]
        return cls(float(np.mean(known)) if known else 0.5)

    def corrected(self, likeness: np.ndarray, same: np.ndarray) -> Odds:
        """By answers: maximum likelihood, in which this function counts as `PRIOR_ANSWERS` answers.

        Args:
            likeness: float64 [m], when the questions were asked.
            same: Bool [m].
        """
        if not len(likeness):
            return self
        x = np.concatenate([likeness, GRID])
        y = np.concatenate([same, self.probability(GRID)])
        weight = np.append(np.ones(len(likeness)), np.full(len(GRID), PRIOR_ANSWERS / len(GRID)))

        def loss(w: np.ndarray) -> float:
            z = w[0] * x + w[1]
            return float(weight @ (np.logaddexp(0, z) - y * z))

        slope, offset = minimize(loss, [self.slope, -self.slope * self.middle]).x
        return Odds(-offset / slope, slope) if slope > 0 else self
