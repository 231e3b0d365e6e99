"""Labels and keys of faces. Labels come from any file: .npy, lines, a column of a table, an array of embeddings."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from facerec.pipeline.counts import counted
from facerec.pipeline.embedding_files import READERS
from facerec.pipeline.entries import LABELS, as_text, keys_of, labels_of
from facerec.pipeline.face_lists import PICTURES, UNKNOWN
from facerec.pipeline.files import InputError, first_line, load_array, read_lines
from facerec.pipeline.named_part import split_part
from facerec.pipeline.raw_floats import meta_of
from facerec.pipeline.values import MOST_SHOWN, as_path, refuse_wrapped, shown, whole

logger = logging.getLogger(__name__)

TABLES, LINES = (".csv", ".tsv"), (".txt", ".meta", ".list", ".labels")
MOST_LABEL = 1 << 62


def load_labels(path: Path, rows: int | None = None) -> np.ndarray:
    """Reads identity or cluster labels, int64 [n], -1 where unknown or unassigned.

    Args:
        path: A .npy file of whole numbers or names. Or a folder with ``labels.npy``: an embedding set, a clustering,
            pseudo-labels. Or a text file with a number or a name a line, as learn-to-cluster's ``.meta``. Or a column
            of a table, ``FILE.csv:COLUMN``. Or the labels in a file of embeddings, see `labels_in`.
        rows: The number of rows they must have, if known.

    Raises:
        InputError: Missing or unusable file, labels below -1, or another number of rows.
    """
    path, rows = as_path("labels", path), None if rows is None else whole("rows", rows, 0)
    file = path / "labels.npy" if path.is_dir() else path
    labels = labels_in(file)
    if labels.min() < -1:
        raise InputError(
            f"{file}: label {labels.min()} in row {labels.argmin()}; labels are -1 (unknown) or >= 0; if a small type "
            "such as int8 has cut them, save them as int64"
        )
    if rows is not None and len(labels) != rows:
        raise InputError(f"{file}: {len(labels)} labels for {rows} rows; they must match one to one")
    return labels


def load_keys(path: Path, rows: int | None = None) -> list[str]:
    """Reads one key a line.

    Raises:
        InputError: Missing file, or another number of lines than `rows`.
    """
    keys = read_lines(path)
    if rows is not None and len(keys) != rows:
        raise InputError(f"{path}: {len(keys)} keys for {rows} rows; they must match one to one")
    return keys


def keys_beside(folder: Path, rows: int) -> list[str] | None:
    """The keys in a folder's keys.txt, one for each of its rows; None if it has none, or is no folder.

    Raises:
        InputError: Another number of keys than `rows`.
    """
    file = folder / "keys.txt"
    return load_keys(file, rows) if file.exists() else None


def refuse_other_order(labels: Path, faces: Path, keys: Sequence[str] | None = None) -> None:
    """Refuses labels of faces in another order, as far as the faces are named on both sides.

    Where no name is the same, a warning says if names that differ in folders and suffixes are in another order. Where
    some are, a warning says if others are not.

    Args:
        labels: A folder with keys.txt, or ``labels.npy`` in one; or a table with a column of names.
        faces: Another one of the same number of faces.
        keys: Of these faces, if they are known.

    Raises:
        InputError: A face is in one row there and in another row here.
    """
    ours = _keys_of(labels)
    others = None if ours is None else _keys_of(faces) if keys is None else keys
    if ours is None or others is None or ours == others:
        return
    if set(ours).isdisjoint(others):
        ours = _keys_of(labels, others) or ours
    if set(ours).isdisjoint(others):
        _say_other_order(labels, ours, faces, others)
        return
    rows = {key: row for row, key in enumerate(others)}
    for row, (key, other) in enumerate(zip(ours, others, strict=False)):
        if key != other and key in rows:
            raise InputError(
                f"{labels}: face {key[-MOST_SHOWN:]!r} is in row {row} there, but in row {rows[key]} of {faces}; "
                "both must have the same faces in the same order"
            )
    _say_other_names(labels, ours, faces, others)


def _say_other_names(labels: Path, ours: Sequence[str], faces: Path, others: Sequence[str]) -> None:
    """Logs a warning if some faces have other names, so that they may be other faces."""
    rows = [row for row, (key, other) in enumerate(zip(ours, others, strict=False)) if key != other]
    if rows:
        logger.warning(
            "%s: %s not in %s, as row %d: %s there, %s here; if they are other faces, and not only renamed, make it of "
            "these faces anew", labels, counted(len(rows), "face"), faces, rows[0], shown(ours[rows[0]]),
            shown(others[rows[0]]),
        )  # fmt: skip


def _say_other_order(labels: Path, ours: Sequence[str], faces: Path, others: Sequence[str]) -> None:
    """Logs a warning if names that differ in folders and suffixes alone are in another order."""
    for depth in (3, 2, 1):
        one, other = ([_ending(key, depth) for key in keys] for keys in (ours, others))
        rows = {key: row for row, key in enumerate(other)}
        if len(rows) == len(other) and set(one) == set(rows):
            row = next((row for row, key in enumerate(one) if rows[key] != row), None)
            if row is not None:
                logger.warning(
                    "%s: row %d is of %s, which seems to be row %d of %s, %s; rows are matched by their order "
                    "alone: make it the same in both, if they are the same faces",
                    labels, row, shown(ours[row]), rows[one[row]], faces, shown(others[rows[one[row]]]),
                )  # fmt: skip
            return


def _ending(key: str, depth: int) -> str:
    """The last folders and the name of a path, without its suffix."""
    *folders, name = key.split("/")[-depth:]
    return "/".join([*folders, name.rpartition(".")[0] or name])


def _keys_of(path: Path, known: Collection[str] | None = None) -> list[str] | None:
    inside = path.name in ("labels.npy", "embeddings.npy")
    file = (path.parent if inside else path) / "keys.txt"
    return read_lines(file) if file.is_file() else keys_in(path, known)


def labels_in(path: Path) -> np.ndarray:
    """Reads labels, int64 [n]; names are numbered in the order of the alphabet, and -1 where nobody is named.

    Args:
        path: A file, or ``FILE:NAME`` for an array or a column.

    Raises:
        InputError: Missing, damaged or empty, or values that are neither whole numbers nor names.
    """
    file, part = split_part(path)
    suffix = file.suffix.lower()
    if suffix in LINES or (suffix in TABLES and part is None and _one_column(file)):
        return numbered(np.array(_lines(file), object), file)
    if suffix == ".bin" and (meta := meta_of(file)):
        return numbered(np.array(_lines(meta), object), meta)
    if suffix in READERS:
        return numbered(labels_of(READERS[suffix](file), file, part), file)
    if (names := _names_of_array(file)) is not None:
        return numbered(names, file)
    labels = load_array(path, kind="iu", ndim=1)
    refuse_wrapped(file, labels)
    return np.asarray(labels, dtype=np.int64)


def keys_in(path: Path, known: Collection[str] | None = None) -> list[str] | None:
    """The names of the faces in a file of labels as `labels_in` reads it, see `keys_of`; None if it has none."""
    file, part = split_part(path)
    suffix = file.suffix.lower()
    if suffix not in READERS or suffix in LINES or not file.is_file() or (suffix in TABLES and _one_column(file)):
        return None
    return keys_of(READERS[suffix](file), part, known)


def _names_of_array(file: Path) -> np.ndarray | None:
    """The text [n] of a .npy file; None if it holds anything else."""
    if file.suffix.lower() != ".npy" or not file.is_file():
        return None
    try:
        found = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception:  # a damaged one, of which load_array says what is wrong
        return None
    is_text = isinstance(found, np.ndarray) and found.ndim == 1 and found.dtype.kind in "US"
    return np.array(found) if is_text else None


def numbered(values: np.ndarray, file: Path) -> np.ndarray:
    """Labels as int64 [n]: whole numbers as they are, names by their place in the alphabet.

    Args:
        values: [n] whole numbers, floats that are whole or NaN (unknown), or text of whole numbers or names.
        file: For messages.

    Raises:
        InputError: Empty, fractions, or numbers that are written in two ways, as 7 and 007, which may be two names.
    """
    if not len(values):
        raise InputError(f"{file}: no labels in it; expected one a row")
    if values.dtype.kind in "USO":
        texts = [text.strip() for text in as_text(values)]
        whole = _whole(texts, file)
        return _by_name(texts) if whole is None else whole
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), -1, values)
        wrong = np.flatnonzero((values != np.floor(values)) | np.isinf(values))
        coarse = np.flatnonzero(np.abs(values) >= 2 / np.finfo(values.dtype).eps)
        if coarse.size and not wrong.size:
            raise InputError(
                f"{file}: label {values[coarse[0]]} in row {coarse[0]} is so large that {values.dtype} does not tell "
                "it from the next one; number them from 0"
            )
        if wrong.size:
            raise InputError(f"{file}: label {values[wrong[0]]} in row {wrong[0]}; labels are whole numbers or names")
    elif values.dtype.kind not in "iu" or values.max() > MOST_LABEL:
        raise InputError(f"{file}: {values.dtype} up to {values.max()}; labels are whole numbers or names")
    refuse_wrapped(file, values)
    return np.asarray(values).astype(np.int64)


def _whole(texts: list[str], file: Path) -> np.ndarray | None:
    """Whole numbers, if all texts are such."""
    known = {text: _number(text) for text in set(texts)}
    if None in known.values():
        return None
    written: dict[int | None, str] = {}
    for text in sorted(set(known) - set(UNKNOWN)):
        digits = text.removesuffix(".0")
        if (other := written.setdefault(known[text], digits)) != digits:
            raise InputError(f"{file}: labels {other!r} and {digits!r} are one number, but maybe two names; rename one")
    return np.fromiter((known[text] for text in texts), np.int64, len(texts))


def _number(text: str) -> int | None:
    digits = text.removeprefix("-").removesuffix(".0")
    if text in UNKNOWN:
        return -1
    return int(text.removesuffix(".0")) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None


def _by_name(texts: list[str]) -> np.ndarray:
    names = sorted(set(texts) - set(UNKNOWN))
    places = dict.fromkeys(UNKNOWN, -1) | {name: number for number, name in enumerate(names)}
    return np.fromiter((places[text] for text in texts), np.int64, len(texts))


def _one_column(file: Path) -> bool:
    return file.is_file() and not any(mark in first_line(file) for mark in ",;\t")


def _lines(file: Path) -> list[str]:
    """The lines of a file, without a heading.

    Raises:
        InputError: The first line is a picture and something else.
    """
    lines = read_lines(file)
    fields = lines[0].split() if lines else []
    if len(fields) > 1 and fields[0].lower().endswith(PICTURES):
        raise InputError(
            f"{file}: begins with {lines[0][:80]!r}; expected a label a line, without the picture, or a table with a "
            "first line of names, such as file,label"
        )
    return lines[1:] if len(lines) > 1 and lines[0].strip().strip('"').lower() in LABELS else lines
