"""Tables with embeddings: .csv, .tsv, .txt and .parquet, with a column of vectors or a column for each number."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facerec.pipeline.entries import KEYS, LABELS, Entry
from facerec.pipeline.files import InputError, check_file, first_line, readable

if TYPE_CHECKING:
    import pyarrow as pa

NUMBERED = re.compile(r"(\D*)\d+")
INDEX = ("", "Unnamed: 0", "__index_level_0__", "index")
"""What pandas calls the column of a table's own numbering."""
DELIMITERS = "\t;,"


def parquet_entries(file: Path) -> dict[str, Entry]:
    """The columns of a Parquet file, see `_entries`.

    Raises:
        InputError: Missing, or no such file.
    """
    check_file(file)
    import pyarrow.parquet as pq

    with readable(file, "Parquet"):
        table = pq.read_table(file)
        table.validate(full=True)
        return _entries(table, file, table.column, False)


def csv_entries(file: Path) -> dict[str, Entry]:
    """The columns of a text table with commas, semicolons, tabs or, in a .txt, spaces; with or without a line of names.

    Raises:
        InputError: Missing, or no such table.
    """
    first = first_line(file).rstrip("\n")
    import pyarrow as pa
    from pyarrow import csv

    marks = DELIMITERS + (" " if file.suffix.lower() == ".txt" else "")
    delimiter = next((mark for mark in marks if mark in first), ",")
    unnamed = not _are_names([field.strip('" ') for field in first.split(delimiter)])

    def read(convert: csv.ConvertOptions) -> pa.Table:
        with readable(file, "a table of text", "expected lines of as many fields each"):
            return csv.read_csv(
                file,
                csv.ReadOptions(autogenerate_column_names=unnamed, block_size=1 << 24),
                csv.ParseOptions(delimiter=delimiter, newlines_in_values=not unnamed),
                convert,
            )

    def as_written(name: str) -> pa.ChunkedArray:
        types = {name: "string"}
        return read(csv.ConvertOptions(include_columns=[name], column_types=types, strings_can_be_null=True))[name]

    table = read(csv.ConvertOptions(strings_can_be_null=False))
    if unnamed:
        _check_unnamed(table, file)
    with readable(file, "a table of text"):  # names of columns that are not UTF-8 are found here
        entries = _entries(table, file, as_written, unnamed)
    for name, kind in zip(table.column_names, table.schema.types, strict=True):
        if pa.types.is_binary(kind):  # text that is not UTF-8
            entries[name] = Entry((len(table),), "O", lambda c=table[name]: _texts(c))  # type: ignore[misc]
    return entries


def _check_unnamed(table: pa.Table, file: Path) -> None:
    """Refuses numbers of which nobody knows whether they are labels.

    Raises:
        InputError: Some columns hold whole numbers, and others do not.
    """
    import pyarrow.types as types

    whole = [number for number, kind in enumerate(table.schema.types) if types.is_integer(kind)]
    if whole and any(types.is_floating(kind) for kind in table.schema.types):
        raise _perhaps_labels(file, whole[0], table.num_columns)


def _entries(
    table: pa.Table, file: Path, as_written: Callable[[str], pa.ChunkedArray], unnamed: bool
) -> dict[str, Entry]:
    """Columns of vectors [n, d], of numbers and of text [n]; and numbered columns (f0, f1, ...) together, as ``f``.

    Numbers without a common name stand together, too, where there are no others. Columns of whole numbers come as they
    are written: they may be labels, of which 7 and 007 are two, and float64 does not hold all that int64 does.
    """
    import pyarrow.types as types

    if len(set(table.column_names)) < table.num_columns:
        raise InputError(f"{file}: several columns have one name; rename them")
    entries: dict[str, Entry] = {}
    groups: dict[str | None, list[str]] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        vectors = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        if vectors or _looks_like_vectors(column):
            array = _vectors(column, name, file)
            entries[name] = Entry.of(array)
        elif types.is_integer(kind) or types.is_floating(kind):
            if types.is_integer(kind):
                entries[name] = Entry((len(table),), "i", lambda n=name: _exact(as_written(n)))  # type: ignore[misc]
            else:
                entries[name] = Entry((len(table),), "f", lambda c=column: _numbers(c))  # type: ignore[misc]
            if name not in INDEX and name.lower() not in LABELS + KEYS:
                found = NUMBERED.fullmatch(name)
                if found or types.is_floating(kind):
                    groups.setdefault(found and found[1], []).append(name)
        elif types.is_temporal(kind) or types.is_boolean(kind):
            entries[name] = Entry((len(table),), "O", lambda c=column: _texts(c.cast("string")))  # type: ignore[misc]
        elif types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind):
            entries[name] = Entry((len(table),), "O", lambda c=column: _texts(c))  # type: ignore[misc]
    return entries | _together(table, groups, file, unnamed)


def _together(table: pa.Table, groups: dict[str | None, list[str]], file: Path, unnamed: bool) -> dict[str, Entry]:
    """Columns of one name as one array [n, d], by their numbers; single ones only where there is no such group."""
    numbered = {
        prefix or "columns": sorted(names, key=lambda name: int(name.removeprefix(prefix)))
        for prefix, names in groups.items()
        if prefix is not None and len(names) > 1
    }
    others = groups.get(None, [])
    some = numbered or ({"columns": others} if len(others) > 1 else {})

    def load(names: list[str], bare: bool) -> np.ndarray:
        columns = {name: np.asarray(_numbers(table[name]), np.float32) for name in names}
        if bare:
            whole = [name for name, column in columns.items() if np.all(column == np.round(column))]
            labels = [name for name in whole if np.any(np.abs(columns[name]) > 1)]
            if labels and len(whole) < len(names):
                raise _perhaps_labels(file, table.column_names.index(labels[0]), table.num_columns)
        return np.stack(list(columns.values()), axis=1)

    return {
        prefix: Entry((len(table), len(names)), "f", lambda names=names, bare=bare: load(names, bare))  # type: ignore[misc]
        for prefix, names in some.items()
        for bare in [unnamed or names[0].isdigit()]
    }


def _perhaps_labels(file: Path, column: int, columns: int) -> InputError:
    return InputError(
        f"{file}: column {column + 1} of {columns} holds whole numbers, others do not: labels or not? "
        "Give the file a first line of names, such as label,f0,f1"
    )


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers; what is missing is NaN."""
    return np.asarray(column.to_numpy())


def _exact(column: pa.ChunkedArray) -> np.ndarray:
    """A column of whole numbers, none of which is rounded: as numbers if it has them all, else as objects."""
    import pyarrow.types as types

    return _numbers(column) if types.is_integer(column.type) and not column.null_count else _texts(column)


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    """A column of anything as objects; what is missing is None."""
    return np.array(column.to_pylist(), object)


def _looks_like_vectors(column: pa.ChunkedArray) -> bool:
    """Whether a column of text has lists in it, as pandas writes them: ``[0.1, 0.2]``."""
    import pyarrow.types as types

    return bool(types.is_string(column.type) and len(column) and re.match(r"\s*\[\s*-?[\d.]", column[0].as_py()))


def _vectors(column: Any, name: str, file: Path) -> np.ndarray:
    """A column of lists as one array [n, d].

    Raises:
        InputError: Lists of different lengths, missing ones, or other than numbers.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as types

    with readable(file, f"lists of numbers in column {name}", "write each list in full"):
        if types.is_string(column.type):
            text = pc.utf8_trim(column, characters="[] \t\r\n")
            column = pc.split_pattern_regex(text, r"[\s,]+").cast(pa.large_list(pa.float64()))
        lengths = pc.list_value_length(column)
        least, most = (pc.min(lengths).as_py(), pc.max(lengths).as_py()) if len(column) else (0, 0)
        if column.null_count or least != most:
            raise InputError(f"{file}: lists of {least} to {most} numbers in column {name}; embeddings have one length")
        parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
        flat = np.concatenate(parts) if parts else np.empty(0, np.float32)
    return flat.reshape(len(column), most)


def _are_names(fields: list[str]) -> bool:
    """Whether a table's first line names its columns: no number in it, or numbers that count, 0, 1, 2 and so on."""
    numbers = [field for field in fields if _is_number(field)]
    counting = len(numbers) >= 3 and numbers == [str(int(float(numbers[0])) + place) for place in range(len(numbers))]
    return not numbers or counting


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False
