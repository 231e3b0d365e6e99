"""The plots of a comparison's page, each with the values that it shows on hover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eval.comparison.hover import of_curves
from eval.comparison.runs import Run
from eval.comparison.small_plots import plot_scores, plot_sizes
from eval.comparison.table import Table
from eval.report.plots import as_svg, plot_det, plot_iet, styles


class Shown(NamedTuple):
    """A plot on a page.

    Attributes:
        name: What it is about, such as a row.
        svg: As markup.
        values: For `eval.comparison.hover`.
    """

    name: str
    svg: Any
    values: Mapping[str, Any]


def curve_plots(runs: Sequence[Run], out: Path) -> dict[str, Shown]:
    """DET and IET curves of all rows: for the page, and as det.png and iet.png in a folder."""
    colours = {name: colour for name, (colour, _, _) in styles([run.name for run in runs]).items()}
    det = plot_det({run.name: run.det for run in runs}, out / "det.png", {run.name: run.det_band for run in runs})
    iet = plot_iet({run.name: run.iet for run in runs}, out / "iet.png", {run.name: run.iet_band for run in runs})
    searches = {
        run.name: [(fpir, fnir, *run.search_thresholds.get(fpir, ())) for fpir, fnir in run.iet] for run in runs
    }
    points = {run.name: [(fmr, fnmr, run.thresholds[fmr]) for fmr, fnmr in run.det] for run in runs}
    return {
        "det": _shown("det", as_svg(det, "det"), of_curves(det, points, colours)),
        "iet": _shown("iet", as_svg(iet, "iet"), of_curves(iet, searches, colours)),
    }


def score_plots(table: Table) -> list[Shown]:
    """Scores of genuine and impostor pairs of each row that has them, on the same axes."""
    runs = [run for run in table.runs if run.scores]
    if not runs:
        return []
    limits = min(run.scores[0][0] for run in runs), max(run.scores[-1][1] for run in runs)
    highest = max(_largest_share(run, column) for run in runs for column in (2, 3)) or 1.0
    return [
        _shown(run.name, *plot_scores(run.scores, table.threshold(run.name), limits, highest))
        for run in runs
    ]  # fmt: skip


def size_plots(runs: Sequence[Run]) -> list[Shown]:
    """Sizes of identities and clusters of each row that has clusters, on the same axes."""
    runs = [run for run in runs if run.sizes]
    colours = styles([run.name for run in runs])
    highest = max((max(row[2:]) for run in runs for row in run.sizes), default=0) or 1
    return [_shown(run.name, *plot_sizes(run.sizes, colours[run.name][0], highest)) for run in runs]


def _shown(name: str, svg: str, values: Mapping[str, Any]) -> Shown:
    from markupsafe import Markup

    return Shown(name, Markup(svg), values)


def _largest_share(run: Run, column: int) -> float:
    counts = [row[column] for row in run.scores]
    return max(counts) / max(sum(counts), 1)
