"""FMR and FNMR of groups of faces at one threshold for all, and of pairs across two groups.

    FNMR of g = share of the genuine pairs, both faces in g, that score below the threshold
    FMR of g and h = share of the impostor pairs, one face in g and the other in h, that score at or above it

Numbers of impostor pairs follow from the number of faces that each subject has in each group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eval.bootstrap.impostor_bins import drawn_pairs
from eval.bootstrap.resampling import quotient


@dataclass(frozen=True)
class Judged:
    """The pairs at one threshold, by positions of units.

    Attributes:
        subject: int [u], the subject of each unit, from 0.
        genuine: int [g, 2], all genuine pairs.
        failed: bool [g], those below the threshold.
        matches: int [m, 2], the impostor pairs at or above it, and only these.
        drawn: float64 [subjects, samples], of `eval.bootstrap.resampling.draw`; no samples for no intervals.
    """

    subject: np.ndarray
    genuine: np.ndarray
    failed: np.ndarray
    matches: np.ndarray
    drawn: np.ndarray


@dataclass(frozen=True)
class Rate:
    """A rate, the counts behind it, and its samples; NaN without pairs."""

    errors: int
    pairs: int
    samples: np.ndarray

    @property
    def value(self) -> float:
        """The share."""
        return self.errors / self.pairs if self.pairs else float("nan")


def group_rates(judged: Judged, group: np.ndarray, one: int, other: int) -> tuple[Rate, Rate]:
    """FMR and FNMR of pairs with one face in each of two groups, which may be the same.

    Args:
        judged: The pairs.
        group: int [u], the group of each unit; -1 for none.
        one: A group.
        other: A group.
    """
    subject, drawn = judged.subject, judged.drawn
    genuine = _between(group, judged.genuine, one, other)
    whose = subject[judged.genuine[genuine, 0]]
    failed = np.bincount(whose, judged.failed[genuine], len(drawn))
    pairs = np.bincount(whose, minlength=len(drawn)).astype(np.float64)
    fnmr = Rate(int(failed.sum()), int(pairs.sum()), quotient(failed @ drawn, pairs @ drawn))

    sizes = [np.bincount(subject[group == each], minlength=len(drawn)).astype(np.float64) for each in (one, other)]
    matches = judged.matches[_between(group, judged.matches, one, other)]
    halves = 2 if one == other else 1
    total = int((sizes[0].sum() * sizes[1].sum() - sizes[0] @ sizes[1]) / halves)
    all_drawn = ((sizes[0] @ drawn) * (sizes[1] @ drawn) - (sizes[0] * sizes[1]) @ drawn**2) / halves
    hits = drawn_pairs(subject[matches[:, 0]], subject[matches[:, 1]], drawn)
    return Rate(len(matches), total, quotient(hits, all_drawn)), fnmr


def _between(group: np.ndarray, pairs: np.ndarray, one: int, other: int) -> np.ndarray:
    """Whether a pair has one face in each group, bool [p]."""
    first, second = group[pairs[:, 0]], group[pairs[:, 1]]
    return ((first == one) & (second == other)) | ((first == other) & (second == one))
