"""The file formats that stages hand to each other: how they are read and written, and the error for unusable input.

CONTRIBUTING.md says what else `clustering` and `eval` may import of `facerec`.
"""

from __future__ import annotations

import codecs
import csv
import errno
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from facerec.pipeline.counts import counted

BLOCK_ROWS = 65_536
MOST_REASON = 160  # letters of another library's message
WAYS = {
    ".csv": "np.loadtxt(FILE, delimiter=',')", ".txt": "np.loadtxt(FILE)", ".npz": "np.load(FILE)[NAME]",
    ".parquet": "pandas.read_parquet(FILE).to_numpy()", ".bin": "np.fromfile(FILE, dtype).reshape(n, d)",
}  # fmt: skip
"""How arrays of other formats are read, for those who have to write them as .npy."""

COMPRESSED = {".gz": "gunzip -k", ".bz2": "bunzip2 -k", ".xz": "unxz -k", ".zst": "unzstd"}
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of text that a spreadsheet takes for a formula."""


class InputError(ValueError):
    """Raised for input that cannot be used. Its message is one line: what was found, where, and what to do."""


class ObstacleError(InputError):
    """Raised for what may pass: too little room, workers that ended, a drive that is gone. Finished work is kept."""


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
        reason = " ".join(str(error).split())
        if len(reason) > MOST_REASON:  # of which the end often says more than the middle
            reason = f"{reason[: MOST_REASON // 2]} ... {reason[-MOST_REASON // 2 :]}"
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


def check_target(path: Path) -> None:
    """Refuses a file to be written where a folder, a pipe or a link to itself is.

    Raises:
        InputError: Naming what is there.
    """
    if (path.exists() or path.is_symlink()) and not path.is_file():
        raise InputError(f"{path}: no regular file, but a folder, a pipe or a broken link; name another file")


def refuse_inside(out: Path, option: str, folder: Path, pictures: str) -> None:
    """Refuses a place for pictures inside a folder of pictures: a later command would take them for further ones.

    Args:
        out: The folder to make, or the one in which it is made.
        option: The option that names the folder of pictures.
        folder: That folder; a file has nothing inside it.
        pictures: What is written, in the plural, and what it would count as.

    Raises:
        InputError: `out` is in `folder`.
    """
    inside, place = (Path(os.path.realpath(path)) for path in (folder, out))  # of links to themselves, too
    if inside in place.parents:
        raise InputError(f"{out.parent}: --out lies in {option} {folder}; {pictures}")


def check_json_target(option: str, path: Path) -> None:
    """Refuses a file to be written where something else than JSON is, which may be what the command reads.

    Raises:
        InputError: Naming what is there.
    """
    if path.is_dir():
        raise InputError(f"{path}: a folder; --{option} wants a file name")
    if path.exists() and path.suffix.lower() != ".json":
        raise InputError(f"{path}: there already, and no JSON by its name; give --{option} a name ending in .json")


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or leads to one; not if it is a link to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return False


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


def first_line(path: Path) -> str:
    """The first line of a text file, a million characters at most; it may end with any line end.

    Raises:
        InputError: As `check_text`.
    """
    check_text(path)
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        return lines.readline(1 << 20)


def read_text(path: Path) -> str:
    """Reads UTF-8 without its byte order mark.

    Raises:
        InputError: Missing, no regular file, or not UTF-8.
    """
    check_file(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes lines of text, which `read_lines` reads."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


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
        wanted, way = {
            "f": ("floats", "; save x.astype('float32')"), "iu": ("integers", "; save x.astype(int), unknown as -1"),
        }.get(kind, (kind, ""))  # fmt: skip
        found, expected = f"{array.dtype} with shape {list(array.shape)}", f"{wanted} with {counted(ndim, 'dimension')}"
        way = way if array.ndim == ndim and array.dtype.kind in "iuf" else ""
        raise InputError(f"{path}: {found}; expected {expected}{way}")
    if array.size == 0:
        raise InputError(f"{path}: empty array with shape {list(array.shape)}; expected at least one row")
    return array


def _begins_as_array(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"


def new_array(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.memmap:
    """Makes a .npy file to be written by a map, and reserves its room.

    Without room a write to the map would kill the process.

    Raises:
        ObstacleError: Too little room on the disk.
    """
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return array  # a file system that reserves nothing
        path.unlink()
        raise ObstacleError(
            f"{path.parent}: too little room for {-(-array.nbytes >> 20)} MiB; free some, or choose another --out"
        ) from None
    return array


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a CSV file with a header.

    Text that a spreadsheet would take for a formula gets an apostrophe before it, which `cell_text` takes off. So does
    text that has one there already.
    """
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([_defused(value) for value in row] for row in rows)


def _defused(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.lstrip("'").startswith(FORMULAS) else value


def cell_text(cell: str) -> str:
    """The text that `write_table` wrote as this cell: without the apostrophe before what looks like a formula."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(FORMULAS) else cell


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Reads a CSV file with a header, as `write_table` writes it.

    Raises:
        InputError: Not such a file, or without one of the columns.
    """
    with readable(path, "CSV"):
        lines = list(csv.reader(f"{line}\n" for line in read_lines(path)))
    header = lines[0] if lines else []
    if missing := [name for name in columns if name not in header]:
        raise InputError(f"{path}: no column {', '.join(missing)}; it has {', '.join(header)[:80] or 'nothing'}")
    if wrong := next((number for number, line in enumerate(lines, 1) if len(line) != len(header)), None):
        raise InputError(f"{path}: line {wrong} has {len(lines[wrong - 1])} fields for {len(header)} columns")
    return [dict(zip(header, map(cell_text, line), strict=True)) for line in lines[1:]]


def write_json(path: Path, content: Any) -> None:
    """Writes JSON, see `write_whole`."""
    write_whole(path, (json.dumps(content, indent=2, sort_keys=False) + "\n").encode())


@contextmanager
def whole_file(path: Path, shared: bool = False) -> Iterator[Path]:
    """Gives a temporary file to write, which then replaces `path`: this is whole, or as it was before.

    Args:
        path: The file.
        shared: Whether several runs may write it at once. Each then has a temporary file of its own. Else a killed run
            leaves one such file at most, which the next run overwrites.

    Raises:
        OSError: It cannot be written; also a full disk, which says nothing itself, names the file.
    """
    own = f".{secrets.token_hex(4)}" if shared else ""
    temporary = path.with_name(f"{path.name}{own}.partial")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = error.filename or str(path)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file and its folder, see `whole_file`; two runs may write it at once.

    Raises:
        InputError: Something else than a regular file is there.
    """
    check_target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, shared=True) as temporary:
        temporary.write_bytes(content)


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        InputError: Missing, no regular file, or not JSON.
    """
    with readable(path, "JSON"):
        return json.loads(read_text(path))


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Writes a flat configuration, see `write_whole`."""
    write_whole(path, yaml.safe_dump(content, sort_keys=False).encode())


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a configuration.

    Raises:
        InputError: Missing, not YAML, not a mapping, or a key that stands there twice.
    """
    text = read_text(path)
    try:
        content, twice = yaml.safe_load(text), repeated_key(text)
    except Exception as error:  # its parser raises what Python's own does, as for the date 2001-99-99
        raise InputError(f"{path}: not readable as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}; expected keys and values")
    if twice:
        raise InputError(f"{path} {twice}")
    return content


def repeated_key(text: str) -> str:
    """Where YAML has a key of one mapping twice, of which only the last would count; "" if nowhere."""
    nodes, seen = [yaml.compose(text, Loader=yaml.SafeLoader)], set[int]()
    while nodes:
        node = nodes.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))  # an alias leads to the same node again, maybe to one that it is in
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
            continue
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            nodes.append(value)
            name, line = (key.tag, str(key.value)), key.start_mark.line + 1
            if name in lines and key.value != "<<":
                return f"line {line}: {key.value!r} stands there before, in line {lines[name]}; remove one of them"
            lines[name] = line
    return ""
