"""Bootstrap over subjects: how much a figure would move if other people had been photographed.

A sample draws as many subjects as there are, with replacement; subject s is drawn w_s times. A genuine pair or a probe
of s then counts w_s times. An impostor pair of s and t counts w_s w_t times. Two copies of one subject make no impostor
pair. Galleries stay as they are.

All counts are whole numbers below 2^53, so each sample's figure is exactly that of the definition on the resampled set
(but see `auc_samples`). Single pairs must not be drawn: those of one subject are not independent (Bolle et al. 2004).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eval.bootstrap.impostor_bins import Bins, bin_pairs, bin_starts, running_sums
from eval.metrics.fnir import Search
from eval.metrics.pair_scores import PairScores
from facerec.pipeline.files import InputError, row_blocks

FEWEST_SAMPLES = 20
MOST_SAMPLES = 1_000_000
SPARE = 1.3
"""Samples differ: one may need so many times as many of the highest impostor pairs as the rate says."""
HIGHEST_CURVE_RATE = 0.1
"""Rate up to which the points of curves are resampled."""
CELLS_PER_BLOCK, EXACT_CELLS = 1 << 21, 1 << 27
"""Numbers that are computed at once, and most numbers for the AUC pair by pair."""
CONFIDENCE = 0.95


def check_samples(samples: int) -> None:
    """Refuses a number of samples that is none, that has no 95 % interval, or that no machine draws.

    Raises:
        InputError: Below 0, from 1 to `FEWEST_SAMPLES` - 1, or above `MOST_SAMPLES`.
    """
    if 0 < samples < FEWEST_SAMPLES:
        raise InputError(f"--bootstrap {samples}; 95 % intervals need at least {FEWEST_SAMPLES} samples, or 0 for none")
    if not 0 <= samples <= MOST_SAMPLES:
        raise InputError(f"--bootstrap {samples}; a number of samples up to {MOST_SAMPLES:,}, or 0 for no intervals")


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
    scores: PairScores, sides: tuple[np.ndarray, np.ndarray], rates: Sequence[float], drawn: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """FNMR at each FMR, EER and AUC in each sample; NaN where a sample has no genuine or impostor pair.

    Args:
        scores: Scores of the pairs.
        sides: int [p] each, the subjects of both sides of the pairs; an impostor pair of one subject (a pair set
            without known subjects) counts as often as it is drawn.
        rates: FMRs.
        drawn: From `draw`.

    Returns:
        FNMR, float64 [rates, samples]; EER, float64 [samples]; AUC, float64 [samples], see `auc_samples`.
    """
    first, second = sides
    genuine, impostor = scores.is_genuine, ~scores.is_genuine
    starts = bin_starts(scores.impostor, scores.genuine, SPARE * max(rates))
    bins = bin_pairs(scores.pairs[impostor], first[impostor], second[impostor], starts, drawn)
    found = scores.pairs[genuine], first[genuine]
    fnmr = shares_up_to(*found, pair_borders(bins, rates), drawn)
    return fnmr, eer_samples(*found, bins), auc_samples(*found, scores.impostor, bins)


def fnir_samples(search: Search, subject: np.ndarray, rates: Sequence[float], drawn: np.ndarray) -> np.ndarray:
    """FNIR at each FPIR of one gallery in each sample, float64 [rates, samples].

    Args:
        search: The search of all probes in the gallery.
        subject: int [p], of all probes.
        rates: FPIRs.
        drawn: From `draw`.
    """
    borders = single_borders(search.nonmated_scores, subject[~search.mated], rates, drawn)
    return shares_up_to(search.hit_scores, subject[search.mated], borders, drawn)


def rank_samples(search: Search, subject: np.ndarray, rank: int, drawn: np.ndarray) -> np.ndarray:
    """Share of mated probes found up to a rank in each sample, float64 [samples]."""
    weights = np.bincount(subject[search.mated], minlength=len(drawn)).astype(np.float64)
    hits = np.bincount(subject[search.mated], weights=search.ranks <= rank, minlength=len(drawn))
    return quotient(hits @ drawn, weights @ drawn)


def single_borders(scores: np.ndarray, subject: np.ndarray, rates: Sequence[float], drawn: np.ndarray) -> np.ndarray:
    """The score that a threshold has to exceed at each rate in each sample, for scores of one subject each.

    That is the highest score at which the share of drawn scores at or above it exceeds the rate. It is -inf if there is
    none, and NaN if nothing is drawn. See `eval.metrics.operating_point.score_to_exceed`.
    """
    order = np.argsort(scores)[::-1]
    ordered, subject = np.r_[scores[order], np.float32(-np.inf)], subject[order]
    borders = np.empty((len(rates), drawn.shape[1]))
    for part in _columns(len(scores), drawn.shape[1]):
        passing = np.cumsum(drawn[subject, part], axis=0)
        shares = quotient(passing, passing[-1])
        for index, rate in enumerate(rates):
            borders[index, part] = ordered[np.count_nonzero(shares <= rate, axis=0)]
        borders[:, part][:, passing[-1] == 0] = np.nan
    return borders


def pair_borders(bins: Bins, rates: Sequence[float]) -> np.ndarray:
    """The same as `single_borders` for scores of two subjects, float64 [rates, samples]."""
    shares = quotient(bins.passing[1:], bins.total)
    bin_of = np.stack([np.count_nonzero(shares <= rate, axis=0) for rate in rates])
    borders = np.full(bin_of.shape, -np.inf)
    for index in np.unique(bin_of[bin_of < len(bins.lowest)]):
        pairs, wanted = bins.ordered(index), np.nonzero(bin_of == index)
        size = len(pairs[0])
        for part in np.array_split(np.arange(len(wanted[0])), size * len(wanted[0]) // CELLS_PER_BLOCK + 1):
            rate, sample = wanted[0][part], wanted[1][part]
            columns, inverse = np.unique(sample, return_inverse=True)
            counts = bins.running(index, pairs, columns)[1:] + bins.passing[index, columns]
            shares = quotient(counts, bins.total[columns])
            above = np.count_nonzero(shares[:, inverse] <= np.asarray(rates)[rate], axis=0)
            inside = above < size
            borders[rate[inside], sample[inside]] = pairs[0][above[inside]]
    borders[:, bins.total == 0] = np.nan
    return borders


def eer_samples(genuine: np.ndarray, subject: np.ndarray, bins: Bins) -> np.ndarray:
    """EER in each sample, float64 [samples], as `eval.metrics.fnmr.equal_error` has it.

    Thresholds count only where they are scores. The first bin at whose lowest score FMR is not below FNMR holds the
    crossing; its thresholds are looked at singly.

    Args:
        genuine: float32 [g], in any order.
        subject: int [g].
        bins: The impostor pairs.
    """
    bin_of, order = bins.bin_of(genuine), np.argsort(genuine)
    caught = np.cumsum(_drawn_by_bin(bin_of, subject, bins), axis=0)
    total, all_genuine = bins.total, caught[-1]
    known = (total > 0) & (all_genuine > 0)
    crossing = np.count_nonzero(bins.passing[1:] * all_genuine < (all_genuine - caught[:-1]) * total, axis=0)
    errors = np.full(len(total), np.nan)
    for index in np.unique(crossing[known]):
        pairs, columns = bins.ordered(index), np.flatnonzero(known & (crossing == index))
        inside = order[bin_of[order] == index]
        thresholds = np.append(np.unique(np.r_[pairs[0], genuine[inside]]), np.float32(np.inf))
        passing = len(pairs[0]) - np.searchsorted(pairs[0][::-1], thresholds)
        failing = np.searchsorted(genuine[inside], thresholds)
        for part in np.array_split(columns, len(thresholds) * len(columns) // CELLS_PER_BLOCK + 1):
            matches = bins.running(index, pairs, part)[passing] + bins.passing[index, part]
            misses = running_sums(bins.drawn[:, part][subject[inside]])[failing] + (all_genuine - caught[index])[part]
            both = all_genuine[part] * total[part]
            errors[part] = _nearest(matches * all_genuine[part], misses * total[part]) / (2 * both)
    return errors


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
    gaps, (lower, higher) = np.abs(matches - misses), matches + misses
    return np.where(gaps[0] <= gaps[1], lower, higher)


def auc_samples(genuine: np.ndarray, subject: np.ndarray, rising: np.ndarray, bins: Bins) -> np.ndarray:
    """AUC in each sample, float64 [samples], as `eval.metrics.fnmr.area` has it.

    The impostors below a genuine score are the bins below it and a part of its own bin. In the bins with most genuine
    scores that part is counted pair by pair. `EXACT_CELLS` says in how many; in small sets these are all bins. In the
    other bins the part has the same share of the drawn pairs as of all pairs, which is approximate:

    - at the size of IJB-C (AUC .9974, standard deviation of samples 1.8e-4) 24 samples were wrong by at most 5e-7;
    - in sets of 50 to 1,000 subjects that differ much (AUC .6 to .95), by less than 1 % of the standard deviation.

    Args:
        genuine: float32 [g], in any order.
        subject: int [g].
        rising: float32 [i], the impostor scores in rising order.
        bins: The impostor pairs.
    """
    below = (np.searchsorted(rising, genuine, side="left") + np.searchsorted(rising, genuine, side="right")) / 2
    bin_of = bins.bin_of(genuine)
    by_bin = _drawn_by_bin(bin_of, subject, bins)
    total, sizes = bins.total, np.diff(bins.edges)
    genuine_in_bin = np.bincount(bin_of, minlength=len(by_bin))[:-1]
    exact = _affordable(genuine_in_bin, (genuine_in_bin + sizes) * len(total))
    won = np.sum(by_bin[:-1] * (total - bins.passing[1:]), axis=0)
    for index in np.flatnonzero(exact).tolist():
        rows = bin_of == index
        won += _won_within(bins, index, genuine[rows], subject[rows])
    rest = np.flatnonzero(~np.append(exact, True)[bin_of])
    share = (below[rest] - (bins.edges[-1] - bins.edges[bin_of[rest] + 1])) / sizes[bin_of[rest]]
    inside = _drawn_by_bin(bin_of[rest], subject[rest], bins, share)[:-1]
    won += np.sum(inside * np.diff(bins.passing, axis=0), axis=0)
    return quotient(won, by_bin.sum(axis=0) * total)


def _affordable(genuine: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """The bins that are counted pair by pair, bool [bins]: those with most genuine scores, within `EXACT_CELLS`."""
    chosen, left = np.zeros(len(genuine), dtype=bool), EXACT_CELLS
    for index in np.argsort(-genuine, kind="stable"):
        chosen[index] = genuine[index] and cells[index] <= left
        left -= cells[index] * chosen[index]
    return chosen


def _won_within(bins: Bins, index: int, genuine: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Drawn pairs of a genuine score and a lower impostor score of its bin, ties counting half, float64 [samples]."""
    pairs = bins.ordered(index)
    rising, size = pairs[0][::-1], len(pairs[0])
    above, least = (size - np.searchsorted(rising, genuine, side=side) for side in ("right", "left"))
    won = np.empty(bins.drawn.shape[1])
    for part in _columns(size + len(genuine), len(won)):
        counts = bins.running(index, pairs, part)
        beaten = counts[-1] - (counts[above] + counts[least]) / 2
        won[part] = np.einsum("gb,gb->b", bins.drawn[subject, part], beaten)
    return won


def _drawn_by_bin(bin_of: np.ndarray, subject: np.ndarray, bins: Bins, weight: np.ndarray | None = None) -> np.ndarray:
    """Drawn genuine scores in each bin, and below all, float64 [bins + 1, samples]; each counted by its weight."""
    shape = len(bins.edges), len(bins.drawn)
    counts = np.bincount(np.ravel_multi_index((bin_of, subject), shape), weight, minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float64) @ bins.drawn


def shares_up_to(scores: np.ndarray, subject: np.ndarray, borders: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The drawn share of scores at or below a border, float64 [rates, samples] like `borders`."""
    order = np.argsort(scores)
    ordered, subject = scores[order], subject[order]
    rejected = np.searchsorted(ordered, borders.astype(np.float32), side="right")
    shares = np.empty(borders.shape)
    for part in _columns(len(scores), drawn.shape[1]):
        counts = running_sums(drawn[subject, part])
        shares[:, part] = quotient(np.take_along_axis(counts, rejected[:, part], axis=0), counts[-1])
    return np.where(np.isnan(borders), np.nan, shares)


def _columns(rows: int, samples: int) -> list[slice]:
    """Ranges of samples such that rows x samples stays small."""
    return row_blocks(samples, max(1, CELLS_PER_BLOCK // max(rows, 1)))


def quotient(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, float64; NaN where `whole` is 0."""
    return np.divide(part, whole, out=np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan), where=whole != 0)
