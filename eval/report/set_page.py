"""The report of a labelled set: files, and one HTML page with the threshold to use and the worst pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.all_pairs.evaluation import SetEvaluation
from eval.all_pairs.figures import counted_det
from eval.all_pairs.worst import FALSE_MATCH, WorstPair
from eval.metrics.discard import DiscardCurve, perfect_discard
from eval.metrics.fnir import iet_curve
from eval.report.curves import Curves
from eval.report.histogram import ScoreBins, counted_bins, write_scores
from eval.report.intervals import Intervals
from eval.report.plots import as_svg
from eval.report.set_figures import GALLERIES, rate_name
from eval.report.set_plots import plot_discard, plot_ratios, plot_scores
from eval.report.set_tables import face_name, write_discard, write_groups, write_pairs
from facerec.pipeline.files import write_json, write_table
from facerec.pipeline.render import render
from facerec.pipeline.thumbnails import Thumbnails


@dataclass
class SetReport:
    """What is reported; the parts that were not asked for stay empty.

    Attributes:
        evaluation: The set.
        metrics: ``metrics.json``.
        keys: Names of the faces, by embedding row.
        pictures: Pictures of the faces.
        intervals: Intervals of every figure.
        discard: Curves by the name of a quality.
        ratios: Score and its LLR by both maps.
        worst: Pairs that are decided wrongly.
    """

    evaluation: SetEvaluation
    metrics: dict[str, Any]
    keys: list[str] | None
    pictures: Thumbnails | None
    intervals: Intervals | None = None
    discard: dict[str, DiscardCurve] = field(default_factory=dict)
    ratios: list[tuple[float, float, float]] = field(default_factory=list)
    worst: list[WorstPair] = field(default_factory=list)


def write_report(report: SetReport, out: Path) -> None:
    """Writes every file of the report into an existing folder."""
    evaluation = report.evaluation
    searches = evaluation.identification.searches
    write_json(out / "metrics.json", report.metrics)
    bins = counted_bins(evaluation.pairs)
    curves = Curves(counted_det(evaluation.pairs), iet_curve(searches), searches, GALLERIES)
    write_scores(out, bins)
    write_table(out / "calibration.csv", ["score", "llr_logistic", "llr_isotonic"], report.ratios)
    write_pairs(out / "pairs.csv", report.worst, evaluation.units, report.keys)
    if report.discard:
        write_discard(out / "discard.csv", report.discard)
    if "groups" in report.metrics:
        write_groups(out / "groups.csv", report.metrics["groups"])
    figures = curves.write(out, report.intervals) | _figures(report, bins)
    plots = {name: as_svg(figure, name) for name, figure in figures.items()}
    (out / "report.html").write_text(_page(report, plots), encoding="utf-8", errors="surrogateescape")


def usable(threshold: float) -> str:
    """A threshold to copy, with six decimals: rounded up, so that no pair below the exact one matches.

    Example:
        >>> usable(93120 / 2**18)
        '0.355225'
    """
    return f"{math.ceil(threshold * 1e6) / 1e6:.6f}"


def threshold_in_words(metrics: dict[str, Any]) -> str:
    """The threshold to use, and what it does on these faces."""
    found = metrics["threshold"]
    text = f"For FMR {rate_name(found['fmr'])} use the threshold {usable(found['value'])}"
    if found.get("value_interval"):
        text += f" (95 % interval {_ends(found['value_interval'], '.4f')})"
    here = rate_name(float(f"{found['fmr_here']:.3g}")) if found["fmr_here"] else "0"
    text += f". On these faces it has FMR {here} and FNMR {100 * found['fnmr_here']:.2f} %"
    if found.get("fnmr_here_interval"):
        low, high = found["fnmr_here_interval"]
        text += f" ({100 * low:.2f} to {100 * high:.2f} %)"
    if not found["supported"]:
        return text + ". There are too few impostor pairs for this rate: the threshold only lies above all of them."
    return text + (". Fewer than ten false matches: the threshold is uncertain." if found["few_errors"] else ".")


def _figures(report: SetReport, bins: ScoreBins) -> dict[str, Any]:
    """The plots that only the page has."""
    figures = {
        "scores": plot_scores(bins, report.metrics["threshold"]["value"]),
        "ratios": plot_ratios(report.ratios),
    }
    if report.discard:
        failed = report.evaluation.pairs.genuine.score < report.evaluation.point.threshold
        figures["discard"] = plot_discard(report.discard, perfect_discard(failed))
    return figures


def _page(report: SetReport, plots: dict[str, str]) -> str:
    from markupsafe import Markup

    matches = [pair for pair in report.worst if pair.kind == FALSE_MATCH]
    misses = [pair for pair in report.worst if pair.kind != FALSE_MATCH]
    return render(
        Path(__file__).with_name("set.html"),
        title="Evaluation of labelled faces",
        headline=threshold_in_words(report.metrics),
        metrics=report.metrics,
        usable=usable,
        plots={name: Markup(svg) for name, svg in plots.items()},
        galleries=[[_shown(pair, report) for pair in each] for each in (matches, misses)],
        ends=_ends,
    )


def _shown(pair: WorstPair, report: SetReport) -> dict[str, Any]:
    """A pair as the page shows it."""
    units = report.evaluation.units
    return {
        "pair": pair,
        "faces": [
            {
                "name": face_name(units, report.keys, position).encode("utf-8", "replace").decode(),
                "label": int(units.labels[units.subject[position]]),
                "picture": report.pictures.as_url(int(units.face[position])) if report.pictures else "",
            }
            for position in pair.units
        ],
    }


def _ends(interval: Sequence[float] | None, form: str) -> str:
    """Both ends of an interval; a dash if there is none."""
    return "–" if interval is None else f"{interval[0]:{form}} to {interval[1]:{form}}"
