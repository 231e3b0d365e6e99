"""The file of questions and answers: two faces, and whether a person says that they are the same."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clustering.answers.implied import implied
from clustering.graph.constraints import MOST_SHOWN, Constraints
from facerec.pipeline.counts import counted
from facerec.pipeline.files import InputError, read_json, write_json
from facerec.pipeline.label_files import keys_beside
from facerec.pipeline.values import as_array, first_repeated, refuse_repeated, shown

logger = logging.getLogger(__name__)
ANSWERS = "answers.json"
"""In the folder of a clustering: the answers that it was made with."""
WORDS = ("different", "same", "unsure")
DIFFERENT, SAME, UNSURE = range(3)
NEEDED = {"faces", "answer"}


@dataclass(frozen=True)
class Answers:
    """Questions about pairs of faces, and their answers.

    Attributes:
        pairs: int64 [m, 2], rows.
        answer: int64 [m]: `DIFFERENT`, `SAME` or `UNSURE`, also of questions that nobody has answered.
        log_odds: float64 [m], that both are one person, when the question was asked; NaN if that is unknown.

    Raises:
        InputError: The shapes or types do not fit, or there is another answer.
    """

    pairs: np.ndarray
    answer: np.ndarray
    log_odds: np.ndarray

    def __post_init__(self) -> None:
        arrays = {name: as_array(name, getattr(self, name)) for name in ("pairs", "answer", "log_odds")}
        count, shapes = arrays["answer"].size, [array.shape for array in arrays.values()]
        if shapes != [(count, 2), (count,), (count,)]:
            found = ", ".join(str(list(shape)) for shape in shapes)
            raise InputError(f"pairs, answer, log_odds: {found}; expected shapes [m, 2], [m], [m]")
        for (name, array), kinds in zip(arrays.items(), ("iu", "iu", "fiu"), strict=True):
            if array.dtype.kind not in kinds:
                raise InputError(f"{name}: {array.dtype}; expected {'floats' if 'f' in kinds else 'integers'}")
            object.__setattr__(self, name, array)
        if not np.isin(self.answer, range(len(WORDS))).all():
            raise InputError(f"answer: {shown(self.answer)}; expected 0 (different), 1 (same) or 2 (unsure)")

    @classmethod
    def none(cls) -> Answers:
        """No question at all."""
        return cls(np.zeros((0, 2), np.int64), np.zeros(0, np.int64), np.zeros(0))

    def __len__(self) -> int:
        return len(self.pairs)

    def followed_by(self, others: Answers) -> Answers:
        """These answers, and the others after them."""
        return Answers(
            np.concatenate([self.pairs, others.pairs]),
            np.concatenate([self.answer, others.answer]),
            np.concatenate([self.log_odds, others.log_odds]),
        )

    def answered(self, truth: np.ndarray) -> Answers:
        """The same questions, answered by identities, int64 [n]; unsure where one is unknown (-1)."""
        a, b = truth[self.pairs].T
        answer = np.where((a < 0) | (b < 0), UNSURE, np.where(a == b, SAME, DIFFERENT))
        return Answers(self.pairs, answer, self.log_odds)

    def constraints(self, rows: int, names: Sequence[str] = ()) -> Constraints:
        """What is known about `rows` faces by the answers that are sure."""
        sure = self.answer != UNSURE
        return Constraints(rows, self.pairs[sure], self.answer[sure] == SAME, names)


def keys_hash(keys: Sequence[str]) -> str:
    """SHA-256 of faces' keys, in hexadecimal: which faces a file speaks of by rows."""
    return hashlib.sha256("\n".join(keys).encode("utf-8", "surrogateescape")).hexdigest()


def load_answers(path: Path, rows: int, keys: Sequence[str] | None) -> Answers:
    """Reads answers: JSON ``{"answers": [{"faces": [A, B], "answer": "same"}, ...]}``.

    A face is a key, or its row if the faces have no keys. The review page saves such answers in decisions.json, by
    rows, with the hash of the keys as ``faces``. They outlive the clustering that was reviewed. Answers by key also
    outlive faces: those about faces that are gone are left out, which is said, if at least half are about faces here.
    What follows from them about faces here is kept.

    Args:
        path: The file.
        rows: Number of faces.
        keys: Their names, or None.

    Raises:
        InputError: Not such a file, other faces (by key: of more than half of the answers), keys that do not tell faces
            apart, unknown answers, one face twice, or contradictions.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("answers"), list):
        old = isinstance(content, dict) and "decisions" in content
        hint = "it has decisions about numbers of clusters alone; open the review page again, load it and save it"
        raise InputError(f"{path}: {hint if old else 'not a file of answers; expected {answers: [...]}, see ask'}")
    _tell_lost(path, content.get("decisions"))
    by_row = keys is None or "faces" in content
    if keys is not None and "faces" in content and content["faces"] != keys_hash(keys):
        raise InputError(
            f"{path}: answers about other faces; give the embeddings of the faces that were reviewed. If there are "
            f"more faces now, cluster those with --answers first: {ANSWERS} in that folder fits further faces, too"
        )
    places = None
    if keys is not None and not by_row:
        refuse_repeated(f"{path}: answers by key", keys)
        places = {key: row for row, key in enumerate(keys)}
    pairs, answer, log_odds, gone, lost = [], [], [], [], []
    for number, item in enumerate(content["answers"]):
        try:
            pair = _pair(item, places, rows)
        except _GoneError as error:
            gone.append(f"answer {number}: {error}")
            lost.append(item)
            continue
        except InputError as error:
            raise InputError(f"{path}: answer {number}: {error}") from None
        pairs.append(pair)
        answer.append(WORDS.index(item["answer"]))
        log_odds.append(item.get("log_odds", np.nan))
    if len(gone) > len(pairs):
        raise InputError(f"{path}: {gone[0]}")
    found = Answers(np.array(pairs, np.int64).reshape(-1, 2), np.array(answer, np.int64), np.array(log_odds, float))
    if gone and places is not None:
        further = _implied(path, found, lost, places)
        total, kept = counted(len(gone) + len(pairs), "answer"), counted(len(further), "answer")
        logger.warning(
            "%s: %s of %s left out, about faces that are not here; %s%s", path, len(gone), total, gone[0],
            f"; what follows from them is kept: {kept}" * (len(further) > 0),
        )  # fmt: skip
        found = found.followed_by(further)
    found.constraints(rows, keys or ()).checked(str(path))
    return found


def _implied(path: Path, found: Answers, lost: Sequence[dict[str, Any]], places: dict[str, int]) -> Answers:
    """What follows from answers about faces that are gone, see `implied`."""
    numbers = dict(places)
    ends = [[numbers.setdefault(str(face), len(numbers)) for face in item["faces"]] for item in lost]
    words = np.array([WORDS.index(item["answer"]) for item in lost])
    all_pairs = np.concatenate([found.pairs, np.array(ends, np.int64)])
    everything = Answers(all_pairs, np.append(found.answer, words), np.zeros(len(all_pairs)))
    known = everything.constraints(len(numbers), list(numbers)).checked(str(path))
    further = implied(known, len(places))
    return Answers(further.pairs, np.where(further.same, SAME, DIFFERENT), np.full(len(further), np.nan))


def answers_of(clusters: Path, rows: int, keys: Sequence[str] | None) -> Answers:
    """The answers that clusters were made with, a folder or labels.npy in it; none for other clusters.

    They name faces as the folder does; only if it names none, by the keys that are given.
    """
    folder = folder_of(clusters)
    file = folder / ANSWERS
    return load_answers(file, rows, keys_beside(folder, rows) or keys) if file.is_file() else Answers.none()


def folder_of(clusters: Path) -> Path:
    """The folder of a clustering that is given by itself or by its labels.npy."""
    return clusters.parent if clusters.name == "labels.npy" else clusters


def save_answers(path: Path, answers: Answers, keys: Sequence[str] | None) -> None:
    """Writes answers as `load_answers` reads them.

    They are by key, so they also fit these faces among others. If two faces have one key, they are by row, with the
    hash of the keys.
    """
    if keys is None or first_repeated(keys) is None:
        write_json(path, {"answers": as_items(answers, keys)})
    else:
        write_json(path, {"faces": keys_hash(keys), "answers": as_items(answers, None)})


def as_items(answers: Answers, keys: Sequence[str] | None) -> list[dict[str, Any]]:
    """Answers as they stand in the file."""
    columns = zip(answers.pairs.tolist(), answers.answer.tolist(), answers.log_odds.tolist(), strict=True)
    return [
        {"faces": [row if keys is None else keys[row] for row in pair], "answer": WORDS[answer]}
        | ({} if np.isnan(log_odds) else {"log_odds": round(log_odds, 4)})
        for pair, answer, log_odds in columns
    ]  # fmt: skip


class _GoneError(InputError):
    """A face is named that is not among the faces."""


def _tell_lost(path: Path, decisions: Any) -> None:
    """Says which decisions of the page of review are not about pairs of faces."""
    actions = (
        [item.get("action") for item in decisions if isinstance(item, dict)] if isinstance(decisions, list) else []
    )
    drops, names = actions.count("drop"), actions.count("name")
    if drops or names:
        logger.warning(
            "%s: %s and %s are no answers about pairs of faces, so another clustering does not know them",
            path, counted(drops, "dropped cluster"), counted(names, "name"),
        )  # fmt: skip


def _pair(item: Any, places: dict[str, int] | None, rows: int) -> list[int]:
    if not isinstance(item, dict) or not NEEDED <= set(item) <= {*NEEDED, "log_odds"}:
        raise InputError(f"{str(item)[:40]}; expected exactly 'faces' and 'answer'")
    if item["answer"] not in WORDS:
        raise InputError(f"{str(item['answer'])[:40]!r}; expected one of {', '.join(WORDS)}")
    if type(item.get("log_odds", 0.0)) not in (int, float) or not abs(item.get("log_odds", 0.0)) < 1e6:
        raise InputError(f"log_odds is {str(item['log_odds'])[:40]}; expected a number, as ask writes it")
    faces = item["faces"]
    if not isinstance(faces, list) or len(faces) != 2:
        raise InputError(f"faces are {str(faces)[:40]}; expected two")
    pair = [_row(face, places, rows) for face in faces]
    if pair[0] == pair[1]:
        raise InputError(f"face {str(faces[0])[:MOST_SHOWN]!r} twice; expected two faces")
    return pair


def _row(face: Any, places: dict[str, int] | None, rows: int) -> int:
    unknown = f"face {str(face)[:MOST_SHOWN]!r} is unknown; expected"
    if places is None:
        if type(face) is int and 0 <= face < rows:
            return face
        named = ", as these faces have no keys.txt; or give the embeddings with it" * isinstance(face, str)
        raise InputError(f"{unknown} a row from 0 to {rows - 1}{named}")
    if not isinstance(face, str):
        raise InputError(f"{unknown} a key of the embeddings")
    if face not in places:
        raise _GoneError(f"{unknown} a key of the embeddings")
    return places[face]
