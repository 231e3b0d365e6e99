"""Labels from any file: .npy, a number or a name a line, a column of a table, an array of a file of embeddings."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from facerec.pipeline.embedding_files import READERS
from facerec.pipeline.entries import LABELS, as_text, keys_of, labels_of
from facerec.pipeline.face_lists import PICTURES, UNKNOWN
from facerec.pipeline.named_part import split_part
from facerec.pipeline.raw_floats import meta_of
from facerec.pipeline.reading import InputError, first_line, load_array, read_lines

TABLES, LINES = (".csv", ".tsv"), (".txt", ".meta", ".list", ".labels")
MOST_LABEL = 1 << 62


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
    return np.asarray(load_array(path, kind="iu", ndim=1), dtype=np.int64)


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
