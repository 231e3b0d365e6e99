"""The content of ``metrics.json`` of `eval ijb`: figures as fractions, the counts behind each, and their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.bootstrap.resampling import draw, fnir_samples, interval, rank_samples, verification_samples
from eval.metrics.identification import Search, fnir_at_fpir, search
from eval.metrics.templates import Templates, pool_subjects
from eval.metrics.verification import OperatingPoint, area, equal_error, operating_point
from eval.protocols.protocol import Subjects, positions
from facerec.pipeline.files import InputError

FMRS = ("1e-1", "1e-2", "1e-3", "1e-4", "1e-5", "1e-6")
FPIRS = ("1e-1", "1e-2", "1e-3")
RANKS = (1, 5, 10)
FEW = 10
HIGHEST_CURVE_RATE = 0.1


@dataclass(frozen=True)
class Scores:
    """The 1:1 comparisons.

    Attributes:
        genuine: float32, in rising order.
        impostor: float32, in rising order.
        pairs: float32 [p], all scores in the order of the pairs.
        is_genuine: bool [p].
    """

    genuine: np.ndarray
    impostor: np.ndarray
    pairs: np.ndarray
    is_genuine: np.ndarray

    @classmethod
    def of(cls, pairs: np.ndarray, is_genuine: np.ndarray) -> Scores:
        """Sorts both kinds."""
        return cls(np.sort(pairs[is_genuine]), np.sort(pairs[~is_genuine]), pairs, is_genuine)


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
    det: dict[float, tuple[float, float] | None]
    iet: dict[float, tuple[float, float] | None]

    def of(self, name: str) -> tuple[float, float] | None:
        """The interval of a figure."""
        return interval(self.samples[:, self.names.index(name)])


def verification_figures(scores: Scores, rates: Sequence[str] = FMRS) -> dict[str, Any]:
    """``fnmr_at_fmr``, ``tar_at_far`` (1 - FNMR: the same in other words), ``eer``, ``auc``, and counts of 1:1."""
    points = {f: operating_point(scores.genuine, scores.impostor, float(f)) for f in rates}
    fnmr = {f: point.rejected / len(scores.genuine) for f, point in points.items()}
    return {
        "fnmr_at_fmr": fnmr,
        "tar_at_far": {f: 1 - value for f, value in fnmr.items()},
        "eer": equal_error(scores.genuine, scores.impostor)[0],
        "auc": area(scores.genuine, scores.impostor),
        "counts": {
            "genuine_pairs": len(scores.genuine),
            "impostor_pairs": len(scores.impostor),
            "verification": {f: _verification_counts(point) for f, point in points.items()},
        },
    }


def identification_figures(searches: Mapping[str, Search]) -> dict[str, Any]:
    """``fnir_at_fpir`` per gallery and averaged, ranks, and counts of 1:N."""
    points = {name: {f: fnir_at_fpir(found, float(f)) for f in FPIRS} for name, found in searches.items()}
    per_gallery = {
        name: {f: point.rejected / len(searches[name].ranks) for f, point in of.items()} for name, of in points.items()
    }
    return {
        "fnir_at_fpir": {f: float(np.mean([fnirs[f] for fnirs in per_gallery.values()])) for f in FPIRS},
        "fnir_at_fpir_per_gallery": per_gallery,
        **{f"rank{k}": float(np.mean([found.found_up_to(k) for found in searches.values()])) for k in RANKS},
        "counts": {"identification": {name: _search_counts(searches[name], points[name]) for name in searches}},
    }


def few_errors(counts: Mapping[str, Any]) -> list[str]:
    """The figures that rest on fewer than ten errors of either kind, by the names of `Intervals`."""
    names = [f"fnmr@{f}" for f, point in counts.get("verification", {}).items() if point["few_errors"]]
    for gallery, found in counts.get("identification", {}).items():
        names += [f"fnir@{f}/{gallery}" for f in FPIRS if found[f]["few_errors"]]
        names += [f"rank{k}/{gallery}" for k in RANKS if found["mated_probes"] - found[f"rank{k}_hits"] < FEW]
    return names


def resample(
    scores: Scores,
    sides: tuple[np.ndarray, np.ndarray],
    searches: Mapping[str, Search],
    probe_subjects: np.ndarray,
    subjects: int,
    samples: int,
    seed: int,
    curves: tuple[Sequence[float], Sequence[float]],
) -> Intervals:
    """Bootstrap over subjects of all figures.

    Args:
        scores: The 1:1 scores.
        sides: int [p] each, the subjects of both sides of every pair, from 0.
        searches: Gallery to search.
        probe_subjects: int [probes], from 0.
        subjects: How many there are.
        samples: How many to draw.
        seed: Draws them; the same subjects are drawn for every figure, and for every run on the same protocol.
        curves: FMRs of the DET curve and FPIRs of the IET curve; only those up to 0.1 are resampled.
    """
    drawn = draw(subjects, samples, seed)
    found, whole, det = _resample_pairs(scores, sides, curves[0], drawn)
    rest, iet = _resample_searches(searches, probe_subjects, curves[1], drawn)
    found |= rest | whole
    return Intervals(list(found), np.stack(list(found.values()), axis=1), det, iet)


def _resample_pairs(
    scores: Scores, sides: tuple[np.ndarray, np.ndarray], curve: Sequence[float], drawn: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[float, tuple[float, float] | None]]:
    """Samples of FNMR by name, those of EER and AUC, and the intervals of the DET curve."""
    rates = [*map(float, FMRS), *(rate for rate in curve if rate <= HIGHEST_CURVE_RATE)]
    (one, two), genuine = sides, scores.is_genuine
    others = one[~genuine], two[~genuine]
    rows, eer, auc = verification_samples(
        scores.pairs[genuine], one[genuine], scores.pairs[~genuine], others, rates, drawn
    )
    named = {f"fnmr@{f}": rows[index] for index, f in enumerate(FMRS)}
    return named, {"eer": eer, "auc": auc}, {rate: interval(row) for rate, row in zip(rates, rows, strict=True)}


def _resample_searches(
    searches: Mapping[str, Search], subject: np.ndarray, curve: Sequence[float], drawn: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[float, tuple[float, float] | None]]:
    """Samples of FNIR and of the ranks by name, and the intervals of the IET curve."""
    rates = [*map(float, FPIRS), *(rate for rate in curve if rate <= HIGHEST_CURVE_RATE)]
    fnirs = {name: fnir_samples(of, subject, rates, drawn) for name, of in searches.items()}
    mean = np.mean(list(fnirs.values()), axis=0)
    named: dict[str, np.ndarray] = {}
    for index, f in enumerate(FPIRS):
        named |= {f"fnir@{f}": mean[index], **{f"fnir@{f}/{name}": rows[index] for name, rows in fnirs.items()}}
    for k in RANKS:
        shares = {name: rank_samples(of, subject, k, drawn) for name, of in searches.items()}
        named |= {f"rank{k}": np.mean(list(shares.values()), axis=0)}
        named |= {f"rank{k}/{name}": row for name, row in shares.items()}
    return named, {rate: interval(row) for rate, row in zip(rates, mean, strict=True)}


def _verification_counts(point: OperatingPoint) -> dict[str, Any]:
    return {
        "threshold": point.threshold,
        "false_matches": point.accepted,
        "false_non_matches": point.rejected,
        "supported": point.supported,
        "few_errors": min(point.accepted, point.rejected) < FEW,
    }


def _search_counts(found: Search, points: dict[str, OperatingPoint]) -> dict[str, Any]:
    return {
        "subjects": found.subjects,
        "mated_probes": len(found.ranks),
        "nonmated_probes": len(found.highest),
        **{f"rank{k}_hits": int(np.count_nonzero(found.ranks <= k)) for k in RANKS},
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


def identify(gallery: Subjects, probes: Subjects, templates: Templates) -> Search:
    """Searches the probes in a gallery, with one feature a subject (several templates of one are pooled).

    Raises:
        InputError: No mated or no non-mated probe.
    """
    ids, features = pool_subjects(templates.features[positions(templates.ids, gallery.template)], gallery.subject)
    found = search(templates.features[positions(templates.ids, probes.template)], probes.subject, features, ids)
    for scores, kind in [(found.mate_scores, "mated"), (found.highest, "non-mated")]:
        if not len(scores):
            raise InputError(
                f"{gallery.path}: no {kind} probe in {probes.path.name}; an open-set search needs both kinds"
            )
    return found


def summarise(scores: Scores, searches: dict[str, Search], corpus: dict[str, int]) -> dict[str, Any]:
    """Figures as fractions, the counts behind each, and which of them rest on few errors."""
    verification, identification = verification_figures(scores), identification_figures(searches)
    counts = {**corpus, **verification.pop("counts"), **identification.pop("counts")}
    return {**verification, **identification, "few_errors": few_errors(counts), "counts": counts}
