"""A comparison as tables: comparison.csv, .md and .tex, metrics.json, intervals.csv and differences.csv."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from eval.bootstrap.resampling import interval
from eval.comparison.paired import all_differences
from eval.comparison.runs import Run
from eval.comparison.several import figure_of
from eval.comparison.summary import gap_note, points, summary, verdict
from eval.comparison.table import COLUMNS, MARKS, Table
from facerec.pipeline.files import write_json, write_table


def write_tables(table: Table, out: Path) -> None:
    """Writes every table of a comparison into a folder; intervals and differences if runs have bootstrap samples."""
    write_json(out / "metrics.json", {run.name: _metrics(run, table) for run in table.runs})
    write_table(
        out / "comparison.csv", ["row", *(column.key for column in COLUMNS), "fnmr_sd", "group"], _csv_rows(table)
    )
    (out / "comparison.md").write_text(markdown(table), encoding="utf-8")
    (out / "comparison.tex").write_text(latex(table), encoding="utf-8")
    if any(run.samples for run in table.runs):
        _write_intervals(table, out)
    if any(run.trainings for run in table.runs):
        _write_trainings(table.runs, out)


def markdown(table: Table) -> str:
    """The table for a README, without empty columns; the best backend's figures in bold, rates in per cent."""
    headings = ["row", *(column.title for column in table.columns)]
    lines = [headings, ["---", *["---:"] * len(table.columns)]]
    for index, run in enumerate(table.runs):
        lines.append([_plain(run.name), *(f"**{text}**" if best else text for text, best in table.cells(index))])
    parts = [
        _piped(_group_lines(table)),
        _piped(lines),
        _key(table, lines),
        f"Gap recovered: {gap_note(table)}",
        _piped(_paired_lines(table)),
    ]
    return "\n\n".join(part for part in (_plain(summary(table)), *parts) if part) + "\n"


def _key(table: Table, lines: list[list[str]]) -> str:
    """What is bold, and what the marks in a table say."""
    cells = "".join(cell for line in lines[2:] for cell in line[1:])
    said = (
        ["Bold: the best number of a backend in a column, whether or not it is established."] if "**" in cells else []
    )
    if "±" in cells:
        said.append(f"± is the standard deviation over {max(run.count for run in table.runs)} trainings.")
    return " ".join([*said, *(f"{mark} {text}" for mark, text in MARKS.items() if mark in cells)])


def _piped(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def latex(table: Table) -> str:
    """The table for a paper (needs the package booktabs), without empty columns, the best backend's figures in bold."""
    lines = [" & ".join(["row", *(_escaped(column.title) for column in table.columns)])]
    for index, run in enumerate(table.runs):
        cells = [rf"\textbf{{{_escaped(text)}}}" if best else _escaped(text) for text, best in table.cells(index)]
        lines.append(" & ".join([_escaped(run.name), *cells]))
    body = " \\\\\n".join(lines[1:])
    columns = "l" + "r" * len(table.columns)
    return (
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{lines[0]} \\\\\n\\midrule\n{body} \\\\\n"
        "\\bottomrule\n\\end{tabular}\n"
    )


def _csv_rows(table: Table) -> list[list[Any]]:
    return [
        [
            run.name,
            *("" if row[column.key] is None else row[column.key] for column in COLUMNS),
            float(np.std(run.values(f"fnmr@{table.fmr}"), ddof=1)) if run.count > 1 else "",
            table.compared.letters(run.name) if table.compared else "",
        ]
        for run, row in zip(table.runs, table.values, strict=True)
    ]


def group_rows(table: Table) -> list[tuple[Run, str, str]]:
    """The rows that were compared, lowest FNMR first: run, FNMR, letters."""
    compared = table.compared
    if compared is None:
        return []
    column = next(column for column in COLUMNS if column.key == f"fnmr@{table.fmr}")
    places = [index for index, run in enumerate(table.runs) if run.name in compared.names]
    ranked = sorted(places, key=lambda index: table.fnmr(table.runs[index].name))
    return [
        (table.runs[index], table.text(index, column), compared.letters(table.runs[index].name)) for index in ranked
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


def _write_trainings(runs: list[Run], out: Path) -> None:
    """Writes trainings.csv: every figure of every training."""
    lines = [
        [run.name, number, figure, figure_of(metrics, figure)]
        for run in runs
        for number, metrics in enumerate(run.each)
        for figure in run.samples
    ]
    write_table(out / "trainings.csv", ["row", "training", "figure", "value"], lines)


def _write_intervals(table: Table, out: Path) -> None:
    """Writes intervals.csv, the intervals of all figures over people, and differences.csv, those of two runs each."""
    ends = [
        [run.name, figure, run.values(figure).mean(), *(interval(samples.mean(axis=0)) or ("", ""))]
        for run in table.runs
        for figure, samples in run.samples.items()
    ]
    write_table(out / "intervals.csv", ["row", "figure", "value", "low", "high"], ends)
    rows = [
        [each.figure, each.run, each.other, each.value, each.low, each.high, each.p, each.adjusted]
        for each in all_differences(table.runs, table.training_sd)
    ]
    columns = ["figure", "row", "other", "difference", "low", "high", "p", "p_holm"]
    write_table(out / "differences.csv", columns, rows)


def _group_lines(table: Table) -> list[list[str]]:
    rows = [[_plain(run.name), text, letters] for run, text, letters in group_rows(table)]
    return [["row", f"FNMR@{table.fmr} %", "group"], ["---", "---:", "---"], *rows] if rows else []


def _paired_lines(table: Table) -> list[list[str]]:
    if table.compared is None:
        return []
    rows = [
        [
            _plain(f"{each.run} − {each.other}"),
            points(each.value),
            f"{points(each.low)} to {points(each.high)}",
            f"{each.adjusted:.3f}",
            _plain(verdict(each)),
        ]
        for each in table.compared.pairs()
    ]
    heading = f"difference of FNMR@{table.fmr}, points"
    return [["rows", heading, "95 % interval", "p (Holm)", "verdict"], ["---", "---:", "---:", "---:", "---"], *rows]


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
