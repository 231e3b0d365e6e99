"""Answers to "the same person?" about pairs of faces: must-links and cannot-links that a clustering has to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from clustering.partition import components, consecutive
from facerec.pipeline.files import InputError, read_json, write_json

MOST_SHOWN = 40
ANSWERS = ("same", "different", "unsure")


@dataclass(frozen=True)
class Constraints:
    """What is known about pairs of n faces.

    Attributes:
        rows: n.
        pairs: int64 [m, 2], rows.
        same: Bool [m]: True for one person (must-link), False for two (cannot-link).
        names: The faces' keys, for messages; or nothing.
    """

    rows: int
    pairs: np.ndarray
    same: np.ndarray
    names: Sequence[str] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.pairs)

    @cached_property
    def person(self) -> np.ndarray:
        """Int64 [n]: faces that must be together, directly or through others, have one number."""
        return components(self.rows, *self.pairs[self.same].T)

    @cached_property
    def linked(self) -> np.ndarray:
        """Int64: the rows that must be with another one."""
        return np.unique(self.pairs[self.same])

    @property
    def apart(self) -> np.ndarray:
        """Int64 [a, 2]: the pairs that must not be together."""
        return self.pairs[~self.same]

    def contradictions(self) -> list[str]:
        """A line for each pair that must be apart and, through others, together."""
        torn = self.apart[self.person[self.apart[:, 0]] == self.person[self.apart[:, 1]]]
        return [
            f"{self._name(a)} and {self._name(b)} are different people, but the same through other answers; "
            "take one back" for a, b in torn.tolist()
        ]  # fmt: skip

    def of_nodes(self, node: np.ndarray) -> Constraints:
        """The same about nodes that stand for several faces each, int64 [n]; pairs within a node are left out."""
        pairs = node[self.pairs]
        kept = pairs[:, 0] != pairs[:, 1]
        return Constraints(int(node.max(initial=-1)) + 1, pairs[kept], self.same[kept])

    def corrected(self, labels: np.ndarray) -> np.ndarray:
        """Labels that keep them, for a backend that cannot: a correction after it.

        Clusters of faces that must be together are merged. Of two faces that must be apart and share a cluster, the one
        with fewer must-links leaves it, with the faces that it must be with.

        Args:
            labels: int64 [n]; -1 for unassigned, which stay so unless they must be with another one.

        Returns:
            int64 [n], consecutive from 0.
        """
        count = int(labels.max(initial=-1)) + 1
        free = self.linked[labels[self.linked] < 0]
        found = np.array(labels, np.int64)
        found[free] = count + np.arange(len(free))
        total = count + len(free)
        found = np.where(found < 0, -1, components(total + 1, *found[self.pairs[self.same]].T)[found])
        links = np.bincount(self.person, minlength=1)
        while len(torn := self.violated(found)):
            persons = self.person[torn[0]]
            found[self.person == persons[np.argmin(links[persons])]] = found.max() + 1
        return consecutive(found)

    def violated(self, labels: np.ndarray) -> np.ndarray:
        """Int64 [v, 2]: the pairs that must be apart and share a cluster."""
        a, b = labels[self.apart].T
        return self.apart[(a == b) & (a >= 0)]

    def _name(self, row: int) -> str:
        return repr(self.names[row][-MOST_SHOWN:]) if len(self.names) else f"row {row}"


def load_answers(path: Path, rows: int, keys: Sequence[str] | None) -> Constraints:
    """Reads answers: JSON ``{"answers": [{"faces": [A, B], "answer": "same"}, ...]}``.

    Args:
        path: The file. A face is a key, or its row where the faces have no keys; the answer is one of `ANSWERS`.
        rows: Number of faces.
        keys: Their names, or None.

    Raises:
        InputError: Not such a file, unknown faces or answers, two rows alike, or answers that contradict each other.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("answers"), list):
        raise InputError(f"{path}: not a file of answers; expected {{'answers': [...]}}, as ask makes it")
    places = {} if keys is None else {key: row for row, key in enumerate(keys)}
    pairs, same = [], []
    for number, item in enumerate(content["answers"]):
        try:
            pair, answer = _pair(item, places, rows)
        except InputError as error:
            raise InputError(f"{path}: answer {number}: {error}") from None
        if answer != "unsure":
            pairs.append(pair)
            same.append(answer == "same")
    found = Constraints(rows, np.array(pairs, np.int64).reshape(-1, 2), np.array(same, bool), keys or ())
    if torn := found.contradictions():
        raise InputError(f"{path}: {len(torn)} contradictions: {torn[0]}")
    return found


def save_answers(path: Path, pairs: np.ndarray, same: np.ndarray, keys: Sequence[str] | None) -> None:
    """Writes answers about pairs of rows, int64 [m, 2], as `load_answers` reads them."""
    faces = [[row if keys is None else keys[row] for row in pair] for pair in pairs.tolist()]
    words = [ANSWERS[0] if yes else ANSWERS[1] for yes in same.tolist()]
    write_json(path, {"answers": [{"faces": f, "answer": w} for f, w in zip(faces, words, strict=True)]})


def _pair(item: Any, places: dict[str, int], rows: int) -> tuple[list[int], str]:
    if not isinstance(item, dict) or set(item) != {"faces", "answer"}:
        raise InputError(f"{str(item)[:40]}; expected exactly 'faces' and 'answer'")
    if item["answer"] not in ANSWERS:
        raise InputError(f"{str(item['answer'])[:40]!r}; expected one of {', '.join(ANSWERS)}")
    faces = item["faces"]
    if not isinstance(faces, list) or len(faces) != 2:
        raise InputError(f"faces are {str(faces)[:40]}; expected two")
    pair = [_row(face, places, rows) for face in faces]
    if pair[0] == pair[1]:
        raise InputError(f"face {str(faces[0])[:MOST_SHOWN]!r} twice; expected two faces")
    return pair, item["answer"]


def _row(face: Any, places: dict[str, int], rows: int) -> int:
    if isinstance(face, str) and face in places:
        return places[face]
    if not places and type(face) is int and 0 <= face < rows:
        return face
    wanted = "a key of the embeddings" if places else f"a row from 0 to {rows - 1}"
    raise InputError(f"face {str(face)[:MOST_SHOWN]!r} is unknown; expected {wanted}")
