"""Many comparisons at once: p values corrected for their number, and letters for rows that cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Adjusted p values of m hypotheses, float64 [m], in the order given (Holm 1979).

    With the p in rising order, the i-th becomes ``max over j <= i of min((m - j + 1) p_j, 1)``. Reject all hypotheses
    whose adjusted p is at most alpha. Then the probability that a true one is among them is at most alpha, however the
    p depend on each other.

    Args:
        p: float64 [m].

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted


def holm_of_pairs(p: np.ndarray) -> np.ndarray:
    """`holm` of a symmetric matrix, float64 [rows, rows], each pair counted once; the diagonal is 1."""
    above = np.triu_indices(len(p), 1)
    adjusted = np.ones_like(p)
    adjusted[above] = holm(p[above])
    return np.minimum(adjusted, adjusted.T)


def groups(order: list[int], differs: np.ndarray) -> list[list[int]]:
    """The largest sets of rows of which no two differ, each in the given order, earlier rows first.

    They are made by Piepho's (2004) insert and absorb: all rows begin in one set, and every two that differ split each
    set that has both.

    Args:
        order: Rows.
        differs: bool [rows, rows].

    Example:
        >>> differs = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=bool)
        >>> groups([0, 1, 2], differs)
        [[0, 1], [1, 2]]
    """
    sets = {frozenset(order)}
    for one, other in combinations(order, 2):
        if differs[one, other]:
            split = {each for each in sets if {one, other} <= each}
            parts = (sets - split) | {each - {row} for each in split for row in (one, other)}
            sets = {each for each in parts if not any(each < part for part in parts)}
    places = {row: place for place, row in enumerate(order)}
    ranked = sorted(sorted(places[row] for row in each) for each in sets)
    return [[order[place] for place in each] for each in ranked]


def letters(mean: np.ndarray, differs: np.ndarray) -> list[str]:
    """The compact letter display: rows that share a letter do not differ; "a" is in the lowest row."""
    order: np.ndarray = np.argsort(mean, kind="stable")
    marks = [""] * len(mean)
    for number, rows in enumerate(groups(order.tolist(), differs)):
        for row in rows:
            marks[row] += letter(number)
    return marks


def letter(number: int) -> str:
    """The letters a to z, then a2 to z2 and so on."""
    turn, place = divmod(number, 26)
    return chr(ord("a") + place) + (str(turn + 1) if turn else "")
