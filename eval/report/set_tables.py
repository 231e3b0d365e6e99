"""The tables of a labelled set as CSV files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.all_pairs.units import Units
from eval.all_pairs.worst import WorstPair
from eval.metrics.discard import DiscardCurve
from facerec.pipeline.files import write_table

DISCARD_STEPS = 100
PAIR_COLUMNS = (
    "kind", "reading", "score", "first", "second", "first_label", "second_label", "first_with_own", "second_with_own",
    "first_with_other", "second_with_other", "pairs",
)  # fmt: skip
RATES = ("fmr", "fmr_interval", "fmr_ratio", "fmr_errors", "fmr_pairs",
         "fnmr", "fnmr_interval", "fnmr_ratio", "fnmr_errors", "fnmr_pairs")  # fmt: skip


def face_name(units: Units, keys: Sequence[str] | None, position: int) -> str:
    """The key of the face that stands for a unit, or its row."""
    row = int(units.face[position])
    return keys[row] if keys else f"row {row}"


def write_pairs(path: Path, worst: Sequence[WorstPair], units: Units, keys: Sequence[str] | None) -> None:
    """Writes pairs.csv, a line for each of the worst pairs."""
    rows = []
    for pair in worst:
        labels = [int(units.labels[units.subject[position]]) for position in pair.units]
        means = ["" if value != value else round(value, 4) for value in (*pair.own, *pair.other)]
        names = [face_name(units, keys, position) for position in pair.units]
        rows.append([pair.kind, pair.reading, round(pair.score, 6), *names, *labels, *means, pair.pairs])
    write_table(path, PAIR_COLUMNS, rows)


def write_discard(path: Path, curves: Mapping[str, DiscardCurve]) -> None:
    """Writes discard.csv: the FNMR of what is left, by each quality."""
    shares = [step / DISCARD_STEPS for step in range(DISCARD_STEPS)]
    rows = [[share, *(curve.at(share) for curve in curves.values())] for share in shares]
    write_table(path, ["discarded", *(f"fnmr_{name}" for name in curves)], rows)


def write_groups(path: Path, attributes: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes groups.csv: a line for each group, and one for each two groups."""
    rows = []
    for attribute, entry in attributes.items():
        for word, of in entry["within"].items():
            rows.append([attribute, word, word, *_cells(of)])
        for of in entry["across"]:
            rows.append([attribute, *of["groups"], *_cells(of)])
    header = [part for name in RATES for part in _headings(name)]
    write_table(path, ["attribute", "group", "other", *header], rows)


def _headings(name: str) -> list[str]:
    return [name.replace("interval", end) for end in ("low", "high")] if name.endswith("_interval") else [name]


def _cells(of: Mapping[str, Any]) -> list[Any]:
    cells: list[Any] = []
    for name in RATES:
        value = of.get(name)
        cells += (value or ["", ""]) if name.endswith("_interval") else ["" if value is None else value]
    return cells
