"""Tables for the terminal."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facerec.pipeline.files import check_json_target, write_json

logger = logging.getLogger(__name__)


def show_table(table: Sequence[Mapping[str, Any]], json: Path | None) -> None:
    """Prints a table, and writes it."""
    if json is not None:
        check_json_target("json", json)
        write_json(json, table)
    print("\n".join(aligned([list(table[0]), *([_cell(value) for value in row.values()] for row in table)])))


def show_kept_table(table: Sequence[Mapping[str, Any]]) -> None:
    """Prints a table that is in the files of a stage, too. If it cannot be printed, their work is not lost."""
    try:
        show_table(table, None)
    except OSError as error:
        logger.warning("standard output: %s; the folder has the table", error.strerror)


def aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, every column aligned to the right.

    Example:
        >>> aligned([["a", "bcd"], ["20", "3"]])
        [' a  bcd', '20    3']
    """
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "-" if value is None else str(value)
