"""A comparison as tables: comparison.csv, .md and .tex, metrics.json, intervals.csv and differences.csv."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from eval.bootstrap.resampling import interval
from eval.report.comparison import COLUMNS, Table
from eval.report.paired import all_differences, figure_of
from eval.report.runs import Run
from eval.report.summary import against_best, gap_note, points, summary, verdict
from facerec.pipeline.files import write_json, write_table


def write_tables(table: Table, out: Path) -> None:
    """Writes every table of a comparison into a folder; intervals and differences if runs have bootstrap samples."""
    write_json(out / "metrics.json", {run.name: _metrics(run, table) for run in table.runs})
    write_table(out / "comparison.csv", ["row", *(column.key for column in COLUMNS)], _csv_rows(table))
    (out / "comparison.md").write_text(markdown(table), encoding="utf-8")
    (out / "comparison.tex").write_text(latex(table), encoding="utf-8")
    if any(run.samples for run in table.runs):
        _write_intervals(table, out)


def markdown(table: Table) -> str:
    """The table for a README, without empty columns; the best backend's figures in bold, rates in per cent."""
    headings = ["row", *(column.title for column in table.columns)]
    lines = [headings, ["---", *["---:"] * len(table.columns)]]
    for index, run in enumerate(table.runs):
        texts = [table.text(index, column) for column in table.columns]
        best = [table.is_best(index, column) for column in table.columns]
        lines.append(
            [_plain(run.name), *(f"**{text}**" if bold else text for text, bold in zip(texts, best, strict=True))]
        )
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    compared = "\n".join(f"| {' | '.join(line)} |" for line in _paired_lines(table))
    return f"{text}\n\n{_plain(summary(table))}\n\nGap recovered: {gap_note(table)}\n" + (
        f"\n{compared}\n" if compared else ""
    )


def latex(table: Table) -> str:
    """The table for a paper (needs the package booktabs), without empty columns, the best backend's figures in bold."""
    lines = [" & ".join(["row", *(_escaped(column.title) for column in table.columns)])]
    for index, run in enumerate(table.runs):
        cells = [_escaped(table.text(index, column)) for column in table.columns]
        best = [table.is_best(index, column) for column in table.columns]
        cells = [rf"\textbf{{{cell}}}" if bold else cell for cell, bold in zip(cells, best, strict=True)]
        lines.append(" & ".join([_escaped(run.name), *cells]))
    body = " \\\\\n".join(lines[1:])
    columns = "l" + "r" * len(table.columns)
    return (
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{lines[0]} \\\\\n\\midrule\n{body} \\\\\n"
        "\\bottomrule\n\\end{tabular}\n"
    )


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


def _write_intervals(table: Table, out: Path) -> None:
    """Every figure of every run with its interval, and every difference between two runs with its."""
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


def _paired_lines(table: Table) -> list[list[str]]:
    differences = against_best(table)
    if not differences:
        return []
    heading = f"FNMR@{table.fmr} less that of {_plain(differences[0].other)}, points"
    rows = [
        [
            _plain(each.run),
            points(each.value),
            f"{points(each.low)} to {points(each.high)}",
            f"{each.p:.3f}",
            verdict(each),
        ]
        for each in differences
    ]
    return [["row", heading, "95 % interval", "p", "verdict"], ["---", "---:", "---:", "---:", "---"], *rows]


def _plain(text: str) -> str:
    """Text for Markdown, in which no letter means anything."""
    return re.sub(r"[\\`*\[\]<>|~$]|\b_|_\b", r"\\\g<0>", " ".join(text.split()))


def _escaped(text: str) -> str:
    """Text for LaTeX."""
    marks = {letter: f"\\{letter}" for letter in "%_&#${}"} | {
        "−": "$-$", "–": "--", "†": r"\dag", "‡": r"\ddag", "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    }  # fmt: skip
    return "".join(marks.get(letter, letter) for letter in text)
