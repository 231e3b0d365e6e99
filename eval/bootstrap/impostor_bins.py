"""Impostor pairs in bins of falling score, and how often each sample of the bootstrap draws those of a bin."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from eval.metrics.fnmr import equal_error

SMALLEST_BIN, BIN_GROWTH = 2048, 1.03
EER_SPARE, MOST_COMPARED, MOST_TIES = 1.5, 3e-4, 1 / 256
"""For `bin_starts`: reach beyond the EER, most comparisons in a bin, and share of equal scores that get a bin."""
DENSE_SHARE = 0.04
"""Share of non-zero counts from which a dense matrix is faster."""


@dataclass(frozen=True)
class Bins:
    """Impostor pairs in bins, those with the highest scores in the first; equal scores share a bin.

    The drawn pairs of a bin, for all samples, are one product of a count matrix (subjects x subjects) with `drawn`.
    Pairs are looked at singly only in the bins where a threshold lies, and not even there if all scores are equal.

    Attributes:
        scores: float32 [i], bin by bin, in any order within one.
        first: int [i], one subject of each pair.
        second: int [i], the other.
        edges: int64 [bins + 1], where each bin starts, and the end.
        lowest: float32 [bins], the lowest score of each, falling.
        drawn: From `draw`.
        passing: float64 [bins + 1, samples], drawn pairs before each edge.
    """

    scores: np.ndarray
    first: np.ndarray
    second: np.ndarray
    edges: np.ndarray
    lowest: np.ndarray
    drawn: np.ndarray
    passing: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """All drawn pairs, float64 [samples]."""
        return self.passing[-1]

    def bin_of(self, scores: np.ndarray) -> np.ndarray:
        """The bin of each score: the first whose lowest score does not exceed it; one more than there are if none."""
        return _bin_of(scores, self.lowest)

    def ordered(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores and both subjects of the pairs of a bin, highest first; if all scores are equal, of one pair alone."""
        part = slice(self.edges[index], self.edges[index + 1])
        order = np.argsort(self.scores[part])[::-1]
        if self.scores[part][order[0]] == self.lowest[index]:
            order = order[:1]
        return self.scores[part][order], self.first[part][order], self.second[part][order]

    def running(self, index: int, pairs: tuple[np.ndarray, ...], columns: np.ndarray | slice) -> np.ndarray:
        """How often the first 0, 1, 2, ... pairs of a bin are drawn in some samples, float64 [pairs + 1, columns].

        Args:
            index: The bin.
            pairs: From `ordered`.
            columns: The samples.
        """
        if len(pairs[0]) == 1:
            return running_sums((self.passing[index + 1] - self.passing[index])[None, columns])
        return running_sums(pair_weights(pairs[1], pairs[2], self.drawn[:, columns]))


def bin_starts(rising: np.ndarray, genuine: np.ndarray, reach: float) -> np.ndarray:
    """The lowest score of each bin, falling, float32 [bins].

    Bins are small up to `reach` and to the EER with something to spare. A bin beyond is as large as its part in the AUC
    allows: at most `MOST_COMPARED` of all comparisons of a genuine with an impostor score are inside it. A score that
    very many pairs have (those of empty templates; all, if a network has collapsed) gets its own bin.

    Args:
        rising: Impostor scores, float32 [i], rising.
        genuine: float32 [g], rising.
        reach: Share of impostor scores.
    """
    edges = _growing(len(rising))
    if len(genuine) and len(rising):
        reach = max(reach, EER_SPARE * equal_error(genuine, rising)[0])
        failing = np.searchsorted(genuine, rising[len(rising) - edges[1:]]) / len(genuine)
        edges = edges[_kept(edges / len(rising), np.r_[1.0, failing], reach)]
    starts = rising[len(rising) - edges[1:]]
    most = max(SMALLEST_BIN, int(MOST_TIES * len(rising)))
    tied = np.unique(rising[most:][rising[most:] == rising[:-most]])
    above = np.searchsorted(rising, tied, side="right")
    return np.unique(np.r_[starts, tied, rising[above[above < len(rising)]]])[::-1]


def _growing(count: int) -> np.ndarray:
    """Numbers from 0 to `count`, first `SMALLEST_BIN` apart, then growing by `BIN_GROWTH`."""
    edges = [0]
    while edges[-1] < count:
        edges.append(min(max(edges[-1] + SMALLEST_BIN, int(edges[-1] * BIN_GROWTH)), count))
    return np.array(edges)


def _kept(passing: np.ndarray, failing: np.ndarray, reach: float) -> list[int]:
    """The edges of bins that stay when small bins beyond `reach` are joined.

    Args:
        passing: float64 [edges], the share of impostor scores above each, from 0 to 1.
        failing: float64 [edges], the share of genuine scores below each, falling from 1.
        reach: See `bin_starts`.
    """
    kept, last = [0], len(passing) - 1
    for index in range(1, last):
        compared = (failing[kept[-1]] - failing[index + 1]) * (passing[index + 1] - passing[kept[-1]])
        if passing[kept[-1]] < reach or compared > MOST_COMPARED:
            kept.append(index)
    return [*kept, last]


def bin_pairs(scores: np.ndarray, first: np.ndarray, second: np.ndarray, lowest: np.ndarray, drawn: np.ndarray) -> Bins:
    """Puts impostor pairs into the bins with these lowest scores, see `bin_starts`."""
    bin_of = _bin_of(scores, lowest)
    order = np.argsort(bin_of, kind="stable")
    edges = np.r_[0, np.cumsum(np.bincount(bin_of, minlength=len(lowest)))]
    first, second = first[order], second[order]
    passing = np.zeros((len(edges), drawn.shape[1]))
    for index, (start, end) in enumerate(itertools.pairwise(edges)):
        passing[index + 1] = passing[index] + drawn_pairs(first[start:end], second[start:end], drawn)
    return Bins(scores[order], first, second, edges, lowest, drawn, passing)


def _bin_of(scores: np.ndarray, lowest: np.ndarray) -> np.ndarray:
    """See `Bins.bin_of`; uint16, which numpy orders in linear time."""
    return (len(lowest) - np.searchsorted(lowest[::-1], scores, side="right")).astype(np.uint16)


def running_sums(weights: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, 2, ... rows, float64 [rows + 1, columns]."""
    sums = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights, axis=0, out=sums[1:])
    return sums


def drawn_pairs(first: np.ndarray, second: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """How many pairs there are in each sample, float64 [samples]."""
    from scipy.sparse import csr_matrix

    (rows, row), (columns, column) = _compact(first, len(drawn)), _compact(second, len(drawn))
    counts = csr_matrix((np.ones(len(row)), (row, column)), shape=(len(rows), len(columns)))
    if counts.nnz > DENSE_SHARE * len(rows) * len(columns):
        counts = counts.toarray()
    same = first == second
    pairs = np.einsum("sb,sb->b", drawn[rows], counts @ drawn[columns])
    if same.any():  # a pair of one subject counts w, not w^2
        once = np.bincount(first[same], minlength=len(drawn)).astype(np.float64)
        pairs += once @ drawn - once @ drawn**2
    return pairs


def _compact(subject: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct subjects, rising, and where each one stands among them: `np.unique` without sorting."""
    seen = np.zeros(count, dtype=bool)
    seen[subject] = True
    distinct = np.flatnonzero(seen)
    rank = np.zeros(count, dtype=np.int32)
    rank[distinct] = np.arange(len(distinct), dtype=np.int32)
    return distinct, rank[subject]


def pair_weights(first: np.ndarray, second: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """How often each pair is drawn, float64 [pairs, samples]."""
    weights = drawn[first] * drawn[second]
    same = first == second
    if same.any():
        weights[same] = drawn[first[same]]
    return weights
