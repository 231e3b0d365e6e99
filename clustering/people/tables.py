"""The tables of an export: whose face each is, the people, and what has changed since an earlier export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clustering.people.owners import Earlier, People
from clustering.review.decision_files import checked_name
from facerec.pipeline.files import InputError, read_table, write_table

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
        cluster: np.ndarray = np.full(count, -1)
        cluster[person[::-1]] = self.labels[rows[::-1]]
        shown: list[int] | list[str] = [""] * count
        if self.photographs is not None:
            pairs = {(one, self.photographs[row]) for one, row in zip(person.tolist(), rows.tolist(), strict=True)}
            known = np.array([one for one, photograph in pairs if photograph], np.int64)
            photographs: np.ndarray = np.bincount(known, minlength=count)
            shown = photographs.tolist()
        marks = np.where(self.people.given, "yes", "").tolist()
        sizes: np.ndarray = np.bincount(person, minlength=count)
        doubtful = np.bincount(person, self.doubtful[rows], count).astype(int).tolist()
        columns = self.people.names, marks, cluster.tolist(), sizes.tolist(), doubtful, shown
        return list(zip(*columns, strict=True))


def read_earlier(folder: Path) -> Earlier:
    """Reads the names that an earlier export has.

    Raises:
        InputError: Not a folder of an export, or a name in its table of people that no folder can have, or no face has.
    """
    given = {row["person"] for row in read_table(folder / PEOPLE, PEOPLE_COLUMNS) if row["named"]}
    for name in sorted(given):
        try:
            checked_name(name)
        except InputError as error:
            raise InputError(f"{folder / PEOPLE}: {error}") from None
    faces = read_table(folder / FACES, FACE_COLUMNS[:2])
    if lost := sorted(given - {row["person"] for row in faces}):
        raise InputError(f"{folder / PEOPLE}: no face in {FACES} is of {lost[0]!r}; change a name in both tables")
    return Earlier({row["key"]: row["person"] for row in faces if row["person"] in given})
