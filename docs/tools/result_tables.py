"""Writes tables into pages from results/*.json: python docs/tools/result_tables.py [--check].

A file of results has the ``command`` that made it, ``commit``, ``seeds``, ``source`` (where the laboratory diary tells
more), ``columns`` and ``rows``. A column is a title and what stands below it:

    text      the value as it is
    spread    the mean of the values and, if there are several, ± half their range
    from      the gap that the backend of the column's title closes, out of the file that the row names
    gap       (labelled - row) / (labelled - supervised) in per cent, of the means of the values; its range over seeds

A row of another file, of the same seeds, stands there once: here it has ``same_as``, the ``results`` and their ``row``.

A table stands between ``<!-- table NAME -->`` and ``<!-- end -->``; NAME is a file of results.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PLACE_MARK = "<!-- table "
PLACE = re.compile(r"(<!-- table ([\w-]+) -->\n).*?(\n<!-- end -->)", re.DOTALL)
LOWER, UPPER = "labelled only", "fully supervised"
MISSING = ""


def pages() -> list[str]:
    """README.md and the pages that have a place for a table, relative to the repository."""
    found = [ROOT / "README.md", ROOT / "recipes" / "RESULTS.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path.relative_to(ROOT).as_posix() for path in found if PLACE_MARK in path.read_text(encoding="utf-8")]


def load(name: str) -> dict[str, Any]:
    """A file of results by its name, with the values of rows that are another file's."""
    results = json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))
    results["rows"] = [borrowed(row, results["seeds"]) for row in results["rows"]]
    return results


def borrowed(row: dict[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
    """A row with ``same_as``: the values of another file's row, of these seeds. Any other row is returned as it is."""
    if "same_as" not in row:
        return row
    other = load(row["same_as"]["results"])
    values = next(each for each in other["rows"] if each["row"] == row["same_as"]["row"])
    places = [other["seeds"].index(seed) for seed in seeds]
    return {key: [value[place] for place in places] for key, value in values.items() if key != "row"} | row


def table(results: Mapping[str, Any]) -> str:
    """Markdown of a table of results."""
    columns = results["columns"]
    head = "| " + " | ".join(column["title"] for column in columns) + " |"
    rule = "|" + "|".join("---" if column["key"] == "row" else "---:" for column in columns)
    rows = ["| " + " | ".join(cell(results, row, column) for column in columns) + " |" for row in results["rows"]]
    return "\n".join([head, rule + "|", *rows])


def cell(results: Mapping[str, Any], row: Mapping[str, Any], column: Mapping[str, Any]) -> str:
    """What stands in a row below a column."""
    key, show = column["key"], column["show"]
    if show == "from":
        return gap_of(row["from"], key)
    values = row.get(key)
    if values is None:
        return MISSING
    if show == "text":
        return str(values)
    if show == "gap":
        return gap(results, row, key)
    return spread(values, column.get("digits", 1))


def spread(values: Any, digits: int) -> str:
    """The mean of values ± half their range; a mapping has both already, a number has no spread."""
    if isinstance(values, Mapping):
        mean, half = values["mean"], values["half_range"]
    elif isinstance(values, Sequence):
        mean, half = sum(values) / len(values), (max(values) - min(values)) / 2
    else:
        return number(values, digits)
    return f"{number(mean, digits)} ±{number(half, digits)}"


def number(value: float, digits: int) -> str:
    """A number with so many digits, without the zero before the point of a fraction."""
    text = f"{value:,.{digits}f}"
    return text.removeprefix("0") if digits >= 3 and text.startswith("0.") else text


def gap(results: Mapping[str, Any], row: Mapping[str, Any], key: str) -> str:
    """Share of the gap between the bounds that a row closes: of the means, and from the least to the most of a seed."""
    if row["row"] in (LOWER, UPPER):
        return "0" if row["row"] == LOWER else "100"
    bounds = {each["row"]: seeds(each[key]) for each in results["rows"]}
    shares = [
        100 * (low - value) / (low - high)
        for low, value, high in zip(bounds[LOWER], seeds(row[key]), bounds[UPPER], strict=True)
    ]
    low, value, high = (sum(each) / len(each) for each in (bounds[LOWER], seeds(row[key]), bounds[UPPER]))
    return f"{100 * (low - value) / (low - high):.0f} ({min(shares):.0f} to {max(shares):.0f})"


def seeds(values: Any) -> Sequence[float]:
    """The values of the seeds, which a mapping has beside their mean."""
    return values["values"] if isinstance(values, Mapping) else values


def gap_of(name: str, backend: str) -> str:
    """The gap at FMR 1e-3 that a backend closes in a file of results; nothing where it was not run."""
    results = load(name)
    rows = [row for row in results["rows"] if row["row"] == backend]
    return gap(results, rows[0], "fnmr_1e-3") if rows else MISSING


def filled(text: str) -> str:
    """A page with its tables made anew."""
    return PLACE.sub(lambda found: f"{found[1]}\n{table(load(found[2]))}\n{found[3]}", text)


def main() -> None:
    """Writes the tables, or says which pages differ from what would be written."""
    parser = argparse.ArgumentParser(description="Writes the tables of results into the pages.")
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 where a page differs")
    check = parser.parse_args().check
    differ = []
    for name in pages():
        path = ROOT / name
        before = path.read_text(encoding="utf-8")
        after = filled(before)
        if before != after:
            differ.append(name)
            if not check:
                path.write_text(after, encoding="utf-8")
    print("\n".join(differ) or "all tables are as the results say")
    sys.exit(bool(differ) and check)


if __name__ == "__main__":
    main()
