"""The outcome of a recipe in the terminal: its main figures, and the sentence that says what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from facerec.pipeline.console import aligned
from facerec.pipeline.files import read_json, read_table

COLUMNS = {
    "pairwise_f": "Fp", "bcubed_f": "Fb", "purity": "purity, %", "fnmr": "FNMR@FMR {}, %",
    "group": "group", "fnir@1e-1": "FNIR@FPIR 1e-1, %", "gap_recovered": "gap recovered, %",
}  # fmt: skip


def outcome(report: Path) -> str:
    """The table of a report by `eval compare`, its summary, and where to look further.

    FNMR is that at the lowest FMR with enough errors in every row, ± its standard deviation over several trainings.
    Rows that share a letter in the column *group* cannot be told apart.
    """
    results = read_json(report / "meta.json")["results"]
    rows = read_table(report / "comparison.csv", ("row",))
    for row in rows:
        row["fnmr"] = row[f"fnmr@{results['fmr']}"]
        row["spread"] = f" ±{100 * float(row['fnmr_sd']):.1f}" if row.get("fnmr_sd") else ""
    shown = [name for name in COLUMNS if any(row.get(name) for row in rows)]
    cells = [["row", *(COLUMNS[name].format(results["fmr"]) for name in shown)]]
    cells += [[row["row"], *(_cell(name, row) for name in shown)] for row in rows]
    return "\n".join([*aligned(cells), "", results["summary"], f"Open {report}/report.html"])


def _cell(name: str, row: Mapping[str, str]) -> str:
    """Shares of clusters as shares, all others in per cent; nothing where there is nothing."""
    text = row[name]
    if not text or name == "group":
        return text
    if COLUMNS[name] in ("Fp", "Fb"):
        return f"{float(text):.3f}"
    return f"{100 * float(text):.1f}" + row["spread"] * (name == "fnmr")
