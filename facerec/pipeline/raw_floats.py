"""learn-to-cluster's raw features: float32 without a header, ``NAME.bin``, and a label a line, ``NAME.meta``.

Format: ``read_probs`` and ``read_meta`` in learn-to-cluster's ``utils/misc.py``. There features lie in ``features/``
and labels in ``labels/``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facerec.pipeline.files import InputError, check_file, read_lines

META = ".meta"


def meta_of(file: Path) -> Path | None:
    """The labels of a feature file: beside it, or in the folder ``labels`` beside its own."""
    places = (file.with_suffix(META), file.parent.parent / "labels" / f"{file.stem}{META}")
    return next((place for place in places if place.is_file()), None)


def map_raw(file: Path, part: str | None, rows: int | None) -> np.ndarray:
    """Maps features, float32 [n, d], read-only.

    Args:
        file: The ``.bin`` file.
        part: The dimension, if it is given (``FILE.bin:256``).
        rows: n, if it is known; else it is the number of lines in the file's ``.meta``.

    Raises:
        InputError: Missing or empty, a dimension that is none, or a size that does not fit.
    """
    check_file(file)
    numbers, rest = divmod(file.stat().st_size, 4)
    if rest or not numbers:
        raise InputError(f"{file}: {4 * numbers + rest} bytes are no float32 numbers; it may be truncated")
    if part is not None:
        if not (part.isascii() and part.isdigit() and int(part[:9]) > 0 and len(part) < 10):
            raise InputError(f"{file}: {part!r} is no dimension; give raw float32 as FILE.bin:256")
        known, what = int(part), f"dimension {part}"
    else:
        meta = meta_of(file)
        found = rows if meta is None else len(read_lines(meta))
        if not found:
            raise InputError(
                f"{file}: raw float32 without its dimension; give {file}:256, or put the labels beside it as "
                f"{file.stem}{META}"
            )
        known, what = found, f"{found} rows" if meta is None else f"the {found} lines of {meta}"
    other, rest = divmod(numbers, known)
    if rest or not other:
        raise InputError(f"{file}: {numbers} float32 numbers do not fit {what}; it may be truncated, or of another set")
    shape = (other, known) if part is not None else (known, other)
    return np.memmap(file, np.float32, "r", shape=shape)
