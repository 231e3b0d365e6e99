"""``eval compare``: runs into one table, one set of plots and one page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from eval.comparison import COLUMNS, Table, gap_note, markdown, summary, tabulate
from eval.runs import Run, command_line, load_runs
from facerec.artifacts import InputError, write_json, write_table
from facerec.stages import stage


@stage("eval compare")
def compare(
    runs: list[Path], out: Path, recipe: Path | None = None, title: str = "Clustering backends as pseudo-labellers"
) -> Mapping[str, Any]:
    """Puts runs into one table, one set of plots and one page, report.html.

    Args:
        runs: Folders, one a row, as '[a,b]': of a recipe (with ijb, clusters, clusters.json, pseudo.json, sheet.png) or
            bare reports of `eval ijb`. Rows named labelled and supervised are the bounds.
        out: Folder for report.html, comparison.csv, comparison.md, det.png, iet.png, metrics.json.
        recipe: A configuration that the page shows as it is.
        title: The page's heading.
    """
    from eval.plots import plot_det, plot_iet

    table = tabulate(load_runs(runs))
    configuration = _read_text(recipe) if recipe else None
    write_json(out / "metrics.json", {run.name: _metrics(run, table) for run in table.runs})
    write_table(out / "comparison.csv", ["row", *(column.key for column in COLUMNS)], _csv_rows(table))
    (out / "comparison.md").write_text(markdown(table), encoding="utf-8")
    plots = {
        "det": plot_det({run.name: run.det for run in table.runs}, out / "det.png"),
        "iet": plot_iet({run.name: run.iet for run in table.runs}, out / "iet.png"),
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
