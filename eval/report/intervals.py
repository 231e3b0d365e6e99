"""Intervals of every figure of ``metrics.json`` and of the curves, by drawing subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.bootstrap.resampling import (
    CONFIDENCE,
    HIGHEST_CURVE_RATE,
    draw,
    fnir_samples,
    interval,
    rank_samples,
    verification_samples,
)
from eval.metrics.fnir import Search
from eval.metrics.pair_scores import PairScores
from eval.protocols.evaluation import Evaluation
from eval.report.figures import FMRS, FPIRS, RANKS

Limits = dict[float, tuple[float, float] | None]


@dataclass(frozen=True)
class Intervals:
    """Bootstrap samples of every figure, and of the curves.

    Attributes:
        names: The figures, e.g. ``fnmr@1e-4``, ``fnir@1e-2``, ``fnir@1e-2/G1``, ``rank1``, ``rank1/G1``, ``eer``.
        samples: float64 [samples, figures].
        det: FMR to (low, high).
        iet: FPIR to (low, high) of the mean over the galleries.
    """

    names: list[str]
    samples: np.ndarray
    det: Limits
    iet: Limits

    def of(self, name: str) -> tuple[float, float] | None:
        """The interval of a figure."""
        return interval(self.samples[:, self.names.index(name)])

    def entries(self, metrics: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """The intervals in the same structure as the figures of ``metrics.json``, and how they were made."""
        rates = [name for name in ("fnmr_at_fmr", "fnir_at_fpir") if name in metrics]
        galleries = {
            gallery: {f: self.of(f"fnir@{f}/{gallery}") for f in rates}
            for gallery, rates in metrics.get("fnir_at_fpir_per_gallery", {}).items()
        }
        return {
            "confidence": CONFIDENCE,
            "samples": len(self.samples),
            "seed": seed,
            "over": "subjects",
            "figures": self.names,
            **{name: {f: self.of(f"{name[:4]}@{f}") for f in metrics[name]} for name in rates},
            **({"fnir_at_fpir_per_gallery": galleries} if galleries else {}),
            **{name: self.of(name) for name in ("rank1", "rank5", "rank10", "eer", "auc") if name in self.names},
        }


def resample(
    evaluation: Evaluation, samples: int, seed: int, curves: tuple[Sequence[float], Sequence[float]]
) -> Intervals:
    """Bootstrap over subjects of all figures.

    Args:
        evaluation: The scores, and whose they are.
        samples: How many to draw.
        seed: Draws them; the same subjects are drawn for every figure, and for every run on the same protocol.
        curves: FMRs of the DET curve and FPIRs of the IET curve; those up to `HIGHEST_CURVE_RATE` are resampled.
    """
    subject = evaluation.subject.astype(np.int32)
    sides = subject[evaluation.pairs[0]], subject[evaluation.pairs[1]]
    drawn = draw(int(subject.max()) + 1, samples, seed)
    pairs, whole, det = _resample_pairs(evaluation.scores, sides, curves[0], drawn)
    searched = evaluation.identification.searches if evaluation.identification else ()
    searches = dict(zip(evaluation.galleries, searched, strict=True))
    probes, iet = resample_searches(searches, evaluation.subject[evaluation.probes], curves[1], drawn)
    columns = {**pairs, **probes, **whole}
    return Intervals(list(columns), np.stack(list(columns.values()), axis=1), det, iet)


def _resample_pairs(
    scores: PairScores, sides: tuple[np.ndarray, np.ndarray], curve: Sequence[float], drawn: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], Limits]:
    """Samples of FNMR by name, those of EER and AUC, and the intervals of the DET curve."""
    rates = [*map(float, FMRS), *(rate for rate in curve if rate <= HIGHEST_CURVE_RATE)]
    rows, eer, auc = verification_samples(scores, sides, rates, drawn)
    named = {f"fnmr@{f}": rows[index] for index, f in enumerate(FMRS)}
    return named, {"eer": eer, "auc": auc}, {rate: interval(row) for rate, row in zip(rates, rows, strict=True)}


def resample_searches(
    searches: Mapping[str, Search], subject: np.ndarray, curve: Sequence[float], drawn: np.ndarray
) -> tuple[dict[str, np.ndarray], Limits]:
    """Samples of FNIR and of the ranks by name, and the intervals of the IET curve."""
    if not searches:
        return {}, {}
    fpirs = FPIRS if all(len(of.highest) for of in searches.values()) else ()  # a closed set has ranks alone
    rates = [*map(float, fpirs), *(rate for rate in curve if rate <= HIGHEST_CURVE_RATE)]
    fnirs = {name: fnir_samples(of, subject, rates, drawn) for name, of in searches.items()} if rates else {}
    mean = np.mean(list(fnirs.values()), axis=0) if fnirs else np.empty((0, drawn.shape[1]))
    named: dict[str, np.ndarray] = {}
    for index, f in enumerate(fpirs):
        named |= {f"fnir@{f}": mean[index], **{f"fnir@{f}/{name}": rows[index] for name, rows in fnirs.items()}}
    for k in RANKS:
        shares = {name: rank_samples(of, subject, k, drawn) for name, of in searches.items()}
        named |= {f"rank{k}": np.mean(list(shares.values()), axis=0)}
        named |= {f"rank{k}/{name}": row for name, row in shares.items()}
    return named, {rate: interval(row) for rate, row in zip(rates, mean, strict=True)}
