"""The tables of an export: whose face each is, the people, and what has changed since an earlier export."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clustering.people.owners import Earlier, People
from facerec.pipeline.files import cell_text, write_table
from facerec.pipeline.reading import InputError, read_lines, readable

FACES, PEOPLE, CHANGES = "faces.csv", "people.csv", "changes.csv"
FACE_COLUMNS = ("key", "person", "cluster", "confidence", "doubtful", "file", "photograph")
PEOPLE_COLUMNS = ("person", "named", "cluster", "faces", "doubtful", "photographs")


@dataclass(frozen=True)
class Export:
    """All that is known about exported faces, row by row.

    Attributes:
        keys: Keys of the n faces.
        labels: int64 [n], clusters; -1 for unassigned.
        people: Whose face each is.
        confidence: float32 [n] in [0, 1].
        doubtful: Bool [n]: whose place is not sure enough; faces of nobody never are.
        photographs: The photograph that each face is from, or None if it is not known.
    """

    keys: list[str]
    labels: np.ndarray
    people: People
    confidence: np.ndarray
    doubtful: np.ndarray
    photographs: list[str] | None

    def write(self, out: Path, files: Sequence[str]) -> None:
        """Writes `FACES` and `PEOPLE`.

        Args:
            out: An existing folder.
            files: Each face's place below it, or nothing.
        """
        marks = np.where(self.doubtful, "yes", "").tolist()
        rounded = [f"{value:.4f}" for value in self.confidence.tolist()]
        photographs = self.photographs or [""] * len(self.keys)
        write_table(out / FACES, FACE_COLUMNS, zip(
            self.keys, self.people.owners(), self.labels.tolist(), rounded, marks, files, photographs, strict=True
        ))  # fmt: skip
        write_table(out / PEOPLE, PEOPLE_COLUMNS, self._people())

    def _people(self) -> list[tuple[str, str, int, int, int, int | str]]:
        count = len(self.people.names)
        rows = np.flatnonzero(self.people.person >= 0)
        person = self.people.person[rows]
        cluster = np.full(count, -1)
        cluster[person[::-1]] = self.labels[rows[::-1]]
        shown: list[int] | list[str] = [""] * count
        if self.photographs is not None:
            number = np.unique(np.array(self.photographs), return_inverse=True)[1]
            pairs = np.unique(np.stack([person, number[rows]]), axis=1)
            shown = np.bincount(pairs[0], minlength=count).tolist()
        marks = np.where(self.people.given, "yes", "").tolist()
        sizes = np.bincount(person, minlength=count).tolist()
        doubtful = np.bincount(person, self.doubtful[rows], count).astype(int).tolist()
        return list(zip(self.people.names, marks, cluster.tolist(), sizes, doubtful, shown, strict=True))


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Reads a CSV file with a header, as `facerec.pipeline.files.write_table` writes it.

    Raises:
        InputError: Not such a file, or without one of the columns.
    """
    with readable(path, "CSV"):
        lines = list(csv.reader(f"{line}\n" for line in read_lines(path)))
    header = lines[0] if lines else []
    if missing := [name for name in columns if name not in header]:
        raise InputError(f"{path}: no column {', '.join(missing)}; it has {', '.join(header)[:80] or 'nothing'}")
    if wrong := next((number for number, line in enumerate(lines, 1) if len(line) != len(header)), None):
        raise InputError(f"{path}: line {wrong} has {len(lines[wrong - 1])} fields for {len(header)} columns")
    return [dict(zip(header, map(cell_text, line), strict=True)) for line in lines[1:]]


def read_earlier(folder: Path) -> Earlier:
    """Reads the names that an earlier export has.

    Raises:
        InputError: Not a folder of an export.
    """
    given = {row["person"] for row in read_table(folder / PEOPLE, PEOPLE_COLUMNS) if row["named"]}
    faces = read_table(folder / FACES, FACE_COLUMNS[:2])
    return Earlier({row["key"]: row["person"] for row in faces if row["person"] in given})
