"""A labelled set of faces to everything that its pairs say: scores, figures, searches, samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eval.all_pairs.draws import Draw, draw_galleries, search_drawn
from eval.all_pairs.figures import counted_verification
from eval.all_pairs.resampled import PairSamples, resample_pairs, resample_rates
from eval.all_pairs.scores import HELD, AllPairs, all_pairs
from eval.all_pairs.units import Units
from eval.bootstrap.resampling import HIGHEST_CURVE_RATE, SPARE, draw
from eval.metrics.fnir import Identification
from eval.metrics.fnmr import Verification
from eval.metrics.groups import Judged
from eval.metrics.operating_point import OperatingPoint, curve_rates
from facerec.pipeline.files import InputError

MOST_HELD = 1 << 27
"""Most impostor pairs that are held for a high FMR."""


@dataclass(frozen=True)
class SetEvaluation:
    """What all pairs of a set gave.

    Attributes:
        units: What was compared.
        pairs: The scores.
        fmr: The FMR that is wanted.
        verification: At every rate that is reported, and at the wanted one.
        draw: Galleries and probes.
        identification: The searches of the probes in both galleries.
        drawn: How often each subject is drawn in each sample, float64 [subjects, samples]; without samples [s, 0].
    """

    units: Units
    pairs: AllPairs
    fmr: float
    verification: Verification
    draw: Draw
    identification: Identification
    drawn: np.ndarray

    @property
    def point(self) -> OperatingPoint:
        """The threshold to use, and what it does."""
        return self.verification.points[self.fmr]

    @property
    def judged(self) -> Judged:
        """All pairs at the threshold to use."""
        pairs, threshold = self.pairs, self.point.threshold
        matches = pairs.highest.of(pairs.highest.score >= threshold)
        return Judged(
            self.units.subject,
            np.stack([pairs.genuine.first, pairs.genuine.second], axis=1),
            pairs.genuine.score < threshold,
            np.stack([matches.first, matches.second], axis=1),
            self.drawn,
        )

    def resampled(self) -> tuple[PairSamples, tuple[np.ndarray, np.ndarray]]:
        """Samples at every rate and of the DET curve; those of FMR and FNMR at the threshold to use."""
        curve = [rate for rate in curve_rates(self.units.impostor_pairs).tolist() if rate <= HIGHEST_CURVE_RATE]
        rates = sorted({*self.verification.points, *curve})
        samples = resample_pairs(self.pairs, self.units, rates, self.drawn)
        return samples, resample_rates(self.pairs, self.units, self.point.threshold, self.drawn)


def evaluate_set(
    units: Units, fmr: float, rates: tuple[list[float], list[float]], samples: int, seed: int
) -> SetEvaluation:
    """Compares all units, and searches the drawn probes in the drawn galleries.

    Args:
        units: What to compare.
        fmr: The FMR that is wanted. All its false matches are kept in memory.
        rates: FMRs and FPIRs to report.
        samples: How often subjects are drawn for intervals; 0 for none.
        seed: Draws galleries, subjects and, of large sets, the sample of impostor pairs.

    Raises:
        InputError: More pairs to hold than fit.
    """
    held = max(HELD, int(SPARE * fmr * units.impostor_pairs) + 1)
    if HELD < held > MOST_HELD and units.impostor_pairs > MOST_HELD:
        raise InputError(
            f"--fmr {fmr:g} of {units.impostor_pairs:,} impostor pairs: {held:,} pairs to hold; at most {MOST_HELD:,}, "
            f"so that at most --fmr {MOST_HELD / SPARE / units.impostor_pairs:.1g} fits"
        )
    pairs = all_pairs(units, seed, held)
    drawn = draw(len(units.labels), samples, seed) if samples else np.zeros((len(units.labels), 0))
    galleries = draw_galleries(units, seed)
    return SetEvaluation(
        units, pairs, fmr, counted_verification(pairs, sorted({*rates[0], fmr})), galleries,
        search_drawn(units, galleries, rates[1]), drawn,
    )  # fmt: skip
