"""A page that shows backends side by side."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
"""


def write_comparison(
    path: Path,
    about: str,
    rows: Sequence[Mapping[str, object]],
    similarity: np.ndarray,
    refused: Mapping[str, str],
    estimates: Sequence[Mapping[str, object]] = (),
) -> None:
    """Writes the page.

    Args:
        path: The .html file.
        about: What was clustered, in one line.
        rows: Of each backend, by column.
        similarity: float64 [runs, runs], see `clustering.comparison.runs.agreement`.
        refused: Why a backend could not run.
        estimates: Of each backend, by column, how good it is without labels; or nothing.
    """
    names = [str(row["backend"]) for row in rows]
    table = _table(list(rows[0]), [[_text(value) for value in row.values()] for row in rows])
    cells = [[name, *(_shaded(value) for value in line)] for name, line in zip(names, similarity.tolist(), strict=True)]
    notes = "".join(f"<li>{html.escape(name)}: {html.escape(reason)}</li>" for name, reason in refused.items())
    guessed = [[_text(value) for value in row.values()] for row in estimates]
    about_estimates = "" if not estimates else (
        "\n<h2>Estimated without labels</h2>\n<p>Each with its 90 % interval, see estimate.</p>\n"
        f"{_table(list(estimates[0]), guessed)}"
    )  # fmt: skip
    path.write_text(
        f"<!DOCTYPE html>\n<html lang='en'><meta charset='utf-8'><title>Clustering backends</title><style>{STYLE}"
        f"</style>\n<h1>Clustering backends</h1>\n<p>{html.escape(about)}</p>\n{table}{about_estimates}\n"
        "<h2>Agreement</h2>\n"
        "<p>Adjusted Rand index of each pair: 1 for the same clusters, 0 for what chance gives.</p>\n"
        f"{_table(['', *names], cells)}\n" + (f"<h2>Left out</h2>\n<ul>{notes}</ul>\n" if notes else "") + "</html>\n",
        encoding="utf-8",
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "\n".join(
        "<tr>" + "".join(cell if cell.startswith("<td") else f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table>\n<tr>{head}</tr>\n{body}\n</table>"


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}" if isinstance(value, float) else str(value)


def _shaded(value: float) -> str:
    return f"<td style='background: hsl(210 70% {100 - 45 * max(value, 0):.0f}%)'>{value:.2f}</td>"
