"""The report as one HTML page."""

from __future__ import annotations

import base64
import os.path
import shlex
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from eval.comparison.hover import SCRIPT, content_policy, embedded
from eval.comparison.page_plots import Shown, score_plots, size_plots
from eval.comparison.runs import Run
from eval.comparison.summary import findings, gap_note, points, verdict
from eval.comparison.table import MARKS, Table, shared_rates
from eval.comparison.table_files import group_rows
from eval.comparison.worst_pictures import shown_pairs
from facerec.pipeline.render import render
from facerec.pipeline.thumbnails import Thumbnails


def page(
    table: Table,
    curves: Mapping[str, Shown],
    out: Path,
    configuration: str | None,
    thumbnails: Thumbnails | None,
    title: str,
) -> str:
    """The report as one HTML file. It loads nothing; links lead to the rows' review pages.

    Args:
        table: The runs.
        curves: ``det`` and ``iet``.
        out: The folder that the page goes into, for links.
        configuration: Text of the recipe, if any.
        thumbnails: Thumbnails of the test faces, if there are any.
        title: The heading.
    """
    from markupsafe import Markup

    cells = [_cells(table, index) for index in range(len(table.runs))]
    return render(
        Path(__file__).with_name("report.html"),
        policy=content_policy(),
        script=Markup(SCRIPT),
        embedded=lambda values: Markup(embedded(values)),
        title=title,
        findings=findings(table),
        gap_note=gap_note(table),
        groups=[(name, len(list(some))) for name, some in groupby(table.columns, key=lambda column: column.group)],
        columns=table.columns,
        keys={column.key.partition("@")[0] for column in table.columns},
        rows=list(zip(table.runs, cells, strict=True)),
        marks=[each for each in MARKS.items() if any(each[0] in text for row in cells for text, _, _ in row)],
        compared=[
            (each, points(each.value), f"{points(each.low)} to {points(each.high)}", verdict(each))
            for each in (table.compared.pairs() if table.compared else ())
        ],
        ranked=_bars(table),
        trainings=max(run.count for run in table.runs),
        fmr=table.fmr,
        bands=any(run.det_band for run in table.runs),
        counts=table.runs[0].metrics["counts"],
        rates=shared_rates(table.runs),
        runs=table.runs,
        curves=curves,
        scores=score_plots(table),
        sizes=size_plots(table.runs),
        worst=shown_pairs(table, thumbnails),
        pictures=[(run, _data_url(run.sheet)) for run in table.runs if run.sheet],
        reviews=[(run.name, _link(run.review, out)) for run in table.runs if run.review],
        configuration=configuration,
        commands={
            run.name: [(meta, command_line(meta, name)) for name, meta in run.metas.items()] for run in table.runs
        },
        versions=_versions(table.runs),
    )


def _cells(table: Table, index: int) -> list[tuple[str, bool, bool]]:
    """Text, whether it is the best, whether a group of columns begins here."""
    columns = table.columns
    starts = [at == 0 or columns[at - 1].group != column.group for at, column in enumerate(columns)]
    return [(*cell, start) for cell, start in zip(table.cells(index), starts, strict=True)]


def _bars(table: Table) -> list[tuple[Run, str, list[bool]]]:
    """The compared rows, lowest FNMR first: run, FNMR, and whether it belongs to each group."""
    compared = table.compared
    groups = compared.groups(compared.names) if compared else []
    return [(run, text, [run.name in group for group in groups]) for run, text, _ in group_rows(table)]


def _data_url(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")


def _link(target: Path, folder: Path) -> str:
    """A relative link from a page in a folder to a file."""
    return quote(Path(os.path.relpath(target.absolute(), folder.absolute())).as_posix())


def _versions(runs: list[Run]) -> dict[str, str]:
    seen: dict[str, list[str]] = {}
    for meta in (meta for run in runs for meta in run.metas.values()):
        for name, version in meta.get("versions", {}).items():
            if version not in seen.setdefault(name, []):
                seen[name].append(version)
    return {name: ", ".join(versions) for name, versions in sorted(seen.items())}


def command_line(meta: Mapping[str, Any], folder: str) -> str:
    """The command that a ``meta.json`` records."""
    options = {name: _input(value) for name, value in meta.get("inputs", {}).items()}
    options |= {name: value for name, value in meta.get("config", {}).items() if value is not None}
    words = ["python", "-m", *str(meta.get("command", "?")).split()]
    for name, value in [*options.items(), ("out", folder)]:
        words += [f"--{name}", _option(value)]
    return shlex.join(words)


def _input(recorded: Any) -> Any:
    return [item["path"] for item in recorded] if isinstance(recorded, list) else recorded["path"]


def _option(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{','.join(map(_option, value))}]" if isinstance(value, list) else str(value)
