"""Files that say something about each face: an array, or a table with a column of keys or of identities."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np

from facerec.pipeline.counts import counted
from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.entries import column_of_faces
from facerec.pipeline.files import InputError, cell_text, load_array, read_lines
from facerec.pipeline.keys import plain_key
from facerec.pipeline.values import refuse_repeated, shown

logger = logging.getLogger(__name__)

KEYS = ("key", "crop", "face", "file", "filename", "path", "name")
PEOPLE = ("identity", "person", "subject", "label")


def read_columns(path: Path, faces: EmbeddingSet, labels: np.ndarray) -> dict[str, list[str]]:
    """Each column of a CSV file, its cells in the order of the faces; "" for a face that has no line.

    Lines match faces by a column named as in `KEYS`, or people by one named as in `PEOPLE`: the folder in which a
    person's faces lie, or the label's number. Without either, a column that has keys of the faces will do. Without such
    a column line i is face i.

    Args:
        path: The file, with a header.
        faces: The embedding set.
        labels: int64 [n].

    Raises:
        InputError: Missing or malformed, no keys.txt to match with, a key twice, or no line that fits a face.
    """
    header, lines = _read(path)
    index = next((header.index(name) for name in (*KEYS, *PEOPLE) if name in header), None)
    by_people = index is not None and header[index] in PEOPLE
    if index is None:
        cells = {name: map(plain_key, column) for name, column in zip(header, zip(*lines, strict=True), strict=True)}
        named = column_of_faces(cells, list(map(plain_key, faces.keys or [])))
        index = None if named is None else header.index(named)
    rest = [column for column in range(len(header)) if column != index]
    if index is None:
        if len(lines) != len(faces):
            raise InputError(
                f"{path}: {len(lines)} lines for {len(faces)} faces and no column 'key' or 'identity' to match them by"
            )
        return {header[column]: [line[column] for line in lines] for column in rest}
    line_of = {plain_key(line[index]): line for line in lines}
    if len(line_of) != len(lines):
        raise InputError(f"{path}: column {header[index]!r} has the same value twice; one line for each")
    names = _people(faces, labels, line_of) if by_people else _keys(path, faces)
    found = [line_of.get(name) for name in names]
    if not any(found):
        kind = "person" if by_people else "face"
        raise InputError(f"{path}: none of its {len(lines)} values in {header[index]!r} is a {kind} of {faces.path}")
    lacking = np.array([line is None for line in found]) & (labels >= 0)
    if lacking.any():
        first = "" if faces.keys is None else f", such as {shown(faces.keys[int(np.argmax(lacking))])}"
        logger.warning(
            "%s: no line for %s of %d%s; they have nothing in its columns",
            path, counted(int(lacking.sum()), "labelled face"), np.count_nonzero(labels >= 0), first,
        )  # fmt: skip
    return {header[column]: ["" if line is None else line[column] for line in found] for column in rest}


def read_numbers(path: Path, faces: EmbeddingSet, labels: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """A number for each face, float64 [n].

    Args:
        path: A .npy file of n numbers, or a CSV file as `read_columns` reads it.
        faces: The embedding set.
        labels: int64 [n].
        names: Names that the wanted column may have; if no column has one, there must be a single column.

    Raises:
        InputError: See `read_columns`; or a labelled face without a finite number.
    """
    if path.suffix == ".npy":
        values = np.asarray(load_array(path, kind="fiu", ndim=1), np.float64)
        if len(values) != len(faces):
            raise InputError(f"{path}: {len(values)} values for {len(faces)} faces; they must match one to one")
    else:
        columns = read_columns(path, faces, labels)
        chosen = [name for name in names if name in columns] or list(columns)
        if not chosen or (len(chosen) > 1 and chosen[0] not in names):
            there = ", ".join(columns)[:80] or "none but the key"
            raise InputError(f"{path}: columns {there}; name the one that counts {names[0]!r}")
        values = np.array([_number(cell) for cell in columns[chosen[0]]])
    bad = np.flatnonzero(~np.isfinite(values) & (labels >= 0))
    if bad.size:
        name = faces.keys[bad[0]] if faces.keys else f"in row {bad[0]}"
        raise InputError(f"{path}: no finite number for face {name} ({bad.size} of {len(faces)} faces have none)")
    return values


def read_sessions(path: Path, faces: EmbeddingSet, labels: np.ndarray) -> np.ndarray:
    """The session of each face, int64 [n], -1 for none: a .npy file of integers, or a column ``session``."""
    if path.suffix == ".npy":
        values = np.asarray(load_array(path, kind="iu", ndim=1), np.int64)
        if len(values) != len(faces):
            raise InputError(f"{path}: {len(values)} sessions for {len(faces)} faces; they must match one to one")
        values = np.maximum(values, -1)
    else:
        columns = read_columns(path, faces, labels)
        if "session" not in columns:
            raise InputError(f"{path}: no column 'session'; it has {', '.join(columns)[:80] or 'none but the key'}")
        values = as_codes(columns["session"])[0]
    without, labelled = (int(np.count_nonzero(which)) for which in ((labels >= 0) & (values < 0), labels >= 0))
    if without and without == labelled:
        raise InputError(f"{path}: none of the {counted(labelled, 'labelled face')} has a session")
    if without:
        logger.warning("%s: %s of %d without a session; left out", path, counted(without, "labelled face"), labelled)
    return values


def as_codes(cells: list[str]) -> tuple[np.ndarray, list[str]]:
    """Numbers for words, int64 [n], -1 for empty ones, and the words by number, sorted."""
    words = sorted({cell for cell in cells if cell})
    number = {word: index for index, word in enumerate(words)}
    return np.array([number.get(cell, -1) for cell in cells], np.int64), words


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    lines = read_lines(path)
    delimiter = next((mark for mark in "\t,;" if lines and mark in lines[0]), ",")
    try:
        rows = [row for row in csv.reader(lines, delimiter=delimiter, strict=True) if row]
    except csv.Error as error:
        raise InputError(f"{path}: not readable as CSV ({error})") from None
    if len(rows) < 2:
        raise InputError(f"{path}: no lines below a header; expected a CSV file, e.g. with the columns key,quality")
    header = [name.strip().lower() for name in rows[0]]
    if len(set(header)) != len(header) or len(header) < 1:
        raise InputError(f"{path}: columns {', '.join(header)[:80]!r}; each needs its own name")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise InputError(f"{path} line {number}: {len(row)} fields; the header has {len(header)}")
    return header, [[cell_text(cell.strip()) for cell in row] for row in rows[1:]]


def _keys(path: Path, faces: EmbeddingSet) -> list[str]:
    if faces.keys is None:
        raise InputError(f"{faces.path}: no keys.txt; {path.name} names faces by key, so that it is needed")
    names = list(map(plain_key, faces.keys))
    refuse_repeated(faces.path, names)
    return names


def _people(faces: EmbeddingSet, labels: np.ndarray, known: dict[str, list[str]]) -> list[str]:
    """The name of each face's person: its folder, whole or the last alone, where the table has it; else its label."""
    folders = [plain_key(key).rpartition("/")[0] for key in faces.keys or []]
    for names in (folders, [folder.rpartition("/")[2] for folder in folders]):
        if any(name in known for name in names if name):
            return names
    return list(map(str, labels.tolist()))


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
