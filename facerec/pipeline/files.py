"""The file formats that stages hand to each other, and the error for input that does not fit them.

CONTRIBUTING.md says what else `clustering` and `eval` may import of `facerec`.
"""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from facerec.pipeline.label_files import keys_in, labels_in
from facerec.pipeline.reading import BLOCK_ROWS as BLOCK_ROWS
from facerec.pipeline.reading import InputError as InputError
from facerec.pipeline.reading import blocks as blocks
from facerec.pipeline.reading import check_file as check_file
from facerec.pipeline.reading import load_array as load_array
from facerec.pipeline.reading import read_lines as read_lines
from facerec.pipeline.reading import readable
from facerec.pipeline.reading import row_blocks as row_blocks
from facerec.pipeline.values import MOST_SHOWN, as_path, whole

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of text that a spreadsheet takes for a formula."""


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or leads to one; not if it is a link to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def load_labels(path: Path, rows: int | None = None) -> np.ndarray:
    """Reads identity or cluster labels, int64 [n], -1 where unknown or unassigned.

    Args:
        path: A .npy file of whole numbers or names. Or a folder with ``labels.npy``: an embedding set, a clustering,
            pseudo-labels. Or a text file with a number or a name a line, as learn-to-cluster's ``.meta``. Or a column
            of a table, ``FILE.csv:COLUMN``. Or the labels in a file of embeddings, see `facerec.pipeline.label_files`.
        rows: The number of rows they must have, if known.

    Raises:
        InputError: Missing or unusable file, labels below -1, or another number of rows.
    """
    path, rows = as_path("labels", path), None if rows is None else whole("rows", rows, 0)
    file = path / "labels.npy" if path.is_dir() else path
    labels = labels_in(file)
    if labels.min() < -1:
        raise InputError(f"{file}: label {labels.min()} in row {labels.argmin()}; labels are -1 (unknown) or >= 0")
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
    rows = {key: row for row, key in enumerate(others)}
    for row, (key, other) in enumerate(zip(ours, others, strict=False)):
        if key != other and key in rows:
            raise InputError(
                f"{labels}: face {key[-MOST_SHOWN:]!r} is in row {row} there, but in row {rows[key]} of {faces}; "
                "both must have the same faces in the same order"
            )


def _keys_of(path: Path, known: Collection[str] | None = None) -> list[str] | None:
    inside = path.name in ("labels.npy", "embeddings.npy")
    file = (path.parent if inside else path) / "keys.txt"
    return read_lines(file) if file.is_file() else keys_in(path, known)


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


def check_target(path: Path) -> None:
    """Refuses a file to be written where a folder, a pipe or a link to itself is.

    Raises:
        InputError: Naming what is there.
    """
    if (path.exists() or path.is_symlink()) and not path.is_file():
        raise InputError(f"{path}: no regular file, but a folder, a pipe or a broken link; name another file")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes lines of text, which `read_lines` reads."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def new_array(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.memmap:
    """Makes a .npy file to be written by a map, and reserves its room.

    Without room a write to the map would kill the process.

    Raises:
        InputError: Too little room on the disk.
    """
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return array  # a file system that reserves nothing
        path.unlink()
        raise InputError(
            f"{path.parent}: too little room for {-(-array.nbytes >> 20)} MiB; free some, or choose another --out"
        ) from None
    return array


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a CSV file with a header.

    Text that a spreadsheet would take for a formula gets an apostrophe before it, which `cell_text` takes off.
    """
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([_defused(value) for value in row] for row in rows)


def _defused(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


def cell_text(cell: str) -> str:
    """The text that `write_table` wrote as this cell: without the apostrophe before what looks like a formula."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULAS) else cell


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
    """Writes JSON through a temporary file, so that the file is whole or absent.

    Raises:
        InputError: Something else than a regular file is there.
    """
    check_target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    temporary.write_text(json.dumps(content, indent=2, sort_keys=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        InputError: Missing, no regular file, or not JSON.
    """
    with readable(path, "JSON"):
        return json.loads(read_text(path))


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Writes a flat configuration."""
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


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
