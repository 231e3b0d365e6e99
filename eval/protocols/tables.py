"""Tables of a protocol: read by pyarrow, and when it refuses one, read again slowly to say which line is wrong.

Files differ: a byte order mark, tabs or semicolons for commas, more blanks, headers in small letters, numbers as
``12.0``, words for ids. All are read alike.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eval.protocols.ids import as_ids, whole_number
from facerec.pipeline.files import InputError, check_text

WHOLE = ("int64", "id")
TRUE, FALSE = ("1", "1.0", "true", "True", "TRUE"), ("0", "0.0", "-1", "false", "False", "FALSE")


def read_table(path: Path, columns: dict[str, str], delimiter: str = " ", header: bool = False) -> Any:
    """Reads some columns of a file.

    Args:
        path: The file.
        columns: Name to ``int64``, ``id`` (int64; words become numbers, see `eval.protocols.ids`), ``float64``,
            ``bool`` (1 for a genuine pair, 0 for an impostor pair) or ``string``.
        delimiter: One character between fields; a tab where the first line has tabs. If a comma, fields may stand in
            double quotes, and semicolons may stand in its place.
        header: Whether the first line names the columns, which are then found by name, in any order and case.

    Returns:
        A pyarrow table of these columns.

    Raises:
        InputError: A missing, empty or malformed file, naming the line.
    """
    check_text(path)
    layout = _Layout.of(path, columns, delimiter, header)
    table, refusal = _read(path, layout, "int64")
    if table is None and any(kind in WHOLE for kind in columns.values()):
        table, refusal = _read(path, layout, "string")
    if table is None:
        tidied = "\n".join(_tidied(text, layout) for _, text in _lines(path)).encode(errors="surrogateescape")
        table, _ = _read(io.BytesIO(tidied), replace(layout, blank=0), "string")
    if table is None:
        raise InputError(_diagnose(path, layout) or f"{path}: {refusal or 'not a readable table'}")
    if not len(table):
        raise InputError(f"{path}: no lines; expected {' '.join(columns)}")
    return table


@dataclass(frozen=True)
class _Layout:
    """How a file is written.

    Attributes:
        columns: Of `read_table`.
        delimiter: Between fields.
        names: The name of each field of a line; of the columns that are wanted, as `columns` has it.
        header: Whether the first line has them.
        blank: Empty lines above the first.
    """

    columns: dict[str, str]
    delimiter: str
    names: list[str]
    header: bool
    blank: int

    @classmethod
    def of(cls, path: Path, columns: dict[str, str], delimiter: str, header: bool) -> _Layout:
        blank, first = _first_line(path)
        delimiter = _delimiter(first, delimiter)
        if not header:
            return cls(columns, delimiter, list(columns), False, blank)
        wanted = {name.upper(): name for name in columns}
        capitals = [name.upper() for name in _cells(first, delimiter)]
        if twice := next((name for name in wanted if capitals.count(name) > 1), None):
            raise InputError(
                f"{path}: {capitals.count(twice)} columns {wanted[twice]}; which one counts? Rename the others"
            )
        names = [wanted.pop(name.upper(), name) for name in _cells(first, delimiter)]
        if wanted:
            raise InputError(
                f"{path}: no column {' and '.join(wanted.values())}; the header is {first.strip()[:120]!r}"
                if first
                else f"{path}: no lines; expected {' '.join(columns)}"
            )
        return cls(columns, delimiter, names, True, blank)


def header_of(path: Path) -> list[str]:
    """The names in the first line that is not blank, in capitals; none for an empty file."""
    check_text(path)
    first = _first_line(path)[1]
    return [name.upper() for name in _cells(first, _delimiter(first, ","))] if first else []


def line_of(path: Path, row: int) -> int:
    """The line of a file, from 1, that holds its row (from 0; a header is row 0), blank lines not counted.

    Lines end as pyarrow takes them, also with a carriage return alone.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        filled = (number for number, line in enumerate(file, 1) if line.strip())
        return next((number for index, number in enumerate(filled) if index == row), row + 1)


def _first_line(path: Path) -> tuple[int, str]:
    """The number of blank lines above the first that is not blank, and this one; 0 and nothing for an empty file."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        filled = ((number, line.rstrip("\r\n")) for number, line in enumerate(file) if line.strip())
        return next(filled, (0, ""))


def _delimiter(first: str, usual: str) -> str:
    others = ("\t", ";") if usual == "," else ("\t",)
    return next((other for other in others if other in first and usual not in first), usual)


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(delimiter)]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        yield from ((number, text.rstrip("\r\n")) for number, text in enumerate(file, 1) if text.strip())


def _tidied(text: str, layout: _Layout) -> str:
    """A line without blanks at its ends, and with one between its fields."""
    words = layout.delimiter in " \t" and not layout.header
    return layout.delimiter.join(text.split()) if words else text.strip(" ")


def _read(path: Path | io.BytesIO, layout: _Layout, numbers: str) -> tuple[Any, str]:
    """The table, or None and why not; whole numbers read as such, or as text that is then looked at."""
    import pyarrow as pa
    from pyarrow import csv

    kinds = {name: numbers if kind in WHOLE else kind for name, kind in layout.columns.items()}
    read = csv.ReadOptions(column_names=layout.names, skip_rows=layout.blank + layout.header)
    parse = csv.ParseOptions(delimiter=layout.delimiter, quote_char='"' if layout.delimiter in ",;" else False)
    convert = csv.ConvertOptions(
        column_types={name: pa.type_for_alias(kind) for name, kind in kinds.items()},
        include_columns=list(layout.columns),
        null_values=[],
        true_values=list(TRUE),
        false_values=list(FALSE),
    )
    try:
        table = csv.read_csv(path, read, parse, convert)
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        return None, " ".join(str(error).split())
    return (_with_numbers(table, layout) if numbers == "string" and len(table) else table), ""


def _with_numbers(table: Any, layout: _Layout) -> Any:
    """The table with the whole numbers and ids of its text; None if some text is neither."""
    import pyarrow as pa

    for index, (name, kind) in enumerate(layout.columns.items()):
        if kind in WHOLE:
            values = as_ids(table[name], words=kind == "id")
            if values is None:
                return None
            table = table.set_column(index, name, pa.array(values))
    return table


def _diagnose(path: Path, layout: _Layout) -> str | None:
    """What is wrong with a file that pyarrow refused: the slow way, to say where."""
    filled = _lines(path)
    if layout.header:
        next(filled, None)
    line = None
    for number, text in filled:
        if (wrong := _wrong_in(text, layout)) and _wrong_in(_tidied(text, layout), layout):
            words = text.replace(",", " ").replace(";", " ").split()
            bare = line is None and not layout.header and not any(map(_is_float, words))
            return f"{path} line {number}: {wrong}" + ("; remove the line with names of columns" if bare else "")
        line = number
    return f"{path}: no lines; expected {' '.join(layout.columns)}" if line is None else None


def _wrong_in(text: str, layout: _Layout) -> str | None:
    """What is wrong with a line."""
    fields = text.split(layout.delimiter)
    if len(fields) != len(layout.names):
        return f"{len(fields)} fields in {text!r}; expected {len(layout.names)}: {layout.delimiter.join(layout.names)}"
    for name, field in zip(layout.names, fields, strict=True):
        kind = layout.columns.get(name)
        if kind in WHOLE and whole_number(field) is None:
            return f"{name} is {field!r}; expected a whole number"
        if kind == "bool" and field not in (*TRUE, *FALSE):
            return f"{name} {field}; expected 1 (genuine) or 0 (impostor)"
        if kind == "float64" and not _is_float(field):
            return f"{name} is {field!r}; expected a number"
    return None


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
