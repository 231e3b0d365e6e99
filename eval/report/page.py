"""The report as one HTML page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from eval.report.comparison import COLUMNS, Table
from eval.report.runs import Run, command_line
from eval.report.summary import against_best, gap_note, points, summary, verdict
from eval.report.tables import markdown


def page(table: Table, plots: Mapping[str, str], configuration: str | None, title: str) -> str:
    """The report as one HTML file without outside references.

    Args:
        table: The runs.
        plots: ``det`` and ``iet`` as SVG.
        configuration: Text of the recipe, if any.
        title: The heading.
    """
    from markupsafe import Markup

    return render(
        "report.html",
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


def render(template: str, **content: Any) -> str:
    """A page from a template beside this file; what it is given is escaped."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(**content)


def _cells(table: Table, index: int) -> list[tuple[str, bool, bool]]:
    """Text, whether it is the best, whether a group of columns begins here."""
    starts = [at == 0 or COLUMNS[at - 1].group != column.group for at, column in enumerate(COLUMNS)]
    return [
        (table.text(index, column), table.is_best(index, column), start)
        for column, start in zip(COLUMNS, starts, strict=True)
    ]


def _data_url(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")


def _versions(runs: list[Run]) -> dict[str, str]:
    seen: dict[str, list[str]] = {}
    for meta in (meta for run in runs for meta in run.metas.values()):
        for name, version in meta.get("versions", {}).items():
            if version not in seen.setdefault(name, []):
                seen[name].append(version)
    return {name: ", ".join(versions) for name, versions in sorted(seen.items())}
