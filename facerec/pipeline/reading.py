"""What every reader needs: the error for input that cannot be used, checks before a file is opened, arrays, lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

BLOCK_ROWS = 65_536
WAYS = {
    ".csv": "np.loadtxt(FILE, delimiter=',')", ".txt": "np.loadtxt(FILE)", ".npz": "np.load(FILE)[NAME]",
    ".parquet": "pandas.read_parquet(FILE).to_numpy()", ".bin": "np.fromfile(FILE, dtype).reshape(n, d)",
}  # fmt: skip
"""How arrays of other formats are read, for those who have to write them as .npy."""

COMPRESSED = {".gz": "gunzip -k", ".bz2": "bunzip2 -k", ".xz": "unxz -k", ".zst": "unzstd"}


class InputError(ValueError):
    """Input that cannot be used. Its text is one line: what was found, where, and what to do."""


def blocks(array: np.ndarray, rows: int = BLOCK_ROWS) -> Iterator[np.ndarray]:
    """Yields views of consecutive blocks of an array's rows."""
    yield from (array[some] for some in row_blocks(len(array), rows))


def row_blocks(count: int, rows: int = BLOCK_ROWS) -> list[slice]:
    """Slices that divide so many rows into consecutive blocks."""
    return [slice(start, min(start + rows, count)) for start in range(0, count, rows)]


@contextmanager
def readable(path: Path, kind: str, remedy: str = "it may be truncated") -> Iterator[None]:
    """Turns whatever a library raises for a damaged file into an `InputError` of one line.

    Args:
        path: The file, for the message.
        kind: What it should be, such as ``a .npz archive``.
        remedy: What to do.
    """
    try:
        yield
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{path}: asks for more memory than there is; it is damaged, or too large to read") from None
    except Exception as error:  # parsers raise many kinds, none with a common ancestor
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: not readable as {kind} ({reason}); {remedy}") from None


def check_file(path: Path) -> None:
    """Refuses what is no regular file: a pipe would be waited for.

    Raises:
        InputError: Missing, a folder, a pipe or a device.
    """
    if not path.is_file():
        raise InputError(f"{path}: {'not a regular file' if path.exists() else 'no such file'}")


def check_text(path: Path) -> None:
    """Refuses what is no regular file, or UTF-16, whose lines would be read as others.

    Raises:
        InputError: Missing, no regular file, or UTF-16.
    """
    check_file(path)
    try:
        with path.open("rb") as file:
            marked = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    except OSError as error:
        raise InputError(f"{path}: cannot be read as text ({error.strerror})") from None
    if marked:
        raise InputError(f"{path}: text in UTF-16; save it as UTF-8: iconv -f UTF-16 -t UTF-8")


def first_line(path: Path) -> str:
    """The first line of a text file, a million characters at most; it may end with any line end.

    Raises:
        InputError: As `check_text`.
    """
    check_text(path)
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        return lines.readline(1 << 20)


def load_array(path: Path, kind: str, ndim: int) -> np.ndarray:
    """Maps a .npy file read-only, never unpickling.

    Args:
        path: The file.
        kind: Allowed NumPy dtype kinds, e.g. ``"f"`` for floats, ``"iu"`` for integers.
        ndim: Number of dimensions it must have.

    Raises:
        InputError: Missing, not a .npy file, truncated, empty, or of another dtype or shape.
    """
    check_file(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header makes NumPy's reader raise what Python's parser does
        known = any(word in str(error) for word in ("pickle", "Python objects"))
        if known and _begins_as_array(path):
            remedy = "save numbers, x.astype('float32'), or text, x.astype(str)"
            raise InputError(f"{path}: holds Python objects, which are not read; {remedy}") from None
        if path.suffix.lower() in COMPRESSED:
            raise InputError(f"{path}: compressed; unpack it first: {COMPRESSED[path.suffix.lower()]}") from None
        reason = "the file does not begin as one does" if known else error
        if way := WAYS.get(path.suffix.lower()):
            raise InputError(f"{path}: not a .npy array; make one: np.save('x.npy', {way})") from None
        raise InputError(f"{path}: not a readable .npy array ({reason}); it may be truncated") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise InputError(f"{path}: an archive of arrays; make a file of one: np.save('x.npy', {WAYS['.npz']})")
    if array.dtype.kind not in kind or array.dtype.itemsize > 8 or array.ndim != ndim:
        wanted = {"f": "floats", "iu": "integers"}.get(kind, kind)
        raise InputError(
            f"{path}: {array.dtype} with shape {list(array.shape)}; expected {wanted} with {ndim} dimension(s)"
        )
    if array.size == 0:
        raise InputError(f"{path}: empty array with shape {list(array.shape)}; expected at least one row")
    return array


def _begins_as_array(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"


def read_lines(path: Path) -> list[str]:
    """Reads lines that end with a line feed, or with carriage return and line feed.

    No other character ends a line. A byte order mark at the start is left out. Bytes that are not UTF-8 come back as
    they were when `write_lines` writes them, or when they name a file (``surrogateescape``).

    Raises:
        InputError: The file cannot be read.
    """
    check_text(path)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
            return [line.removesuffix("\n").removesuffix("\r") for line in file]
    except OSError as error:
        raise InputError(f"{path}: cannot be read as text ({error.strerror})") from None
