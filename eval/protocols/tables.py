"""Tables of a protocol: read by pyarrow, and when it refuses one, read again slowly to say which line is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facerec.pipeline.files import InputError, check_file


def read_table(path: Path, columns: dict[str, str], delimiter: str = " ", header: bool = False) -> Any:
    """Reads some columns of a file.

    Args:
        path: The file.
        columns: Name to ``int64``, ``float64``, ``bool`` (1 for a genuine pair, 0 for an impostor pair) or ``string``.
        delimiter: One character between fields; if a comma, fields may stand in double quotes.
        header: Whether the first line names the columns, which are then found by name, in any order.

    Returns:
        A pyarrow table of these columns.

    Raises:
        InputError: A missing, empty or malformed file, naming the line.
    """
    import pyarrow as pa
    from pyarrow import csv

    check_file(path)
    names = list(columns)
    try:
        table = csv.read_csv(
            path,
            csv.ReadOptions(column_names=None if header else names),
            csv.ParseOptions(delimiter=delimiter, quote_char='"' if delimiter == "," else False),
            csv.ConvertOptions(
                column_types={name: pa.type_for_alias(kind) for name, kind in columns.items()},
                include_columns=names,
                null_values=[],
                true_values=["1"],
                false_values=["0"],
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise InputError(_diagnose(path, columns, delimiter, header) or f"{path}: {error}") from None
    if not len(table):
        raise InputError(f"{path}: no lines; expected {' '.join(names)}")
    return table


def header_of(path: Path) -> list[str]:
    """The names in the first line that is not blank; none for an empty file."""
    check_file(path)
    with path.open(encoding="utf-8", errors="replace") as file:
        return next((line.strip().split(",") for line in file if line.strip()), [])


def line_of(path: Path, row: int) -> int:
    """The line of a file, from 1, that holds its row (from 0; a header is row 0), blank lines not counted.

    Lines end as pyarrow takes them, also with a carriage return alone.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        filled = (number for number, line in enumerate(file, 1) if line.strip())
        return next((number for index, number in enumerate(filled) if index == row), row + 1)


def _diagnose(path: Path, columns: dict[str, str], delimiter: str, header: bool) -> str | None:
    """What is wrong with a file that pyarrow refused: the slow way, to say where."""
    wanted = list(columns)
    names = wanted
    with path.open(encoding="utf-8", errors="replace") as file:
        filled = ((number, text.rstrip("\r\n")) for number, text in enumerate(file, 1) if text.strip())
        if header:
            names = next(filled, (0, ""))[1].split(delimiter)
            if absent := [name for name in wanted if name not in names]:
                return f"{path}: no column {' and '.join(absent)}; the header is {delimiter.join(names)!r}"
        empty = True
        for number, text in filled:
            empty = False
            fields = text.split(delimiter)
            if len(fields) != len(names):
                wants = f"expected {len(names)}: {delimiter.join(names)}"
                return f"{path} line {number}: {len(fields)} fields in {text!r}; {wants}"
            for name, field in zip(names, fields, strict=True):
                kind = columns.get(name)
                if kind == "int64" and not _is_int64(field):
                    return f"{path} line {number}: {name} is {field!r}; expected a whole number"
                if kind == "bool" and field not in ("0", "1"):
                    return f"{path} line {number}: {name} {field}; expected 1 (genuine) or 0 (impostor)"
                if kind == "float64" and not _is_float(field):
                    return f"{path} line {number}: {name} is {field!r}; expected a number"
    return f"{path}: no lines; expected {' '.join(wanted)}" if empty else None


def _is_int64(text: str) -> bool:
    digits = text.strip().removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 20 and int(digits) < 2**63


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
