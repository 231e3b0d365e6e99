"""Bootstrap over subjects: how much a figure would move if other people had been photographed.

A sample draws as many subjects as there are, with replacement; subject s is drawn w_s times. A genuine pair or a probe
of s then counts w_s times, an impostor pair of s and t counts w_s w_t times (pairs of two copies of one subject are not
impostors and do not come about). Galleries stay as they are. All counts are whole numbers below 2^53, so each sample's
figure is exactly that of the definition on the resampled set. Single pairs must not be drawn: those of one subject are
not independent (Bolle et al. 2004).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.identification import Search
from eval.verification import equal_error

SMALLEST_BIN, BIN_GROWTH, REST_GROWTH = 2048, 1.03, 1.3
SPARE, EER_SPARE = 1.3, 1.5
CELLS_PER_BLOCK, EXACT_CELLS = 1 << 21, 1 << 28
DENSE_SHARE = 0.04
CONFIDENCE = 0.95


def draw(subjects: int, samples: int, seed: int) -> np.ndarray:
    """How often each subject is drawn in each sample, float64 [subjects, samples]."""
    generator = np.random.default_rng(seed)
    counts = [np.bincount(generator.integers(0, subjects, subjects), minlength=subjects) for _ in range(samples)]
    return np.stack(counts, axis=1).astype(np.float64)


def interval(samples: np.ndarray) -> tuple[float, float] | None:
    """The 2.5 and 97.5 per cent quantiles (percentile interval), or None if no sample has the figure."""
    samples = samples[~np.isnan(samples)]
    tail = (1 - CONFIDENCE) / 2
    if not samples.size:
        return None
    low, high = np.quantile(samples, [tail, 1 - tail])
    return float(low), float(high)


def verification_samples(
    genuine: np.ndarray,
    genuine_subject: np.ndarray,
    impostor: np.ndarray,
    impostor_subjects: tuple[np.ndarray, np.ndarray],
    rates: Sequence[float],
    drawn: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """FNMR at each FMR, EER and AUC in each sample; NaN where a sample has no genuine or impostor pair.

    Args:
        genuine: float32 [g], in any order.
        genuine_subject: int [g].
        impostor: float32 [i], in any order.
        impostor_subjects: int [i] each, the two subjects; a pair of one subject (a pair set without known subjects)
            counts as often as it is drawn.
        rates: FMRs.
        drawn: From `draw`.

    Returns:
        FNMR, float64 [rates, samples]; EER, float64 [samples]; AUC, float64 [samples], see `auc_samples`.
    """
    rising = np.sort(impostor)
    error = equal_error(np.sort(genuine), rising)[0] if len(genuine) and len(impostor) else 0.0
    reach = max(SPARE * max(rates), EER_SPARE * error)
    bins = cut(impostor, *impostor_subjects, bin_edges(rising, reach), drawn)
    fnmr = shares_up_to(genuine, genuine_subject, pair_borders(bins, rates), drawn)
    position = (np.searchsorted(rising, genuine, side="left") + np.searchsorted(rising, genuine, side="right")) / 2
    auc = auc_samples(genuine, genuine_subject, position, bins)
    return fnmr, eer_samples(genuine, genuine_subject, bins), auc


def fnir_samples(found: Search, subject: np.ndarray, rates: Sequence[float], drawn: np.ndarray) -> np.ndarray:
    """FNIR at each FPIR of one gallery in each sample, float64 [rates, samples].

    Args:
        found: The search.
        subject: int [p], of all probes.
        rates: FPIRs.
        drawn: From `draw`.
    """
    borders = single_borders(found.nonmated_scores, subject[~found.mated], rates, drawn)
    return shares_up_to(found.hit_scores, subject[found.mated], borders, drawn)


def rank_samples(found: Search, subject: np.ndarray, rank: int, drawn: np.ndarray) -> np.ndarray:
    """Share of mated probes found up to a rank in each sample, float64 [samples]."""
    weights = np.bincount(subject[found.mated], minlength=len(drawn)).astype(np.float64)
    hits = np.bincount(subject[found.mated], weights=found.ranks <= rank, minlength=len(drawn))
    return _divide(hits @ drawn, weights @ drawn)


def single_borders(scores: np.ndarray, subject: np.ndarray, rates: Sequence[float], drawn: np.ndarray) -> np.ndarray:
    """The score that a threshold has to exceed at each rate in each sample, for scores of one subject each.

    That is the highest score at which the drawn share of scores at or above it is more than the rate; -inf if none
    is, NaN if nothing is drawn. See `eval.verification.border`.
    """
    order = np.argsort(scores)[::-1]
    ordered, subject = np.r_[scores[order], np.float32(-np.inf)], subject[order]
    borders = np.empty((len(rates), drawn.shape[1]))
    for part in _columns(len(scores), drawn.shape[1]):
        passing = np.cumsum(drawn[subject, part], axis=0)
        shares = _divide(passing, passing[-1])
        for index, rate in enumerate(rates):
            borders[index, part] = ordered[np.count_nonzero(shares <= rate, axis=0)]
        borders[:, part][:, passing[-1] == 0] = np.nan
    return borders


@dataclass(frozen=True)
class Bins:
    """Impostor pairs in bins, those with the highest scores in the first; equal scores share a bin.

    The drawn pairs of a bin, for all samples, are one product of a count matrix (subjects x subjects) with `drawn`.
    Only in the bins where a threshold lies are pairs looked at singly.

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

    def place(self, scores: np.ndarray) -> np.ndarray:
        """The bin of each score: the first whose lowest score does not exceed it; one more than there are if none."""
        return _place(scores, self.lowest)

    def ordered(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores and both subjects of the pairs of a bin, best first."""
        part = slice(self.edges[index], self.edges[index + 1])
        order = np.argsort(self.scores[part])[::-1]
        return self.scores[part][order], self.first[part][order], self.second[part][order]


def bin_edges(rising: np.ndarray, reach: float) -> np.ndarray:
    """The lowest score of each bin, falling: small bins up to `reach`, a share of the scores, then large ones."""
    edges = [0]
    while edges[-1] < len(rising):
        growth = BIN_GROWTH if edges[-1] < reach * len(rising) else REST_GROWTH
        edges.append(min(max(edges[-1] + SMALLEST_BIN, int(edges[-1] * growth)), len(rising)))
    return np.unique(rising[len(rising) - np.array(edges[1:], dtype=np.int64)])[::-1]


def cut(scores: np.ndarray, first: np.ndarray, second: np.ndarray, lowest: np.ndarray, drawn: np.ndarray) -> Bins:
    """Impostor pairs into bins, of which the lowest scores are given."""
    place = _place(scores, lowest)
    order = np.argsort(place, kind="stable")
    edges = np.r_[0, np.cumsum(np.bincount(place, minlength=len(lowest)))]
    first, second = first[order], second[order]
    passing = np.zeros((len(edges), drawn.shape[1]))
    for index, (start, end) in enumerate(itertools.pairwise(edges)):
        passing[index + 1] = passing[index] + _drawn_pairs(first[start:end], second[start:end], drawn)
    return Bins(scores[order], first, second, edges, lowest, drawn, passing)


def _place(scores: np.ndarray, lowest: np.ndarray) -> np.ndarray:
    """See `Bins.place`; uint16, which numpy orders in linear time."""
    return (len(lowest) - np.searchsorted(lowest[::-1], scores, side="right")).astype(np.uint16)


def pair_borders(bins: Bins, rates: Sequence[float]) -> np.ndarray:
    """The same as `single_borders` for scores of two subjects, float64 [rates, samples]."""
    shares = _divide(bins.passing[1:], bins.total)
    bin_of = np.stack([np.count_nonzero(shares <= rate, axis=0) for rate in rates])
    borders = np.full(bin_of.shape, -np.inf)
    for index in np.unique(bin_of[bin_of < len(bins.lowest)]):
        scores, first, second = bins.ordered(index)
        wanted = np.nonzero(bin_of == index)
        for part in np.array_split(np.arange(len(wanted[0])), len(scores) * len(wanted[0]) // CELLS_PER_BLOCK + 1):
            at, sample = wanted[0][part], wanted[1][part]
            limit = np.asarray(rates)[at]
            found = _count_within(first, second, bins.drawn, sample, limit, bins.passing[index], bins.total)
            inside = found < len(scores)
            borders[at[inside], sample[inside]] = scores[found[inside]]
    borders[:, bins.total == 0] = np.nan
    return borders


def _count_within(
    first: np.ndarray,
    second: np.ndarray,
    drawn: np.ndarray,
    sample: np.ndarray,
    limit: np.ndarray,
    before: np.ndarray,
    total: np.ndarray,
) -> np.ndarray:
    """How many of some consecutive pairs may pass before a sample's share exceeds its limit, int64 like `sample`.

    Args:
        first: int [p], best pair first.
        second: int [p].
        drawn: From `draw`.
        sample: int [w], a column of `drawn`.
        limit: float [w], the rate of each.
        before: float [samples], drawn pairs with higher scores.
        total: float [samples], all drawn pairs.
    """
    columns, inverse = np.unique(sample, return_inverse=True)
    counts = np.cumsum(pair_weights(first, second, drawn[:, columns]), axis=0)
    shares = _divide(counts + before[columns], total[columns])
    return np.count_nonzero(shares[:, inverse] <= limit, axis=0)


def eer_samples(genuine: np.ndarray, subject: np.ndarray, bins: Bins) -> np.ndarray:
    """EER in each sample, float64 [samples], as `eval.verification.equal_error` has it.

    Thresholds count only where they are scores. The first bin at whose lowest score FMR is not below FNMR holds the
    crossing; its thresholds are looked at singly.

    Args:
        genuine: float32 [g], in any order.
        subject: int [g].
        bins: The impostor pairs.
    """
    place, order = bins.place(genuine), np.argsort(genuine)
    caught = np.cumsum(_drawn_by_bin(place, subject, bins), axis=0)
    total, all_genuine = bins.total, caught[-1]
    known = (total > 0) & (all_genuine > 0)
    crossing = np.count_nonzero(bins.passing[1:] * all_genuine < (all_genuine - caught[:-1]) * total, axis=0)
    errors = np.full(len(total), np.nan)
    for index in np.unique(crossing[known]):
        pairs, columns = bins.ordered(index), np.flatnonzero(known & (crossing == index))
        inside = order[place[order] == index]
        rows = len(pairs[0]) + len(inside)
        for part in np.array_split(columns, rows * len(columns) // CELLS_PER_BLOCK + 1):
            matches, misses = _errors_within(
                pairs, genuine[inside], bins.drawn[subject[inside]][:, part], bins.drawn[:, part]
            )
            matches = (matches + bins.passing[index, part]) * all_genuine[part]
            misses = (misses + (all_genuine - caught[index])[part]) * total[part]
            errors[part] = _nearest(matches, misses) / (2 * all_genuine[part] * total[part])
    return errors


def _errors_within(
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray], genuine: np.ndarray, genuine_drawn: np.ndarray, drawn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Drawn impostor pairs of a bin at or above, and genuine below, each score in it and infinity, rising.

    Args:
        pairs: From `Bins.ordered`.
        genuine: float32 [k], rising.
        genuine_drawn: float64 [k, samples].
        drawn: float64 [subjects, samples].
    """
    scores, first, second = pairs
    thresholds = np.append(np.unique(np.r_[scores, genuine]), np.float32(np.inf))
    passing = _running(pair_weights(first, second, drawn))
    matches = passing[len(scores) - np.searchsorted(scores[::-1], thresholds)]
    return matches, _running(genuine_drawn)[np.searchsorted(genuine, thresholds)]


def _nearest(matches: np.ndarray, misses: np.ndarray) -> np.ndarray:
    """The sum of both where they are nearest to each other beside the crossing, float64 [samples].

    Args:
        matches: float64 [thresholds, samples], falling.
        misses: The same, rising.
    """
    high = np.count_nonzero(matches >= misses, axis=0)[None]
    low = high - 1
    matches, misses = (
        np.concatenate([np.take_along_axis(each, at, axis=0) for at in (low, high)]) for each in (matches, misses)
    )
    gaps = np.abs(matches - misses)
    return np.where(gaps[0] <= gaps[1], *(matches + misses))


def auc_samples(genuine: np.ndarray, subject: np.ndarray, position: np.ndarray, bins: Bins) -> np.ndarray:
    """AUC in each sample, float64 [samples], as `eval.verification.area` has it.

    The impostors below a genuine score are the bins below it and a part of its own bin. That part is counted pair by
    pair in the bins with most genuine scores, as many as `EXACT_CELLS` allow; in the others the same share as without
    drawing is taken.

    Args:
        genuine: float32 [g], in any order.
        subject: int [g].
        position: float64 [g], how many impostor scores are below each, equal ones counting half.
        bins: The impostor pairs.
    """
    place = bins.place(genuine)
    by_bin = _drawn_by_bin(place, subject, bins)
    total, sizes = bins.total, np.diff(bins.edges)
    exact = _affordable(np.bincount(place, minlength=len(by_bin))[:-1], sizes * len(total))
    won = np.sum(by_bin[:-1] * (total - bins.passing[1:]), axis=0)
    for index in np.flatnonzero(exact):
        rows = place == index
        won += _won_within(bins.ordered(index), genuine[rows], subject[rows], bins.drawn)
    rest = np.flatnonzero(~np.append(exact, True)[place])
    share = (position[rest] - (bins.edges[-1] - bins.edges[place[rest] + 1])) / sizes[place[rest]]
    inside = _drawn_by_bin(place[rest], subject[rest], bins, share)[:-1]
    won += np.sum(inside * np.diff(bins.passing, axis=0), axis=0)
    return _divide(won, by_bin.sum(axis=0) * total)


def _affordable(genuine: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """The bins that are counted pair by pair, bool [bins]: those with most genuine scores, within `EXACT_CELLS`."""
    chosen, left = np.zeros(len(genuine), dtype=bool), EXACT_CELLS
    for index in np.argsort(-genuine, kind="stable"):
        chosen[index] = genuine[index] and cells[index] <= left
        left -= cells[index] * chosen[index]
    return chosen


def _won_within(
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray], genuine: np.ndarray, subject: np.ndarray, drawn: np.ndarray
) -> np.ndarray:
    """Drawn pairs of a genuine score and an impostor score below it in one bin, ties counting half, float64 [samples]."""
    scores, first, second = (each[::-1] for each in pairs)
    below, upto = (np.searchsorted(scores, genuine, side=side) for side in ("left", "right"))
    won = np.empty(drawn.shape[1])
    for part in _columns(len(scores), drawn.shape[1]):
        counts = _running(pair_weights(first, second, drawn[:, part]))
        won[part] = np.einsum("gb,gb->b", drawn[subject, part], (counts[below] + counts[upto]) / 2)
    return won


def _drawn_by_bin(place: np.ndarray, subject: np.ndarray, bins: Bins, weight: np.ndarray | None = None) -> np.ndarray:
    """Drawn genuine scores in each bin, and below all, float64 [bins + 1, samples]; each counted by its weight."""
    shape = len(bins.edges), len(bins.drawn)
    counts = np.bincount(np.ravel_multi_index((place, subject), shape), weight, minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float64) @ bins.drawn


def _running(weights: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, 2, ... rows."""
    sums = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights, axis=0, out=sums[1:])
    return sums


def shares_up_to(scores: np.ndarray, subject: np.ndarray, borders: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The drawn share of scores at or below a border, float64 [rates, samples] like `borders`."""
    order = np.argsort(scores)
    ordered, subject = scores[order], subject[order]
    rejected = np.searchsorted(ordered, borders.astype(np.float32), side="right")
    shares = np.empty(borders.shape)
    for part in _columns(len(scores), drawn.shape[1]):
        counts = _running(drawn[subject, part])
        shares[:, part] = _divide(np.take_along_axis(counts, rejected[:, part], axis=0), counts[-1])
    return np.where(np.isnan(borders), np.nan, shares)


def _drawn_pairs(first: np.ndarray, second: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """How many pairs there are in each sample, float64 [samples]."""
    from scipy.sparse import csr_matrix

    (rows, row), (columns, column) = _compact(first, len(drawn)), _compact(second, len(drawn))
    counts = csr_matrix((np.ones(len(row)), (row, column)), shape=(len(rows), len(columns)))
    if counts.nnz > DENSE_SHARE * len(rows) * len(columns):
        counts = counts.toarray()
    same = first == second
    found = np.einsum("sb,sb->b", drawn[rows], counts @ drawn[columns])
    if same.any():  # a pair of one subject counts w, not w^2
        once = np.bincount(first[same], minlength=len(drawn)).astype(np.float64)
        found += once @ drawn - once @ drawn**2
    return found


def _compact(subject: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct subjects, rising, and where each one stands among them: `np.unique` without sorting."""
    seen = np.zeros(count, dtype=bool)
    seen[subject] = True
    distinct = np.flatnonzero(seen)
    place = np.zeros(count, dtype=np.int32)
    place[distinct] = np.arange(len(distinct), dtype=np.int32)
    return distinct, place[subject]


def pair_weights(first: np.ndarray, second: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """How often each pair is drawn, float64 [pairs, samples]."""
    weights = drawn[first] * drawn[second]
    same = first == second
    if same.any():
        weights[same] = drawn[first[same]]
    return weights


def _columns(rows: int, samples: int) -> list[slice]:
    """Ranges of samples such that rows x samples stays small."""
    width = max(1, CELLS_PER_BLOCK // max(rows, 1))
    return [slice(start, start + width) for start in range(0, samples, width)]


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The quotient, NaN where whole is 0."""
    return np.divide(part, whole, out=np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan), where=whole != 0)
