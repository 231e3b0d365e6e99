"""The content of ``metrics.json`` of a labelled set: the figures of ``eval ijb``, and the threshold to use."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from eval.all_pairs.evaluation import SetEvaluation
from eval.all_pairs.figures import share_matching
from eval.all_pairs.resampled import PairSamples
from eval.bootstrap.resampling import interval
from eval.metrics.fnir import iet_curve
from eval.report.figures import FEW, FMRS, few_errors, identification_figures, verification_entries
from eval.report.intervals import Intervals, Limits, resample_searches

GALLERIES = ("G1", "G2")


def rate_name(rate: float) -> str:
    """A rate as the figures have it, with all its digits.

    Example:
        >>> rate_name(1e-4), rate_name(.003), rate_name(.025), rate_name(.00123456789)
        ('1e-4', '3e-3', '2.5e-2', '1.23456789e-3')
    """
    return f"{Decimal(str(float(rate))).normalize():e}"


def rate_names(fmr: float) -> list[str]:
    """The FMRs that are reported: the usual ones and the wanted one, falling."""
    return sorted({*FMRS, rate_name(fmr)}, key=float, reverse=True)


def set_figures(evaluation: SetEvaluation, faces: dict[str, int]) -> dict[str, Any]:
    """Figures as fractions, the counts behind each, and which of them rest on few errors.

    Args:
        evaluation: The set.
        faces: Counts of faces to report.
    """
    units, searches = evaluation.units, evaluation.identification
    one_to_one = verification_entries(evaluation.verification, rate_names(evaluation.fmr))
    one_to_many = identification_figures(searches, GALLERIES)
    counts = {
        **faces,
        "templates": len(units),
        "empty_templates": int(np.count_nonzero(~units.features.any(axis=1))),
        "subjects": len(units.labels),
        "probes": len(evaluation.draw.probes),
        **one_to_one.pop("counts"),
        **one_to_many.pop("counts"),
    }
    return {
        "threshold": threshold_entry(evaluation),
        **one_to_one, **one_to_many,
        "few_errors": few_errors(counts),
        "counts": counts,
    }  # fmt: skip


def threshold_entry(evaluation: SetEvaluation) -> dict[str, Any]:
    """The threshold to use at the wanted FMR, and what it does on this set."""
    point, impostors = evaluation.point, evaluation.units.impostor_pairs
    matches, misses = share_matching(evaluation.pairs, point.threshold)
    return {
        "fmr": evaluation.fmr,
        "value": point.threshold,
        "fmr_here": matches / impostors,
        "fnmr_here": misses / point.positives,
        "supported": point.supported,
        "few_errors": matches < FEW,
    }


def set_intervals(
    evaluation: SetEvaluation, samples: PairSamples, at_threshold: tuple[np.ndarray, np.ndarray]
) -> tuple[Intervals, dict[str, Any]]:
    """Intervals of every figure and of the curves; those of the threshold.

    Args:
        evaluation: The set.
        samples: Samples of the figures of 1:1, from `SetEvaluation.resampled`.
        at_threshold: Samples of FMR and FNMR at the threshold, float64 [samples] each, from the same.
    """
    subject = evaluation.units.subject[evaluation.draw.probes]
    searches = dict(zip(GALLERIES, evaluation.identification.searches, strict=True))
    rates = list(iet_curve(evaluation.identification.searches))
    probes, iet = resample_searches(searches, subject, rates, evaluation.drawn)
    columns = {f"fnmr@{name}": samples.at(float(name))[0] for name in rate_names(evaluation.fmr)}
    columns |= {**probes, "eer": samples.eer, "auc": samples.auc}
    det: Limits = {rate: interval(samples.fnmr[row]) for row, rate in enumerate(samples.rates)}
    found = Intervals(list(columns), np.stack(list(columns.values()), axis=1), det, iet)
    fmr, fnmr = at_threshold
    return found, {
        "value_interval": interval(samples.at(evaluation.fmr)[1]),
        "fmr_here_interval": interval(fmr),
        "fnmr_here_interval": interval(fnmr),
    }
