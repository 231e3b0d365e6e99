"""The worst false matches and false non-matches, and how each reads: they are where errors of labels show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eval.all_pairs.scores import AllPairs, ScoredPairs
from eval.all_pairs.units import Units

FALSE_MATCH, FALSE_NON_MATCH = "false match", "false non-match"
CANDIDATES = 20
"""Pairs that are examined for each pair that is shown."""
MATCH_READINGS = (
    "one person under two labels?", "first face belongs to the second person?",
    "second face belongs to the first person?", "a face that fits no person: a poor picture?", "look-alikes",
)  # fmt: skip
MISS_READINGS = (
    "first face is not of this person?", "second face is not of this person?", "neither fits the person's other faces",
    "hard pair: both fit the person's other faces", "the only pair of this person", "a face could not be read",
)  # fmt: skip


@dataclass(frozen=True)
class WorstPair:
    """A pair that is decided wrongly at the threshold.

    Attributes:
        kind: ``false match`` or ``false non-match``.
        score: Score of the pair.
        units: Positions of both.
        own: Mean cosine of each with the other units of its own person; NaN if there is none.
        other: Mean cosine of each with the units of the other's person; NaN for a false non-match.
        pairs: How many pairs of these two people are false matches, or of this person false non-matches.
        reading: What it looks like.
    """

    kind: str
    score: float
    units: tuple[int, int]
    own: tuple[float, float]
    other: tuple[float, float]
    pairs: int
    reading: str

    @property
    def may_be_mislabelled(self) -> bool:
        """Whether it looks like an error of labels."""
        return self.reading in (*MATCH_READINGS[:3], *MISS_READINGS[:2])


@dataclass(frozen=True)
class _Found:
    """Candidates of a kind; arrays of [p], see `WorstPair`."""

    kind: str
    chosen: ScoredPairs
    own: tuple[np.ndarray, np.ndarray]
    other: tuple[np.ndarray, np.ndarray]
    counts: np.ndarray
    reading: np.ndarray


def worst_matches(pairs: AllPairs, units: Units, threshold: float, count: int) -> list[WorstPair]:
    """The highest false match of any two people, those that look like errors of labels first, then by score.

    Args:
        pairs: All pairs.
        units: Whose they are.
        threshold: Impostor pairs at or above it are false matches.
        count: Most pairs.
    """
    found = pairs.highest.of(np.flatnonzero(pairs.highest.score >= threshold))
    people = units.subject[found.first].astype(np.int64) * len(units.labels) + units.subject[found.second]
    order = np.argsort(-found.score, kind="stable")
    _, first, inverse = np.unique(people[order], return_index=True, return_inverse=True)
    times = np.bincount(inverse) if len(order) else np.empty(0, np.int64)
    best = np.argsort(first, kind="stable")[: CANDIDATES * count]
    chosen = found.of(order[first[best]])
    own = _own_means(units, chosen.first), _own_means(units, chosen.second)
    other = _means(units, chosen.first, chosen.second), _means(units, chosen.second, chosen.first)
    reading = _read_matches(own, other, threshold)
    return _listed(_Found(FALSE_MATCH, chosen, own, other, times[best], reading), MATCH_READINGS, count)


def worst_misses(pairs: AllPairs, units: Units, threshold: float, count: int) -> list[WorstPair]:
    """The lowest genuine pairs, each face once as the one that fits its person less; see `worst_matches`."""
    failing = np.flatnonzero(pairs.genuine.score < threshold)
    times = np.bincount(units.subject[pairs.genuine.first[failing]], minlength=len(units.labels))
    lowest = failing[np.argsort(pairs.genuine.score[failing], kind="stable")][: CANDIDATES * CANDIDATES * count]
    found = pairs.genuine.of(lowest)
    own = _own_means(units, found.first), _own_means(units, found.second)
    culprit = np.where(np.nan_to_num(own[0]) <= np.nan_to_num(own[1]), found.first, found.second)
    once = np.sort(np.unique(culprit, return_index=True)[1])
    chosen, own = found.of(once), (own[0][once], own[1][once])
    nothing = np.full(len(chosen), np.nan)
    reading = _read_misses(units, chosen, own, threshold)
    counts = times[units.subject[chosen.first]]
    return _listed(_Found(FALSE_NON_MATCH, chosen, own, (nothing, nothing), counts, reading), MISS_READINGS, count)


def _listed(found: _Found, words: tuple[str, ...], count: int) -> list[WorstPair]:
    """The first by reading, then the worst."""
    score = found.chosen.score
    worse = -score if found.kind == FALSE_MATCH else score
    order = np.lexsort((worse, found.reading))[:count]
    return [
        WorstPair(
            found.kind, float(score[row]), (int(found.chosen.first[row]), int(found.chosen.second[row])),
            (float(found.own[0][row]), float(found.own[1][row])),
            (float(found.other[0][row]), float(found.other[1][row])),
            int(found.counts[row]), words[found.reading[row]],
        )
        for row in order
    ]  # fmt: skip


def _read_matches(
    own: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], threshold: float
) -> np.ndarray:
    """Which of `MATCH_READINGS`.

    A face is near a person if its mean cosine with that person's faces is a match. It fits nobody if its mean cosine
    with its own person's other faces is below half the threshold.
    """
    near = [side >= threshold for side in other]
    nearer = [near[side] & ~(own[side] >= other[side]) for side in (0, 1)]
    astray = (own[0] < threshold / 2) | (own[1] < threshold / 2)
    return np.select([near[0] & near[1], nearer[0], nearer[1], astray], [0, 1, 2, 3], 4)


def _read_misses(units: Units, chosen: ScoredPairs, own: tuple[np.ndarray, np.ndarray], threshold: float) -> np.ndarray:
    """Which of `MISS_READINGS`."""
    readable = [units.features[side].any(axis=1) for side in (chosen.first, chosen.second)]
    alone = units.sizes[units.subject[chosen.first]] == 2
    fits = [side >= threshold for side in own]
    cases = [~(readable[0] & readable[1]), alone, ~fits[0] & fits[1], fits[0] & ~fits[1], ~fits[0]]
    return np.select(cases, [5, 4, 0, 1, 2], 3)


def _own_means(units: Units, rows: np.ndarray) -> np.ndarray:
    """Mean cosine of each unit with the others of its person, float64; NaN for the only one."""
    size = units.sizes[units.subject[rows]]
    features = units.features[rows]
    total = np.einsum("pd,pd->p", _sums(units, rows), features) - np.einsum("pd,pd->p", features, features)
    return np.divide(total, size - 1, out=np.full(len(rows), np.nan), where=size > 1)


def _means(units: Units, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Mean cosine of each unit with all units of another's person, float64."""
    sums = np.einsum("pd,pd->p", _sums(units, others), units.features[rows])
    return sums / units.sizes[units.subject[others]]


def _sums(units: Units, rows: np.ndarray) -> np.ndarray:
    """The sum of the features of each row's person, float64 [p, d]."""
    subjects, inverse = np.unique(units.subject[rows], return_inverse=True)
    starts, ends = (np.searchsorted(units.subject, subjects, side) for side in ("left", "right"))
    edges = np.column_stack([starts, ends]).ravel()
    sums = np.add.reduceat(units.features, edges[edges < len(units)], axis=0) if len(rows) else units.features[:0]
    return np.asarray(sums[::2][inverse])
