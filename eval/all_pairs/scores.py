"""The scores of all pairs, in blocks: counts of every score, all genuine pairs, and some of the impostor pairs.

A score is the cosine as `eval.metrics.pair_scores.rounded` has it, then down to a multiple of 1 / GRID. So the counts
at a threshold that is such a multiple are those of the cosines themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eval.all_pairs.units import Units
from eval.metrics.pair_scores import rounded
from facerec.pipeline.files import InputError
from facerec.pipeline.progress import progress

GRID = 1 << 18
"""Steps of scores from 0 to 1."""
BLOCK = 2048
HELD, SAMPLED = 1 << 23, 1 << 22
"""Impostor pairs that are kept in memory, those with the highest scores, and pairs that are drawn evenly."""
MOST_GENUINE = 1 << 28


@dataclass(frozen=True)
class ScoredPairs:
    """Some pairs; arrays of [p].

    Attributes:
        score: float32.
        first: int32, positions of units.
        second: int32; larger than the first.
    """

    score: np.ndarray
    first: np.ndarray
    second: np.ndarray

    def __len__(self) -> int:
        return len(self.score)

    def of(self, rows: np.ndarray) -> ScoredPairs:
        """Some of them."""
        return ScoredPairs(self.score[rows], self.first[rows], self.second[rows])


@dataclass(frozen=True)
class AllPairs:
    """The comparison of all units with each other.

    Attributes:
        genuine: All pairs of one subject.
        genuine_counts: int64 [2 * GRID + 1], how many of them have the score (k - GRID) / GRID.
        impostor_counts: The same for the pairs of two subjects.
        highest: All impostor pairs down to some score.
        sample: Impostor pairs drawn evenly; all of them where `is_whole`.
        is_whole: Whether `highest` and `sample` hold every impostor pair.
    """

    genuine: ScoredPairs
    genuine_counts: np.ndarray
    impostor_counts: np.ndarray
    highest: ScoredPairs
    sample: ScoredPairs
    is_whole: bool


def all_pairs(units: Units, seed: int = 0, held: int = HELD) -> AllPairs:
    """Compares all units with each other. Time grows with u^2 d; memory with u d, genuine pairs and `held`.

    Args:
        units: What to compare.
        seed: Draws the sample.
        held: How many of the highest impostor pairs are kept in memory; up to twice as many while it runs.

    Raises:
        InputError: Too many genuine pairs to hold.
    """
    if units.genuine_pairs > MOST_GENUINE:
        largest = int(np.argmax(units.sizes))
        raise InputError(
            f"{units.genuine_pairs:,} genuine pairs; at most {MOST_GENUINE:,} fit. Label {units.labels[largest]} alone "
            f"has {units.sizes[largest]:,} faces; give --sessions, or fewer faces a person"
        )
    run = _Run(units, held, SAMPLED / max(units.impostor_pairs, 1), seed)
    starts = range(0, len(units), BLOCK)
    blocks = [(top, left) for top in starts for left in starts if left >= top]
    for top, left in progress(blocks, "pairs", "blocks"):
        run.compare(top, left)
    return run.result()


def as_scores(keys: np.ndarray) -> np.ndarray:
    """Places on the grid, from 0 for the score -1, as float32 scores."""
    return ((keys - GRID) / GRID).astype(np.float32)


class _Run:
    """What has been seen so far. Scores are int32 places on the grid, from 0 for -1 to 2 GRID for 1."""

    def __init__(self, units: Units, held: int, share: float, seed: int):
        self.units, self.held, self.share = units, held, share
        self.generator = np.random.default_rng(seed)
        self.genuine, self.sample = _Parts(), _Parts()
        self.highest, self.lowest = _Parts(), 0
        self.impostor_counts = np.zeros(2 * GRID + 1, np.int64)

    def compare(self, top: int, left: int) -> None:
        """Compares a block of rows with a block of columns, each pair once."""
        rows, columns = slice(top, top + BLOCK), slice(left, left + BLOCK)
        keys = _keys(self.units.features[rows], self.units.features[columns]).ravel()
        one, two = self.units.subject[rows], self.units.subject[columns]
        width = len(two)
        if top != left and one[-1] != two[0]:
            self._add_impostors(keys, None, top, left, width)
            return
        same = one[:, None] == two
        wanted = np.triu(np.ones(same.shape, bool), 1) if top == left else np.ones(same.shape, bool)
        pairs = np.flatnonzero(same & wanted)
        self.genuine.add(keys[pairs], top + pairs // width, left + pairs % width)
        others = np.flatnonzero(~same & wanted)
        self._add_impostors(keys[others], others, top, left, width)

    def _add_impostors(self, keys: np.ndarray, places: np.ndarray | None, top: int, left: int, width: int) -> None:
        """Counts a block's impostor pairs; `places` are theirs in the block, None if it has no others."""
        if not len(keys):
            return
        least = int(keys.min())
        counts = np.bincount(keys - least)
        self.impostor_counts[least : least + len(counts)] += counts
        drawn = self.generator.integers(0, len(keys), self.generator.binomial(len(keys), min(self.share, 1)))
        for parts, chosen in ((self.highest, np.flatnonzero(keys >= self.lowest)), (self.sample, drawn)):
            at = chosen if places is None else places[chosen]
            parts.add(keys[chosen], top + at // width, left + at % width)
        if self.highest.size > 2 * self.held:
            self._drop_lowest()

    def _drop_lowest(self) -> None:
        """Holds at most `held` pairs: those above the highest score that would be too many."""
        keys, first, second = self.highest.joined()
        self.lowest = int(np.partition(keys, len(keys) - 1 - self.held)[len(keys) - 1 - self.held]) + 1
        kept = keys >= self.lowest
        self.highest = _Parts()
        self.highest.add(keys[kept], first[kept], second[kept])

    def result(self) -> AllPairs:
        """What all blocks gave."""
        whole = self.lowest == 0
        genuine, highest = self.genuine.joined(), self.highest.joined()
        counts = np.bincount(genuine[0], minlength=2 * GRID + 1)
        sample = highest if whole else self.sample.joined()
        scored = [ScoredPairs(as_scores(keys), *sides) for keys, *sides in (genuine, highest, sample)]
        return AllPairs(scored[0], counts, self.impostor_counts, scored[1], scored[2], whole)


class _Parts:
    """Pairs in pieces."""

    def __init__(self) -> None:
        self.pieces: list[tuple[np.ndarray, ...]] = []
        self.size = 0

    def add(self, keys: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
        if len(keys):
            self.pieces.append((keys, first.astype(np.int32), second.astype(np.int32)))
            self.size += len(keys)

    def joined(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if not self.pieces:
            return np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int32)
        keys, first, second = (np.concatenate(column) for column in zip(*self.pieces, strict=True))
        return keys, first, second


def _keys(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Places on the grid of all products of unit rows, int32."""
    cosines = rounded(one @ two.T)
    np.multiply(cosines, np.float32(GRID), out=cosines)  # exact: GRID is a power of two
    np.floor(cosines, out=cosines)
    return cosines.astype(np.int32) + np.int32(GRID)
