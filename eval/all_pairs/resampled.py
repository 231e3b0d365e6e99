"""Bootstrap over subjects of the figures of all pairs (see `eval.bootstrap.resampling`), however many they are.

Where every impostor pair is held, each sample's figure is exactly that of the definition. Else low rates, which the
held pairs cover `SPARE` times, are exact as well: their counts over the number of all drawn pairs. That number follows
from the subjects' sizes. Higher rates, EER and AUC are those of the evenly drawn sample of impostor pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from eval.all_pairs.scores import GRID, AllPairs, ScoredPairs
from eval.all_pairs.units import Units
from eval.bootstrap.impostor_bins import Bins, bin_pairs, bin_starts, drawn_pairs
from eval.bootstrap.resampling import SPARE, auc_samples, eer_samples, pair_borders, quotient, shares_up_to


@dataclass(frozen=True)
class PairSamples:
    """Samples of the figures of 1:1; NaN where a sample has no pair of a kind.

    Attributes:
        rates: The FMRs.
        fnmr: float64 [rates, samples].
        threshold: float64 [rates, samples], each sample's own.
        eer: float64 [samples].
        auc: float64 [samples].
    """

    rates: Sequence[float]
    fnmr: np.ndarray
    threshold: np.ndarray
    eer: np.ndarray
    auc: np.ndarray

    def at(self, rate: float) -> tuple[np.ndarray, np.ndarray]:
        """FNMR and threshold at a rate."""
        row = self.rates.index(rate)
        return self.fnmr[row], self.threshold[row]


def resample_pairs(pairs: AllPairs, units: Units, rates: Sequence[float], drawn: np.ndarray) -> PairSamples:
    """The samples of 1:1.

    Args:
        pairs: The scores.
        units: Whose they are.
        rates: FMRs.
        drawn: From `eval.bootstrap.resampling.draw`, of the subjects.
    """
    genuine, subject = pairs.genuine.score, units.subject[pairs.genuine.first]
    evenly = _bins(pairs.sample, units, drawn, genuine, SPARE * max(rates))
    borders = pair_borders(evenly, rates)
    covered = np.array([not pairs.is_whole and SPARE * rate * units.impostor_pairs < len(pairs.highest)
                        for rate in rates])  # fmt: skip
    if covered.any():
        borders[covered] = _exact_borders(pairs, units, np.asarray(rates)[covered].tolist(), drawn)
    fnmr = shares_up_to(genuine, subject, borders, drawn)
    return PairSamples(
        rates, fnmr, np.maximum(borders, -1 - 1 / GRID) + 1 / GRID, eer_samples(genuine, subject, evenly),
        auc_samples(genuine, subject, np.sort(pairs.sample.score), evenly),
    )  # fmt: skip


def resample_rates(pairs: AllPairs, units: Units, threshold: float, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """FMR and FNMR at one threshold in each sample, float64 [samples] each; NaN where a sample has no such pair.

    Args:
        pairs: The scores; their `highest` reach down to the threshold.
        units: Whose they are.
        threshold: A multiple of 1 / GRID.
        drawn: See `resample_pairs`.
    """
    matches = pairs.highest.of(pairs.highest.score >= threshold)
    first, second = units.subject[matches.first], units.subject[matches.second]
    genuine = units.subject[pairs.genuine.first]
    misses = np.bincount(genuine[pairs.genuine.score < threshold], minlength=len(drawn))
    fmr = quotient(drawn_pairs(first, second, drawn), impostors_drawn(units.sizes, drawn))
    return fmr, quotient(misses @ drawn, np.bincount(genuine, minlength=len(drawn)) @ drawn)


def impostors_drawn(sizes: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Impostor pairs in each sample, float64 [samples]: sum of w_s w_t n_s n_t over s < t.

    Args:
        sizes: [s], units n_s of each subject.
        drawn: float64 [s, samples], w_s.
    """
    sizes = np.asarray(sizes, np.float64)
    return ((sizes @ drawn) ** 2 - sizes**2 @ drawn**2) / 2


def _exact_borders(pairs: AllPairs, units: Units, rates: Sequence[float], drawn: np.ndarray) -> np.ndarray:
    """See `pair_borders`; NaN where a sample needs more pairs than are held."""
    bins = _bins(pairs.highest, units, drawn, np.empty(0, np.float32), 1.0)
    total = impostors_drawn(units.sizes, drawn)
    borders = pair_borders(replace(bins, passing=np.vstack([bins.passing, total])), rates)
    return np.where(np.isneginf(borders), np.nan, borders)


def _bins(pairs: ScoredPairs, units: Units, drawn: np.ndarray, genuine: np.ndarray, reach: float) -> Bins:
    lowest = bin_starts(np.sort(pairs.score), np.sort(genuine), reach)
    return bin_pairs(pairs.score, units.subject[pairs.first], units.subject[pairs.second], lowest, drawn)
