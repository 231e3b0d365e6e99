"""``eval compare``: runs into one table, one set of plots and one page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from eval.bootstrap import interval
from eval.comparison import (
    COLUMNS,
    Table,
    against_best,
    gap_note,
    latex,
    markdown,
    points,
    summary,
    tabulate,
    verdict,
)
from eval.paired import all_differences, figure_of
from eval.runs import Run, command_line, load_runs
from facerec.artifacts import InputError, write_json, write_table
from facerec.stages import stage


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
    from eval.plots import as_svg, plot_det, plot_iet

    table = tabulate(load_runs(runs))
    configuration = _read_text(recipe) if recipe else None
    write_json(out / "metrics.json", {run.name: _metrics(run, table) for run in table.runs})
    write_table(out / "comparison.csv", ["row", *(column.key for column in COLUMNS)], _csv_rows(table))
    (out / "comparison.md").write_text(markdown(table), encoding="utf-8")
    (out / "comparison.tex").write_text(latex(table), encoding="utf-8")
    _write_intervals(table, out)
    if tensorboard:
        from eval.hparams import write_hparams

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


def page(table: Table, plots: Mapping[str, str], configuration: str | None, title: str) -> str:
    """The report as one HTML file without outside references.

    Args:
        table: The runs.
        plots: ``det`` and ``iet`` as SVG.
        configuration: Text of the recipe, if any.
        title: The heading.
    """
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html").render(
        title=title,
        summary=summary(table),
        gap_note=gap_note(table),
        groups=[(name, len(list(columns))) for name, columns in groupby(COLUMNS, key=lambda column: column.group)],
        columns=COLUMNS,
        rows=[(run, _cells(table, index)) for index, run in enumerate(table.runs)],
        daggers=any("†" in text for index in range(len(table.runs)) for text, _, _ in _cells(table, index)),
        few="‡" in markdown(table),
        compared=[
            (each, points(each.value), f"{points(each.low)} to {points(each.high)}", verdict(each))
            for each in against_best(table)
        ],
        fmr=table.fmr,
        bands=any(run.det_band for run in table.runs),
        counts=table.runs[0].metrics["counts"],
        runs=table.runs,
        plots={name: Markup(svg) for name, svg in plots.items()},
        pictures=[(run, _data_url(run.sheet)) for run in table.runs if run.sheet],
        configuration=configuration,
        commands={
            run.name: [(meta, command_line(meta, name)) for name, meta in run.metas.items()] for run in table.runs
        },
        versions=_versions(table.runs),
    )


def _cells(table: Table, index: int) -> list[tuple[str, bool, bool]]:
    """Text, whether it is the best, whether a group of columns begins here."""
    starts = [at == 0 or COLUMNS[at - 1].group != column.group for at, column in enumerate(COLUMNS)]
    return [
        (table.text(index, column), table.is_best(index, column), start)
        for column, start in zip(COLUMNS, starts, strict=True)
    ]


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


def _data_url(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")


def _versions(runs: list[Run]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for meta in (meta for run in runs for meta in run.metas.values()):
        for name, version in meta.get("versions", {}).items():
            if version not in found.setdefault(name, []):
                found[name].append(version)
    return {name: ", ".join(versions) for name, versions in sorted(found.items())}


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
