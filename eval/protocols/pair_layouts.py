"""The layouts of lists of pairs, told apart by their lines; fields are separated by tabs, commas, semicolons or blanks.

10 300                       LFW: folds, and pairs of each kind in a fold (or the latter alone); then
Ann 1 2                      one person, two pictures
Ann 1 Bob 3                  two people; without the first line each line is taken by its number of fields
a.jpg b.jpg 1 [fold]         a table: the label third or first, as 1 0, 1 -1, true false or yes no; with a header in
                             any order
a.jpg 3                      CALFW, CPLFW: two lines a pair, 0 for two people, else 1 or the fold
b.jpg 3
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facerec.pipeline.files import InputError, read_lines
from facerec.pipeline.pair_accuracy import FOLDS, consecutive_folds

MOST_DIGITS = 18
LABELS = {
    "1": True, "0": False, "-1": False, "+1": True, "1.0": True, "0.0": False, "true": True, "false": False,
    "yes": True, "no": False, "same": True, "different": False, "diff": False,
}  # fmt: skip
WORDS = ("same", "different", "diff")  # labels, the first of which may name a column, too
HEADINGS = (
    "name", "image", "img", "file", "path", "label", "same", "is_same", "issame", "match", "first", "second", "left",
    "right", "fold", "class", "target", "id", "person", "unnamed", "pair",
)  # fmt: skip
LABEL_HEADINGS = ("label", "same", "is_same", "issame", "match", "target")
Lines = Sequence[tuple[int, list[str]]]


@dataclass(frozen=True)
class PairList:
    """Pairs of faces by name; arrays and lists of [p].

    Attributes:
        path: The file.
        first: Names, some layouts without suffix.
        second: The same.
        same: bool, whether a pair shows one person.
        fold: int64, from 0; all 0 if the list has none.
        subjects: The two people of each pair, int64 [p, 2] from 0; a number a pair where they are not known.
        lines: The line of each pair, for messages.
        known: Whether the subjects are known.
    """

    path: Path
    first: list[str]
    second: list[str]
    same: np.ndarray
    fold: np.ndarray
    subjects: np.ndarray
    lines: list[int]
    known: bool


def read_pair_list(file: Path) -> PairList:
    """Reads a list of any layout.

    Raises:
        InputError: Missing, empty or malformed, naming the line.
    """
    lines = _fields(file)
    if not lines:
        raise InputError(f"{file}: no lines; expected LFW's pairs.txt, or two names and 1 or 0 a line, tab-separated")
    if len(lines) > 1 and _is_heading(lines[0][1]) and not _is_labelled(lines[0][1], lines[1][1]):
        lines = _by_heading(lines[0][1], lines[1:])
    first, second = lines[0][1], lines[min(1, len(lines) - 1)][1]
    if file.suffix == ".tsv":
        return _table(file, lines)
    if len(first) <= 2 and all(map(is_count, first)):
        return _lfw(file, lines)
    if len(first) == len(second) == 2 and is_count(first[1].lstrip("-")) and not first[0].isdigit():
        return _two_lines(file, lines)
    if len(first) in (3, 4) and is_count(first[1]) and is_count(first[-1]):
        return _by_person(file, lines)
    if len(first) in (3, 4) and (_is_label(first[2]) or _is_label(first[0])):
        return _table(file, lines)
    raise InputError(
        f"{file} line {lines[0][0]}: {' '.join(first)[:80]!r}; expected the number of folds and of pairs, as LFW has "
        "it, or two names and 1 or 0"
    )


def even_folds(listed: PairList) -> PairList:
    """Ten folds of a tenth of the genuine and a tenth of the impostor pairs each, in their order."""
    fold = np.empty(len(listed.same), np.int64)
    for same in (True, False):
        rows = np.flatnonzero(listed.same == same)
        fold[rows] = consecutive_folds(len(rows))
    return replace(listed, fold=fold)


def is_count(text: str) -> bool:
    """Whether this is a whole number from 0 that an integer holds."""
    return text.strip().isascii() and text.strip().isdigit() and len(text) <= MOST_DIGITS


def _fields(file: Path) -> list[tuple[int, list[str]]]:
    """The number and the fields of each line that is not blank."""
    lines = [(number, line) for number, line in enumerate(read_lines(file), 1) if line.strip()]
    if any("\t" in line for _, line in lines) or file.suffix == ".tsv":
        return [(number, line.split("\t")) for number, line in lines]
    last = lines[-1][1] if lines else ""
    mark = "," if "," in last else ";"
    if mark == "," or last.count(mark) > 1:
        rows = [(number, next(csv.reader([line], delimiter=mark))) for number, line in lines]
        if not rows[0][1][0].strip():  # pandas' own numbering, of which the heading says nothing
            rows = [(number, row[1:]) for number, row in rows]
        return [(number, [cell.strip() for cell in row if cell.strip()]) for number, row in rows]
    return [(number, line.split()) for number, line in lines]


def _is_heading(fields: Sequence[str]) -> bool:
    """Whether a line names columns."""
    cells = [cell.strip().lower() for cell in fields if cell.strip()]
    return len(cells) > 1 and all(cell.startswith(HEADINGS) and "." not in cell and "/" not in cell for cell in cells)


def _is_labelled(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether what may name columns is a pair that is the "same": the next line looks alike, and has a word, too."""
    names = [cell for cell in second if cell.strip().lower() not in WORDS]
    return WORDS[0] in [cell.strip().lower() for cell in first] and len(names) < len(second) and _is_heading(names)


def _by_heading(heading: Sequence[str], lines: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """The lines with both names first, then the label and the fold, where the heading says which is which."""
    cells = [cell.strip().lower() for cell in heading]
    label = [at for at, cell in enumerate(cells) if cell.startswith(LABEL_HEADINGS)]
    fold = [at for at, cell in enumerate(cells) if cell.startswith("fold")]
    names = [at for at in range(len(cells)) if at not in label + fold]
    if (len(names), len(label)) != (2, 1) or len(fold) > 1 or any(len(fields) != len(cells) for _, fields in lines):
        return lines
    return [(number, [fields[at] for at in (*names, *label, *fold)]) for number, fields in lines]


def _is_label(text: str) -> bool:
    return text.strip().lower() in LABELS


def _lfw(file: Path, lines: Lines) -> PairList:
    """``folds<TAB>n``, then for each fold n lines ``name i j`` of one person and n lines ``name i name j`` of two."""
    header, lines = lines[0][1], lines[1:]
    folds, size = (int(header[0]), int(header[1])) if len(header) == 2 else (1, int(header[0]))
    if len(lines) != 2 * folds * size:
        raise InputError(f"{file}: {len(lines)} pairs; line 1 announces {folds} folds of {size} and {size}")
    same = np.tile(np.repeat([True, False], size), folds)
    return _people(file, lines, same, np.repeat(np.arange(folds), 2 * size))


def _by_person(file: Path, lines: Lines) -> PairList:
    """The same without the first line and without folds."""
    return _people(file, lines, np.array([len(fields) == 3 for _, fields in lines]), np.zeros(len(lines), np.int64))


def _people(file: Path, lines: Lines, same: np.ndarray, fold: np.ndarray) -> PairList:
    first, second, people = [], [], []
    for (number, fields), genuine in zip(lines, same.tolist(), strict=True):
        expected, wants = (3, "a name and two numbers") if genuine else (4, "a name, a number, a name, a number")
        if len(fields) != expected or not all(map(is_count, fields[1::2] + fields[-1:])):
            raise InputError(f"{file} line {number}: {' '.join(fields)!r}; expected {wants}, separated by tabs")
        names = [fields[0], fields[-2] if expected == 4 else fields[0]]
        one, two = (
            f"{name}/{name}_{int(index):04d}" for name, index in zip(names, (fields[1], fields[-1]), strict=True)
        )
        first.append(one)
        second.append(two)
        people.append(names)
    subjects = np.unique(np.array(people), return_inverse=True)[1].reshape(-1, 2)
    return PairList(file, first, second, same, fold, subjects, [number for number, _ in lines], True)


def _two_lines(file: Path, lines: Lines) -> PairList:
    """Lines ``name number``; two make a pair: 0 for two people, else 1 or the fold of a genuine pair."""
    if len(lines) % 2:
        raise InputError(f"{file}: {len(lines)} lines; two lines make a pair, so that their number is even")
    first, second, labels = [], [], []
    for (_, one), (number, two) in zip(lines[::2], lines[1::2], strict=True):
        if len(one) != 2 or len(two) != 2 or one[1] != two[1] or not is_count(two[1].lstrip("-")):
            raise InputError(
                f"{file} line {number}: {' '.join(two)!r} after {' '.join(one)!r}; expected a name and the same number"
            )
        first.append(one[0])
        second.append(two[0])
        labels.append(int(one[1]))
    label = np.array(labels)
    numbers = [number for number, _ in lines[::2]]
    listed = _unknown(file, (first, second), label > 0, np.zeros(len(label), np.int64), numbers)
    if label.max() <= 1:
        return listed
    fold = even_folds(listed).fold  # those of impostor pairs are not in the file
    fold[label > 0] = label[label > 0] - 1
    return replace(listed, fold=np.unique(fold, return_inverse=True)[1])


def _table(file: Path, lines: Lines) -> PairList:
    width = len(lines[0][1])
    at = 0 if width == 3 and _is_label(lines[0][1][0]) and not _is_label(lines[0][1][2]) else 2
    for number, fields in lines:
        if len(fields) != width or width not in (3, 4):
            raise InputError(
                f"{file} line {number}: {len(fields)} fields; expected two names, 1 or 0, and perhaps a fold"
            )
        if not _is_label(fields[at]):
            raise InputError(f"{file} line {number}: {fields[at]!r}; expected 1 (one person) or 0")
        if width == 4 and not is_count(fields[3]):
            raise InputError(f"{file} line {number}: fold {fields[3]!r}; expected a whole number")
    if width == 3 and len(lines) < FOLDS:
        raise InputError(f"{file}: {len(lines)} pairs without a fold; at least {FOLDS} are needed, for {FOLDS} folds")
    named = [int(fields[3]) for _, fields in lines] if width == 4 else consecutive_folds(len(lines))
    fold = np.unique(np.array(named), return_inverse=True)[1]
    columns = list(zip(*(fields[:3] for _, fields in lines), strict=True))
    label = np.array([LABELS[text.strip().lower()] for text in columns.pop(at)])
    sides = list(columns[0]), list(columns[1])
    return _unknown(file, sides, label, fold, [number for number, _ in lines])


def _unknown(
    file: Path, sides: tuple[list[str], list[str]], same: np.ndarray, fold: np.ndarray, lines: list[int]
) -> PairList:
    """Pairs whose people nobody knows."""
    subjects = np.repeat(np.arange(len(same))[:, None], 2, axis=1)
    return PairList(file, *sides, same, fold, subjects, lines, False)
