"""The command ``compare``: runs into one table, one set of plots and one page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.bootstrap.resampling import interval
from eval.report.comparison import (
    COLUMNS,
    Table,
    latex,
    markdown,
    summary,
    tabulate,
)
from eval.report.page import page
from eval.report.paired import all_differences, figure_of
from eval.report.runs import Run, load_runs
from facerec.pipeline.files import InputError, write_json, write_table
from facerec.pipeline.stage import stage


@stage("eval compare")
def compare(
    runs: list[Path],
    out: Path,
    recipe: Path | None = None,
    title: str = "Clustering backends as pseudo-labellers",
    tensorboard: bool = False,
) -> Mapping[str, Any]:
    """Puts runs into one table, one set of plots and one page, report.html.

    Args:
        runs: Folders, one a row, as '[a,b]': of a recipe (with ijb, clusters, clusters.json, pseudo.json, sheet.png) or
            bare reports of `eval ijb`. Rows named labelled and supervised are the bounds.
        out: Folder for report.html, comparison.csv, comparison.md, comparison.tex, det.png, iet.png, metrics.json; if
            the runs have bootstrap samples also intervals.csv and differences.csv.
        recipe: A configuration that the page shows as it is.
        title: The page's heading.
        tensorboard: Also write settings and figures of every row for TensorBoard's HPARAMS page, into tensorboard/.
    """
    from eval.report.plots import as_svg, plot_det, plot_iet

    table = tabulate(load_runs(runs))
    configuration = _read_text(recipe) if recipe else None
    write_json(out / "metrics.json", {run.name: _metrics(run, table) for run in table.runs})
    write_table(out / "comparison.csv", ["row", *(column.key for column in COLUMNS)], _csv_rows(table))
    (out / "comparison.md").write_text(markdown(table), encoding="utf-8")
    (out / "comparison.tex").write_text(latex(table), encoding="utf-8")
    _write_intervals(table, out)
    if tensorboard:
        from eval.report.hparams import write_hparams

        write_hparams(table, out / "tensorboard")
    plots = {
        "det": as_svg(
            plot_det(
                {run.name: run.det for run in table.runs},
                out / "det.png",
                {run.name: run.det_band for run in table.runs},
            ),
            "det",
        ),
        "iet": as_svg(
            plot_iet(
                {run.name: run.iet for run in table.runs},
                out / "iet.png",
                {run.name: run.iet_band for run in table.runs},
            ),
            "iet",
        ),
    }
    (out / "report.html").write_text(page(table, plots, configuration, title), encoding="utf-8")
    return {"summary": summary(table)}


def _write_intervals(table: Table, out: Path) -> None:
    """Every figure of every run with its interval, and every difference between two runs with its."""
    if not any(run.samples for run in table.runs):
        return
    ends = [
        [run.name, figure, figure_of(run, figure), *(interval(samples) or ("", ""))]
        for run in table.runs
        for figure, samples in run.samples.items()
    ]
    write_table(out / "intervals.csv", ["row", "figure", "value", "low", "high"], ends)
    rows = [
        [each.figure, each.run, each.other, each.value, each.low, each.high, each.p]
        for each in all_differences(table.runs)
    ]
    write_table(out / "differences.csv", ["figure", "row", "other", "difference", "low", "high", "p"], rows)


def _csv_rows(table: Table) -> list[list[Any]]:
    return [
        [run.name, *("" if row[column.key] is None else row[column.key] for column in COLUMNS)]
        for run, row in zip(table.runs, table.values, strict=True)
    ]


def _metrics(run: Run, table: Table) -> dict[str, Any]:
    return {
        "ijb": run.metrics,
        "clusters": run.clusters,
        "pseudo_labels": run.pseudo,
        "gap_recovered": {"fmr": table.fmr, "share": table.value(run.name, "gap_recovered")},
        "clustering_seconds": table.value(run.name, "seconds"),
        "clustering_memory_mib": table.value(run.name, "memory_mib"),
    }


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
