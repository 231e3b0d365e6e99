"""The outcome of a recipe in the terminal: its main figures, and the sentence that says what they mean."""

from __future__ import annotations

import csv
import json
from pathlib import Path

COLUMNS = {
    "pairwise_f": "Fp", "bcubed_f": "Fb", "purity": "purity, %", "fnmr": "FNMR@FMR {}, %",
    "fnir@1e-1": "FNIR@FPIR 1e-1, %", "gap_recovered": "gap recovered, %",
}  # fmt: skip


def outcome(report: Path) -> str:
    """The table of a report by `eval compare`, its summary, and where to look further.

    FNMR is that at the lowest FMR with enough errors in every row.
    """
    results = json.loads((report / "meta.json").read_text(encoding="utf-8"))["results"]
    with (report / "comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["fnmr"] = row[f"fnmr@{results['fmr']}"]
    shown = [name for name in COLUMNS if any(row.get(name) for row in rows)]
    cells = [["row", *(COLUMNS[name].format(results["fmr"]) for name in shown)]]
    cells += [[row["row"], *(_cell(name, row[name]) for name in shown)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join([*lines, "", results["summary"], f"Open {report}/report.html"])


def _cell(name: str, text: str) -> str:
    """Shares of clusters as shares, all others in per cent; nothing where there is nothing."""
    if not text:
        return ""
    return f"{float(text):.3f}" if COLUMNS[name] in ("Fp", "Fb") else f"{100 * float(text):.1f}"
