"""Lists of verification pairs: LFW's own format and tab-separated ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError

FOLDS = 10


@dataclass(frozen=True)
class PairList:
    """Pairs of faces by name; arrays and lists of [p].

    Attributes:
        path: The file.
        first: Names, without suffix where ``stems``.
        second: The same.
        same: bool, whether a pair shows one person.
        fold: int64, from 0.
        subjects: The two people of each pair, int64 [p, 2] from 0; a number a pair where they are not known.
        lines: The line of each pair, for messages.
        stems: Whether names have no file suffix.
        known: Whether the subjects are known.
    """

    path: Path
    first: list[str]
    second: list[str]
    same: np.ndarray
    fold: np.ndarray
    subjects: np.ndarray
    lines: list[int]
    stems: bool
    known: bool


def load_pair_list(path: Path) -> PairList:
    """Reads LFW's own list, or a .tsv file, or the pairs.tsv of a folder.

    Raises:
        InputError: Missing, empty or malformed (naming the line), one fold, or one kind of pairs.
    """
    file = path / "pairs.tsv" if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as text ({error})") from None
    lines = [(number, line.split("\t")) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise InputError(f"{file}: no lines; expected LFW's pairs.txt, or two names and 1 or 0 a line, tab-separated")
    listed = _tab_separated(file, lines) if file.suffix == ".tsv" else _lfw(file, lines)
    for kind, missing in [("genuine", not listed.same.any()), ("impostor", listed.same.all())]:
        if missing:
            raise InputError(f"{file}: no {kind} pair in {len(listed.same)}; both kinds are needed")
    if listed.fold.max() == 0:
        raise InputError(f"{file}: one fold of {len(listed.same)} pairs; the threshold of a fold comes from the others")
    return listed


def match_pairs(listed: PairList, embedded: EmbeddingSet) -> tuple[np.ndarray, np.ndarray]:
    """The embedding rows of both faces of each pair, int64 [p] each, by name.

    Raises:
        InputError: No keys, a key that is there twice, or a face without embedding.
    """
    if embedded.keys is None:
        raise InputError(f"{embedded.path}: no keys.txt; the faces of pairs match by name, so that it is needed")
    keys = [key.removeprefix("img/") for key in embedded.keys]
    if listed.stems:
        keys = [key.rpartition(".")[0] or key for key in keys]
    row_of = dict(zip(keys, range(len(keys)), strict=True))
    if len(row_of) != len(keys):
        repeated = next(key for index, key in enumerate(keys) if row_of[key] != index)
        raise InputError(f"{embedded.path}: key {repeated!r} occurs twice in keys.txt; faces match by key")
    sides = []
    for names in (listed.first, listed.second):
        missing = [index for index, name in enumerate(names) if name.removeprefix("img/") not in row_of]
        if missing:
            raise InputError(
                f"{listed.path} line {listed.lines[missing[0]]}: face {names[missing[0]]!r} has no embedding in "
                f"{embedded.path} ({len(missing)} of {len(names)} pairs lack one)"
            )
        sides.append(np.array([row_of[name.removeprefix("img/")] for name in names]))
    return sides[0], sides[1]


def _lfw(file: Path, lines: list[tuple[int, list[str]]]) -> PairList:
    """``folds<TAB>n``, then for each fold n lines ``name i j`` of one person and n lines ``name i name j`` of two."""
    header = lines.pop(0)[1]
    if len(header) > 2 or not all(_is_count(number) for number in header):
        raise InputError(
            f"{file} line 1: {' '.join(header)!r}; expected the number of folds and of pairs, as LFW has it"
        )
    folds, size = (int(header[0]), int(header[1])) if len(header) == 2 else (1, int(header[0]))
    if len(lines) != 2 * folds * size:
        raise InputError(f"{file}: {len(lines)} pairs; line 1 announces {folds} folds of {size} and {size}")
    first, second, people = [], [], []
    same = np.tile(np.repeat([True, False], size), folds)
    for (number, fields), genuine in zip(lines, same, strict=True):
        expected, wants = (3, "a name and two numbers") if genuine else (4, "a name, a number, a name, a number")
        if len(fields) != expected or not all(map(_is_count, fields[1::2] + fields[-1:])):
            raise InputError(f"{file} line {number}: {' '.join(fields)!r}; expected {wants}, separated by tabs")
        names = [fields[0], fields[-2] if expected == 4 else fields[0]]
        one, two = (
            f"{name}/{name}_{int(index):04d}" for name, index in zip(names, (fields[1], fields[-1]), strict=True)
        )
        first.append(one)
        second.append(two)
        people.append(names)
    subjects = np.unique(np.array(people), return_inverse=True)[1].reshape(-1, 2)
    fold = np.repeat(np.arange(folds), 2 * size)
    return PairList(file, first, second, same, fold, subjects, [number for number, _ in lines], True, True)


def _tab_separated(file: Path, lines: list[tuple[int, list[str]]]) -> PairList:
    width = len(lines[0][1])
    for number, fields in lines:
        if len(fields) != width or width not in (3, 4):
            raise InputError(
                f"{file} line {number}: {len(fields)} fields; expected two names, 1 or 0, and perhaps a fold"
            )
        if fields[2] not in ("0", "1"):
            raise InputError(f"{file} line {number}: {fields[2]!r}; expected 1 (one person) or 0")
        if width == 4 and not _is_count(fields[3]):
            raise InputError(f"{file} line {number}: fold {fields[3]!r}; expected a whole number")
    if width == 3 and len(lines) < FOLDS:
        raise InputError(f"{file}: {len(lines)} pairs without a fold; at least {FOLDS} are needed, for {FOLDS} folds")
    named = [int(fields[3]) for _, fields in lines] if width == 4 else _even_folds(len(lines))
    fold = np.unique(np.array(named), return_inverse=True)[1]
    first, second, label = (list(column) for column in zip(*(fields[:3] for _, fields in lines), strict=True))
    subjects = np.repeat(np.arange(len(lines))[:, None], 2, axis=1)
    numbers = [number for number, _ in lines]
    return PairList(file, first, second, np.array(label) == "1", fold, subjects, numbers, False, False)


def _even_folds(count: int) -> np.ndarray:
    """Ten folds of consecutive pairs, as equal as can be, the larger ones first."""
    return np.repeat(np.arange(FOLDS), [len(part) for part in np.array_split(np.arange(count), FOLDS)])


def _is_count(text: str) -> bool:
    return text.strip().isascii() and text.strip().isdigit()
