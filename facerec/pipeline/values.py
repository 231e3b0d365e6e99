"""Checks of what Python callers hand over: arrays, pictures, labels, whole numbers, paths, keys."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from facerec.pipeline.files import InputError

MOST_SHOWN = 60
MOST_WHOLE = (1 << 63) - 1
INT_SEEDS = 1 << 31
"""Seeds that faiss and scikit-learn take. They get the remainder of larger ones."""
MOST_PATH, MOST_NAME = 4095, 255  # bytes that Linux takes


def shown(value: Any) -> str:
    """A value for a message: one line, and not a long one."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        text = f"of type {type(value).__name__}"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, Python's or NumPy's; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def whole(name: str, value: Any, low: int, high: int = MOST_WHOLE) -> int:
    """A whole number as Python has it.

    Raises:
        InputError: Not a whole number between `low` and `high`, or one of more than 63 bits.
    """
    if is_whole(value) and value > MOST_WHOLE == high:
        raise InputError(f"{name} is a whole number of {int(value).bit_length()} bits; at most 63 can be worked with")
    if not is_whole(value) or not low <= value <= high:
        limit = f"from {low} to {high}" if high < MOST_WHOLE else f"from {low} on"
        raise InputError(f"{name} is {shown(value)}; it must be a whole number {limit}")
    return int(value)


def as_path(name: str, value: Any) -> Path:
    """A path as Python has it.

    Raises:
        InputError: Neither text nor a path, empty, or with what no path can have.
    """
    try:
        text = os.fspath(value)
    except TypeError:
        text = None
    if not isinstance(text, str) or not text:
        raise InputError(f"{name} is {shown(value)}; give a path, as text or as a pathlib.Path")
    parts = os.fsencode(text).split(b"/")
    if "\0" in text or max(map(len, parts)) > MOST_NAME or sum(map(len, parts)) + len(parts) > MOST_PATH:
        raise InputError(f"{name} is {shown(text)}; no path can be so long, or have a zero byte in it")
    return Path(text)


def at_home(path: Path) -> Path:
    """The path with the home folder instead of ``~``. It stays as it is where that folder is unknown.

    In a container the user may have neither HOME nor an entry in /etc/passwd.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def check_type(name: str, value: Any, kind: type) -> None:
    """Refuses an argument of another type.

    Raises:
        InputError: Naming the argument and the type that is expected.
    """
    if not isinstance(value, kind):
        raise InputError(f"{name} is {shown(value)}; expected {kind.__name__}")


def as_array(name: str, values: Any) -> np.ndarray:
    """An array of whatever NumPy makes one of, without a copy where none is needed.

    Raises:
        InputError: Nothing that makes an array, such as rows of several lengths or a tensor on a GPU; a sparse matrix;
            masked values.
    """
    if hasattr(values, "toarray"):  # SciPy's, of which NumPy makes one object
        raise InputError(f"{name}: a sparse matrix; give x.toarray()")
    try:
        array = np.asanyarray(values)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        remedy = "; convert it: x.float()" if "BFloat16" in str(error) else ""
        raise InputError(f"{name}: no array of numbers: {str(error)[:150]}{remedy}") from None
    if np.ma.is_masked(array):
        raise InputError(f"{name}: some values are masked; fill them, or leave those rows out")
    plain = isinstance(array, np.matrix | np.ma.MaskedArray)  # rows of a matrix have two dimensions
    return np.asarray(array) if plain else array


def conversion(array: np.ndarray) -> str:
    """How rows of objects or text become numbers, to end a message; nothing for other arrays."""
    return ": np.asarray(x, dtype=np.float32)" if array.ndim == 2 and array.dtype.kind in "OVUS" else ""


def as_picture(name: str, image: Any) -> np.ndarray:
    """A picture, uint8 RGB [height, width, 3].

    Raises:
        InputError: Another type or shape, or no pixel.
    """
    picture = as_array(name, image)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        found = f"{name}: {picture.dtype} {list(picture.shape)}"
        raise InputError(f"{found}; expected uint8 RGB [height, width, 3], 0 to 255")
    return picture


def as_labels(name: str, values: Any, rows: int | None = None) -> np.ndarray:
    """Int64 [n]: the identity or the cluster of each face, negative for none.

    Args:
        name: What they are, in the plural, for messages.
        values: Whole numbers [n].
        rows: How many there must be, if known.

    Raises:
        InputError: Another shape or type, another number of them, or a number that int64 cannot hold.
    """
    labels = as_array(name, values)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or rows not in (None, len(labels)):
        wanted = "" if rows is None else f" for {rows} faces"
        found = f"{name} are {labels.dtype} of shape {list(labels.shape)}{wanted}"
        raise InputError(f"{found}; expected integers [n], -1 for none{_numbering(labels)}")
    if labels.dtype == np.uint64 and labels.size and labels.max() > MOST_WHOLE:
        raise InputError(f"{name}: {labels.max()} is larger than int64 can hold; number them from 0")
    refuse_wrapped(name, labels)
    return labels.astype(np.int64, copy=False)


def _numbering(labels: np.ndarray) -> str:
    """How other labels become integers, to end a message; nothing where that cannot be told."""
    if labels.size and isinstance(labels.flat[0], str | bytes):  # pandas has text as objects
        return ": np.unique(names, return_inverse=True)[1]"
    if labels.dtype.kind == "f" and labels.ndim == 1 and labels.size:  # of pandas, where some are missing
        filled = np.nan_to_num(labels, nan=-1, posinf=0.5, neginf=0.5)
        return ": np.nan_to_num(x, nan=-1).astype(int)" if np.array_equal(filled, np.rint(filled)) else ""
    return ""


def refuse_wrapped(source: object, labels: np.ndarray) -> None:
    """Refuses labels [n] in which -1 has lost its sign: in uint8 it is 255, which would be a person.

    Where 254 is there, too, 255 may be meant.

    Raises:
        InputError: Naming the source, the label and its row.
    """
    if not labels.size or labels.dtype.kind != "u" or labels.dtype.itemsize == 8:
        return
    highest = np.iinfo(labels.dtype).max
    if labels.max() == highest and not np.any(labels == highest - 1):
        raise InputError(
            f"{source}: label {highest} in row {labels.argmax()}, which {labels.dtype} makes of -1 (unknown); save "
            "them as int64"
        )


def first_repeated(keys: Sequence[str]) -> str | None:
    """The first key that stands there before; None if all are different."""
    if len(set(keys)) == len(keys):
        return None
    seen: set[str] = set()
    return next(key for key in keys if key in seen or seen.add(key))  # type: ignore[func-returns-value]


def refuse_repeated(source: object, keys: Sequence[str]) -> None:
    """Refuses keys that do not tell faces apart, where something is found by them.

    Args:
        source: Where they are, for the message.
        keys: Keys of the faces.

    Raises:
        InputError: A key stands there more than once; it is named.
    """
    if (twice := first_repeated(keys)) is not None:
        raise InputError(
            f"{source}: key {shown(twice)} stands there more than once, so it does not say which face is meant; give "
            "each face a key of its own"
        )
