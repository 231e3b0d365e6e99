"""The content of ``metrics.json``: figures as fractions, and the counts behind each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eval.metrics.fnir import Identification, Search
from eval.metrics.fnmr import Verification
from eval.metrics.operating_point import OperatingPoint
from eval.metrics.pair_scores import PairScores
from eval.protocols.evaluation import Evaluation

FMRS = ("1e-1", "1e-2", "1e-3", "1e-4", "1e-5", "1e-6")
FPIRS = ("1e-1", "1e-2", "1e-3")
RANKS = (1, 5, 10)
FEW = 10


def summarise(evaluation: Evaluation) -> dict[str, Any]:
    """Figures as fractions, the counts behind each, and which of them rest on few errors."""
    one_to_one = verification_figures(evaluation.scores)
    searched = evaluation.identification
    one_to_many = identification_figures(searched, evaluation.galleries) if searched else {"counts": {}}
    counts = {**evaluation.counts, **one_to_one.pop("counts"), **one_to_many.pop("counts")}
    return {**one_to_one, **one_to_many, "few_errors": few_errors(counts), "counts": counts}


def verification_figures(scores: PairScores, rates: Sequence[str] = FMRS) -> dict[str, Any]:
    """``fnmr_at_fmr``, ``tar_at_far`` (1 - FNMR: the same in other words), ``eer``, ``auc``, and counts of 1:1."""
    return verification_entries(Verification.of(scores.genuine, scores.impostor, [float(f) for f in rates]), rates)


def verification_entries(figures: Verification, rates: Sequence[str]) -> dict[str, Any]:
    """The entries of `verification_figures`, from figures that are known already."""
    fnmr = {f: figures.fnmr[float(f)] for f in rates}
    return {
        "fnmr_at_fmr": fnmr,
        "tar_at_far": {f: 1 - value for f, value in fnmr.items()},
        "eer": figures.eer,
        "auc": figures.auc,
        "counts": {
            "genuine_pairs": figures.genuine,
            "impostor_pairs": figures.impostor,
            "verification": {f: _verification_counts(figures.points[float(f)]) for f in rates},
        },
    }


def identification_figures(figures: Identification, galleries: Sequence[str]) -> dict[str, Any]:
    """``fnir_at_fpir`` per gallery and averaged (empty for a closed set), ranks, and counts of 1:N."""
    fpirs = FPIRS if figures.points else ()
    points = {name: {f: figures.points[float(f)][index] for f in fpirs} for index, name in enumerate(galleries)}
    searches = zip(galleries, figures.searches, strict=True)
    return {
        "fnir_at_fpir": {f: figures.fnir[float(f)] for f in fpirs},
        "fnir_at_fpir_per_gallery": {name: {f: point.error for f, point in of.items()} for name, of in points.items()},
        **{f"rank{k}": figures.rank(k) for k in RANKS},
        "counts": {"identification": {name: _search_counts(search, points[name]) for name, search in searches}},
    }


def few_errors(counts: Mapping[str, Any]) -> list[str]:
    """The figures that rest on fewer than ten errors, by the names of `Intervals`."""
    names = [f"fnmr@{f}" for f, point in counts.get("verification", {}).items() if point["few_errors"]]
    for gallery, counted in counts.get("identification", {}).items():
        names += [f"fnir@{f}/{gallery}" for f in FPIRS if f in counted and counted[f]["few_errors"]]
        names += [f"rank{k}/{gallery}" for k in RANKS if counted["mated_probes"] - counted[f"rank{k}_hits"] < FEW]
    return names


def _verification_counts(point: OperatingPoint) -> dict[str, Any]:
    return {
        "threshold": point.threshold,
        "false_matches": point.accepted,
        "false_non_matches": point.rejected,
        "supported": point.supported,
        "few_errors": min(point.accepted, point.rejected) < FEW,
    }


def _search_counts(search: Search, points: dict[str, OperatingPoint]) -> dict[str, Any]:
    return {
        "subjects": search.subjects,
        "mated_probes": len(search.ranks),
        "nonmated_probes": len(search.highest),
        **{f"rank{k}_hits": int(np.count_nonzero(search.ranks <= k)) for k in RANKS},
        **{
            f: {
                "threshold": point.threshold,
                "false_positives": point.accepted,
                "misses": point.rejected,
                "supported": point.supported,
                "few_errors": min(point.accepted, point.rejected) < FEW,
            }
            for f, point in points.items()
        },
    }
