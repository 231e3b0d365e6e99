"""Lists of faces: which files, and whose faces they are.

=====  ==============================================================================================================
.tsv   ours: ``path``, or ``path<TAB>identity``; a first line of these names is none of them
.csv   columns by name (path, file, filename, image ...; identity, label, person ...), with commas, semicolons or tabs;
       or, without names, the path alone, or the path and the identity in either order, with a comma
.lst   mxnet's: ``key<TAB>label<TAB>path``, perhaps with further labels before the path; or insightface's, a line a face
       in the order of the keys (from 1): ``flag<TAB>path<TAB>label``, perhaps with a box and landmarks
=====  ==============================================================================================================
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facerec.pipeline.entries import KEYS, LABELS
from facerec.pipeline.files import InputError, check_file, read_lines, readable

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)
PATHS = (*KEYS, "image_path", "img_path", "file_path", "filepath", "img", "crop")
LISTS = (".tsv", ".csv", ".lst")
PICTURES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")
MOST_COLUMNS = 32
"""Of a table of faces; one of more is a table of embeddings."""

UNKNOWN = ("", "-1", "-1.0", "None", "nan", "NaN")
"""What stands in place of an identity or a label where it is not known."""

Faces = tuple[list[str], list[str | None]]
"""Paths, and identities where they are known."""


class ListColumns(NamedTuple):
    """Keys int64 [n], labels float64 [n] and paths [n] of a ``.lst``."""

    keys: np.ndarray
    labels: np.ndarray
    paths: pa.ChunkedArray


def person_of(text: str) -> str | None:
    """The name of an identity without blanks around it; None if it stands for nobody."""
    name = text.strip()
    return None if name in UNKNOWN else name


def read_face_list(file: Path) -> Faces:
    """Paths and identities of a list, by its suffix.

    Raises:
        InputError: Not readable, or a line that is not of the list's kind.
    """
    faces, first = _read(file)
    say_if_unlabelled(file, first)
    return faces


def say_if_unlabelled(path: Path, columns: Sequence[str]) -> None:
    """Says so if a table of faces has columns, but none of identities.

    Args:
        path: The table.
        columns: Their names. They are no names if none is that of paths or of pictures.
    """
    names = {name.strip().lower() for name in columns}
    unused = [name for name in columns if name.strip().lower() not in PATHS]
    if unused and not names.isdisjoint(PATHS) and names.isdisjoint(LABELS):
        logger.warning(
            "%s: faces without identities; %s not used: call the column with identities 'identity'", path,
            f"column {unused[0]} is" if len(unused) == 1 else f"columns {', '.join(unused)[:120]} are",
        )  # fmt: skip


def _read(file: Path) -> tuple[Faces, list[str]]:
    """The faces; and the first line of a .csv."""
    if file.suffix.lower() == ".csv":
        return _of_csv(file)
    return (_of_lst if file.suffix.lower() == ".lst" else _of_tsv)(file), []


def listed_paths(file: Path) -> Iterator[str]:
    """The paths alone, as far as they can be read."""
    if file.suffix.lower() in (".csv", ".lst"):
        yield from _read(file)[0][0]
        return
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        yield from (line.rstrip("\n").split("\t", 1)[0] for line in lines)


def _of_tsv(file: Path) -> Faces:
    paths: list[str] = []
    identities: list[str | None] = []
    for number, line in enumerate(read_lines(file), 1):
        fields = line.split("\t")
        if number == 1 and (_names_columns(fields) or fields[0].strip().lower() in PATHS):
            continue
        if not fields[0] or len(fields) > 2:
            raise InputError(f"{file}: line {number} is {line[:80]!r}; expected a path, or path<TAB>identity")
        paths.append(fields[0])
        identities.append(person_of(fields[1]) if len(fields) == 2 else None)
    return paths, identities


def _names_columns(fields: Sequence[str]) -> bool:
    """Whether a first line names the columns of paths and of identities."""
    names = {field.strip('" ').lower() for field in fields}
    return not names.isdisjoint(PATHS) and not names.isdisjoint(LABELS)


def _of_csv(file: Path) -> tuple[Faces, list[str]]:
    with readable(file, "a table", "expected a path, and perhaps an identity, a line"):
        lines = read_lines(file)
        named = (mark for mark in ";\t" if lines and _names_columns(lines[0].split(mark)))
        rows = [row for row in csv.reader(lines, delimiter=next(named, ",")) if row]
    if not rows:
        raise InputError(f"{file}: no lines; expected a path, and perhaps an identity, a line")
    width = len(rows[0])
    if short := next((number for number, row in enumerate(rows, 1) if len(row) != width), 0):
        raise InputError(f"{file}: line {short} has {len(rows[short - 1])} fields, the first one {width}")
    path, identity, first = _columns(rows, file)
    faces = rows[first:]
    if empty := next((number for number, row in enumerate(faces, first + 1) if not row[path]), 0):
        raise InputError(f"{file}: line {empty} has no path")
    names = [None if identity is None else person_of(row[identity]) for row in faces]
    return ([row[path] for row in faces], names), rows[0]


def _columns(rows: Sequence[Sequence[str]], file: Path) -> tuple[int, int | None, int]:
    """The columns of path and identity, and the first row that is a face."""
    head = [name.strip().lower() for name in rows[0]]
    if len(head) > MOST_COLUMNS:
        raise InputError(f"{file}: {len(head)} columns are no list of faces; expected a path, and perhaps an identity")
    paths = [head.index(name) for name in PATHS if name in head]
    if paths:
        others = [head.index(name) for name in LABELS if name in head and head.index(name) != paths[0]]
        return paths[0], next(iter(others), None), 1
    pictures = [column for column, field in enumerate(head) if field.endswith(PICTURES)]
    if len(head) > 2 or len(pictures) != 1:
        raise InputError(
            f"{file}: begins with {','.join(rows[0])[:80]!r}; expected names of columns (path,identity), or paths of "
            "pictures, perhaps with an identity each"
        )
    return pictures[0], 1 - pictures[0] if len(head) == 2 else None, 0


def _of_lst(file: Path) -> Faces:
    columns = lst_columns(file, "copy it again")
    whole: np.ndarray | None = columns.labels.astype(np.int64) if np.all(np.abs(columns.labels) < 1 << 53) else None
    if whole is None or np.any(whole != columns.labels):
        raise InputError(f"{file}: labels are no identities; expected 0, 1, 2, ...")
    width = len(str(whole.max()))
    return columns.paths.to_pylist(), [None if label < 0 else f"{label:0{width}d}" for label in whole.tolist()]


def lst_columns(file: Path, remedy: str) -> ListColumns:
    """The columns of a ``.lst``.

    Args:
        file: The list.
        remedy: What to do about one that is damaged, for the message.

    Raises:
        InputError: Not such a list.
    """
    check_file(file)
    import pyarrow as pa
    from pyarrow import csv as tables

    try:
        table = tables.read_csv(
            file,
            tables.ReadOptions(autogenerate_column_names=True),
            tables.ParseOptions(delimiter="\t", quote_char=False),
            tables.ConvertOptions(
                column_types={f"f{number}": pa.large_string() for number in range(64)}, null_values=[]
            ),
        )
        columns = table.columns
        if _is_number(columns[1][0]):  # mxnet's
            keys, labels, paths = columns[0].cast(pa.int64()).to_numpy(), columns[1], columns[-1]
        else:
            keys, labels, paths = np.arange(1, len(table) + 1), columns[2], columns[1]
        return ListColumns(keys, labels.cast(pa.float64()).to_numpy(), paths)
    except (OSError, pa.ArrowException, IndexError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{file}: not lines of flag, path, label or key, label, path ({reason}); {remedy}") from None


def _is_number(value: pa.Scalar) -> bool:
    try:
        float(value.as_py())
    except ValueError:
        return False
    return True
