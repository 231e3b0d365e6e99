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

import numpy as np

from eval.identification import Search

SMALLEST_BIN, BIN_GROWTH, SPARE = 2048, 1.03, 1.3
CELLS_PER_BLOCK = 1 << 21
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


def fnmr_samples(
    genuine: np.ndarray,
    genuine_subject: np.ndarray,
    impostor: np.ndarray,
    impostor_subjects: tuple[np.ndarray, np.ndarray],
    rates: Sequence[float],
    drawn: np.ndarray,
) -> np.ndarray:
    """FNMR at each FMR in each sample, float64 [rates, samples]; NaN where a sample has no genuine or impostor pair.

    Args:
        genuine: float32 [g], in any order.
        genuine_subject: int [g].
        impostor: float32 [i], in any order.
        impostor_subjects: int [i] each, the two subjects; a pair of one subject (a pair set without known subjects)
            counts as often as it is drawn.
        rates: FMRs.
        drawn: From `draw`.
    """
    borders = pair_borders(impostor, *impostor_subjects, rates, drawn)
    return shares_up_to(genuine, genuine_subject, borders, drawn)


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


def pair_borders(
    scores: np.ndarray, first: np.ndarray, second: np.ndarray, rates: Sequence[float], drawn: np.ndarray
) -> np.ndarray:
    """The same for scores of two subjects, float64 [rates, samples].

    Only the highest scores are put in order, and they are cut into bins of consecutive ones. The drawn pairs of a bin,
    for all samples, are one product of a count matrix (subjects x subjects) with `drawn`; in the one bin where a sample
    passes its rate, the pairs are looked at singly.
    """
    order, edges = _tail_bins(scores, max(rates))
    total = _drawn_pairs(first, second, drawn)
    bins = [order[start:end] for start, end in itertools.pairwise(edges)]
    passing = np.cumsum([_drawn_pairs(first[rows], second[rows], drawn) for rows in bins], axis=0)
    bin_of = np.stack([np.count_nonzero(_divide(passing, total) <= rate, axis=0) for rate in rates])
    borders = np.full(bin_of.shape, -np.inf)
    for index in np.unique(bin_of):
        if index < len(bins):
            rows = bins[index]
        elif len(order) < len(scores):  # beyond what is in order (rates near 1, or very uneven samples): order the rest
            rows = _rest(scores, order)
        else:
            continue  # the rate is never passed: all may pass
        wanted = np.nonzero(bin_of == index)
        before = passing[index - 1] if index else np.zeros_like(total)
        for part in np.array_split(np.arange(len(wanted[0])), len(rows) * len(wanted[0]) // CELLS_PER_BLOCK + 1):
            at, sample = wanted[0][part], wanted[1][part]
            found = _count_within(first[rows], second[rows], drawn, sample, np.asarray(rates)[at], before, total)
            inside = found < len(rows)
            borders[at[inside], sample[inside]] = scores[rows[found[inside]]]
    borders[:, total == 0] = np.nan
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


def shares_up_to(scores: np.ndarray, subject: np.ndarray, borders: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The drawn share of scores at or below a border, float64 [rates, samples] like `borders`."""
    order = np.argsort(scores)
    ordered, subject = scores[order], subject[order]
    rejected = np.searchsorted(ordered, borders.astype(np.float32), side="right")
    shares = np.empty(borders.shape)
    for part in _columns(len(scores), drawn.shape[1]):
        counts = np.zeros((len(scores) + 1, len(range(*part.indices(drawn.shape[1])))))
        np.cumsum(drawn[subject, part], axis=0, out=counts[1:])
        shares[:, part] = _divide(np.take_along_axis(counts, rejected[:, part], axis=0), counts[-1])
    return np.where(np.isnan(borders), np.nan, shares)


def _tail_bins(scores: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """The highest scores' positions, best first, enough of them for the rate, and the edges of their bins."""
    wanted = int(min(len(scores), rate * SPARE * len(scores) + SMALLEST_BIN))
    if wanted < len(scores):
        lowest = np.partition(scores, len(scores) - wanted)[len(scores) - wanted]
        tail = np.flatnonzero(scores >= lowest)
    else:
        tail = np.arange(len(scores))
    order = tail[np.argsort(scores[tail])[::-1]]
    edges = [0]
    while edges[-1] < len(order):
        edges.append(min(max(edges[-1] + SMALLEST_BIN, int(edges[-1] * BIN_GROWTH)), len(order)))
    return order, np.array(edges)


def _rest(scores: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The positions that are not in `order`, best first."""
    left = np.ones(len(scores), dtype=bool)
    left[order] = False
    rest = np.flatnonzero(left)
    return rest[np.argsort(scores[rest])[::-1]]


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
