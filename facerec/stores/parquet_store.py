"""Faces in Parquet files with a column of pictures, as Hugging Face's ``datasets`` writes them.

The column of pictures is a structure of ``bytes`` and ``path``, or plain bytes. A column of labels says whose face a
row is; names of its numbers stand in the schema (``ClassLabel``).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as types

from facerec.pipeline.counts import counted
from facerec.pipeline.entries import KEYS, LABELS
from facerec.pipeline.face_lists import say_if_unlabelled
from facerec.pipeline.files import InputError, readable
from facerec.stores.recordio import SUFFIX_OF
from facerec.stores.shards import write_copies
from facerec.stores.store import OF_THE_PROCESS, PROBED, SUFFIXES, Store, identity_of, padded

logger = logging.getLogger(__name__)

HUGGING_FACE = b"huggingface"


class ParquetStore(Store):
    """Every face a row. Rows of one group are unpacked together, and the last group is kept.

    Args:
        path: Where it was opened.
        keys: Key of each face.
        identities: Identity of each face, None where unknown.
        column: Name of the column of pictures.
        groups: File and number of each row group.
        begins: int64 [groups + 1], the row at which each begins.
    """

    def __init__(
        self, path: Path, keys: Sequence[str], identities: Sequence[str | None], column: str,
        groups: Sequence[tuple[str, int]], begins: np.ndarray,
    ):  # fmt: skip
        super().__init__(path, keys, identities)
        self.column, self.groups, self.begins = column, list(groups), begins
        self.kept: tuple[int, pa.ChunkedArray] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "kept": None}

    def encoded(self, row: int) -> bytes:
        """The picture of the row."""
        group = int(np.searchsorted(self.begins, row, side="right")) - 1
        kept = self.kept  # threads may read other groups meanwhile
        if kept is None or kept[0] != group:
            kept = self.kept = group, _pictures(*self.groups[group], self.column)
        content = kept[1][row - int(self.begins[group])].as_py()
        if not content:
            raise OSError("its row has no picture")
        return content

    def is_there(self) -> bool:
        """Whether the first files are there."""
        return all(os.path.exists(file) for file, _ in self.groups[:PROBED])  # noqa: PTH110 (any name)

    def subset(self, rows: Iterable[int], out: Path, named: bool) -> None:
        """Copies the pictures."""
        write_copies(self, rows, out, named)


def _pictures(file: str, group: int, column: str) -> pa.ChunkedArray:
    """The pictures of a row group, as bytes.

    Raises:
        OSError: They cannot be read.
    """
    try:
        with pq.ParquetFile(file) as opened:
            found = opened.read_row_group(group, columns=[column])[column]
            rows = opened.metadata.row_group(group).num_rows
        if types.is_struct(found.type):
            found = pa.chunked_array([chunk.field("bytes") for chunk in found.chunks])
        found.validate(full=True)
        if len(found) != rows:  # which picture is whose is unknown then
            raise ValueError(f"{len(found)} pictures for {rows} rows")
    except Exception as error:  # a damaged file makes it raise what its decoders do
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in OF_THE_PROCESS):
            raise
        raise OSError(f"{file}: row group {group} cannot be read ({' '.join(str(error).split())[:120]})") from None
    return found


def has_pictures(file: Path) -> bool:
    """Whether a Parquet file has a column of pictures; False for one that is none."""
    try:
        return _picture_column(pq.read_schema(file)) is not None
    except Exception:  # whoever opens it says why
        return False


def open_parquet(path: Path, files: Sequence[Path]) -> ParquetStore:
    """Opens Parquet files with pictures.

    Args:
        path: Where the store was opened, for messages: the files' folder, or the one file.
        files: The files, in order.

    Raises:
        InputError: A damaged file, one without a column of pictures, or files with different columns.
    """
    groups: list[tuple[str, int]] = []
    counts, names, people = [0], [], []
    column = None
    for file in files:
        with readable(file, "Parquet"), pq.ParquetFile(file) as opened:
            found = _picture_column(opened.schema_arrow)
            if found is None or column not in (None, found):
                raise InputError(f"{file}: no column of pictures; it has {', '.join(opened.schema_arrow.names)[:120]}")
            column = found
            rows = [opened.metadata.row_group(number).num_rows for number in range(opened.num_row_groups)]
            groups += [(str(file), number) for number, count in enumerate(rows) if count]
            counts += filter(None, rows)
            names += _paths(opened, column)
            people += _identities(opened, file)
            if not len(names) == len(people) == sum(counts):
                raise ValueError(f"columns of {len(names)} and {len(people)} rows, where it says {sum(counts)}")
    if column is None or not names:
        raise InputError(f"{path}: no rows in it")
    logger.info("%s: %s; training reads them faster from facerec store's shards", path, counted(len(names), "picture"))
    if not any(people):
        say_if_unlabelled(path, ["image", *(name for name in pq.read_schema(files[0]).names if name != column)])
    suffix = _suffix(*groups[0], column) if None in names else ".jpg"
    return ParquetStore(path, _keys(names, suffix), padded(people), column, groups, np.cumsum(counts))


def _suffix(file: str, group: int, column: str) -> str:
    """The suffix that fits the format of a row group's first picture; ``.jpg`` if it cannot be read."""
    try:
        first = _pictures(file, group, column)[0].as_py() or b""
    except (OSError, IndexError):
        first = b""
    return SUFFIX_OF.get(first[:1], ".jpg")


def _picture_column(schema: pa.Schema) -> str | None:
    """The column of pictures: a structure with ``bytes``, or bytes under a name that pictures have."""
    for field in schema:
        if types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
            return field.name
    for field in schema:
        binary = types.is_binary(field.type) or types.is_large_binary(field.type)
        if binary and field.name.lower() in ("bytes", "img", *KEYS):
            return field.name
    return None


def _paths(opened: pq.ParquetFile, column: str) -> list[str | None]:
    """The path of each picture, where it is known."""
    kind = opened.schema_arrow.field(column).type
    if types.is_struct(kind) and kind.get_field_index("path") >= 0:
        found = opened.read(columns=[f"{column}.path"])[column]
        return [row and row["path"] for row in found.to_pylist()]
    names = [name for name in opened.schema_arrow.names if name.lower() in KEYS and name != column]
    usable = [name for name in names if _is_text(opened.schema_arrow.field(name).type)]
    return opened.read(columns=usable[:1])[usable[0]].to_pylist() if usable else [None] * opened.metadata.num_rows


def _identities(opened: pq.ParquetFile, file: Path) -> list[str | None]:
    """Whose face each row is, by the first column of labels; a warning says if none of these can be read."""
    schema = opened.schema_arrow
    usual = [name for label in LABELS for name in schema.names if name.lower() == label]
    kinds = {name: schema.field(name).type for name in usual}
    usable = [
        name for name, kind in kinds.items() if types.is_integer(kind) or types.is_floating(kind) or _is_text(kind)
    ]
    if not usable:
        if usual:
            logger.warning(
                "%s: column %s is %s, no names or whole numbers; it is not used, and faces have no identities",
                file, usual[0], kinds[usual[0]],
            )  # fmt: skip
        return [None] * opened.metadata.num_rows
    values = opened.read(columns=usable[:1])[usable[0]].to_pylist()
    names = _names_of(schema, usable[0])
    if names is None:
        return list(map(identity_of, values))
    numbers = [int(value) if isinstance(value, int | float) and value >= 0 else -1 for value in values]
    if max(numbers, default=-1) >= len(names):
        raise ValueError(f"label {max(numbers)} of {len(names)} names in its schema")
    return [names[number] if number >= 0 else None for number in numbers]


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return types.is_string(kind) or types.is_large_string(kind)


def _names_of(schema: pa.Schema, column: str) -> list[str] | None:
    """The names of a label's numbers, if the schema says them."""
    try:
        about = json.loads((schema.metadata or {})[HUGGING_FACE])["info"]["features"][column]
        names = about["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def _keys(names: list[str | None], suffix: str) -> list[str]:
    """The paths of the pictures where each has its own, else numbers with the suffix of their path, or this one."""
    if None not in names and len(set(names)) == len(names):
        return [str(name) for name in names]
    found = [os.path.splitext(name or "")[1].lower() for name in names]  # noqa: PTH122 (any name)
    return [f"{row:09d}{one if one in SUFFIXES else suffix}" for row, one in enumerate(found)]
