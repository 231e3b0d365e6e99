"""Which method is best, which methods are not significantly worse, and ranks over sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata, studentized_range

from eval.trainings.multiple import holm

ALPHA = 0.05


def paired_p(samples: np.ndarray, other: np.ndarray) -> float:
    """Two-sided p-value: twice the share of samples whose difference is on the rarer side of 0, with one more there.

    Args:
        samples: float64 [samples], a figure of one method on each sample of identities.
        other: float64 [samples], the figure of another method on the same samples.
    """
    difference = samples - other
    rarer = min(np.count_nonzero(difference <= 0), np.count_nonzero(difference >= 0))
    return min(1.0, 2 * (int(rarer) + 1) / (len(difference) + 1))


@dataclass(frozen=True)
class Contest:
    """Methods compared with the best of them by one figure on one set.

    Attributes:
        best: The method with the highest value.
        p: p-value of every other method against the best one, with Holm's correction.
    """

    best: str
    p: Mapping[str, float]

    def verdict(self, method: str) -> str:
        """``best``, ``tied`` (not significantly worse) or ``worse``."""
        return "best" if method == self.best else "tied" if self.p[method] > ALPHA else "worse"


def contest(values: Mapping[str, float], samples: Mapping[str, np.ndarray]) -> Contest:
    """Compares methods with the best one.

    Args:
        values: The figure of each method.
        samples: float64 [samples] of each method: the figure on samples of the identities.
    """
    best = max(values, key=lambda name: values[name])
    others = [name for name in values if name != best]
    p = holm([paired_p(samples[best], samples[name]) for name in others])
    return Contest(best, dict(zip(others, p.tolist(), strict=True)))


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Float64 [methods]: the mean over sets of the rank, 1 for the highest; equal ones share theirs.

    Args:
        values: float64 [sets, methods].
    """
    return rankdata(-values, axis=1).mean(axis=0)


def critical_difference(methods: int, sets: int) -> float:
    """How far two mean ranks must be apart to differ at 5 % (Nemenyi; Demsar 2006, eq. in section 3.2.2).

    q sqrt(k (k + 1) / (6 N)) for k methods, N sets, and q the studentised range of k groups over sqrt(2).
    """
    q = studentized_range.ppf(1 - ALPHA, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * sets)))


def groups(ranks: np.ndarray, difference: float) -> list[tuple[int, int]]:
    """The first and last place of each longest run of sorted ranks that do not differ; runs of one are left out."""
    found: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = int(np.searchsorted(ranks, rank + difference, side="right")) - 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found
