"""The worst pairs as a page shows them: with pictures where there are thumbnails of their faces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from eval.comparison.table import Table
from eval.report.worst_pairs import GENUINE, IMPOSTOR
from facerec.pipeline.thumbnails import Thumbnails

HEADINGS = {IMPOSTOR: "Impostor pairs with the highest scores", GENUINE: "Genuine pairs with the lowest scores"}


def shown_pairs(table: Table, thumbnails: Thumbnails | None) -> list[dict[str, Any]]:
    """The worst pairs of each row that has them; those of the lowest FNMR are open.

    Args:
        table: The runs.
        thumbnails: Thumbnails of the test faces. A face is looked up by its name, else by its file's name without the
            suffix.
    """
    runs = [run for run in table.runs if run.worst]
    best = min((run for run in runs if run.is_backend), key=lambda run: table.fnmr(run.name), default=None)
    rows = {} if thumbnails is None else _rows(thumbnails)
    shown = []
    for run in runs:
        threshold = table.threshold(run.name)
        kinds = [
            (heading, [_shown(pair, threshold, rows, thumbnails) for pair in run.worst if pair["kind"] == kind])
            for kind, heading in HEADINGS.items()
        ]
        shown.append({"name": run.name, "threshold": threshold, "open": run is (best or runs[0]), "kinds": kinds})
    return shown


def _shown(
    pair: Mapping[str, str], threshold: float, rows: Mapping[str, int], thumbnails: Thumbnails | None
) -> dict[str, Any]:
    """A pair with its verdict at the threshold."""
    score = float(pair["score"])
    verdict = "false match" if pair["kind"] == IMPOSTOR and score >= threshold else ""
    verdict = "false non-match" if pair["kind"] == GENUINE and score < threshold else verdict
    names = [pair["first_face"], pair["second_face"]]
    faces = [
        {"name": name.encode("utf-8", "replace").decode(), "picture": _picture(name, rows, thumbnails)}
        for name in names
    ]
    return {"score": score, "verdict": verdict, "faces": faces}


def _rows(thumbnails: Thumbnails) -> dict[str, int]:
    """Names of faces and of their files to rows; a name of two faces stands for neither."""
    rows: dict[str, int] = {}
    twice: set[str] = set()
    for row, key in enumerate(thumbnails.keys):
        stem = PurePosixPath(key).stem
        twice |= {stem} & rows.keys()
        rows.setdefault(stem, row)
    counts = Counter(thumbnails.keys)
    named = {key: row for row, key in enumerate(thumbnails.keys) if counts[key] == 1}
    return {name: row for name, row in rows.items() if name not in twice} | named


def _picture(name: str, rows: Mapping[str, int], thumbnails: Thumbnails | None) -> str:
    """The picture of a face as a data URL; empty where there is none."""
    row = rows.get(name, rows.get(PurePosixPath(name).stem))
    return "" if thumbnails is None or row is None else thumbnails.as_url(row)
