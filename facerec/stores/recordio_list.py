"""What insightface puts beside a ``train.rec``: ``train.lst``, which names its faces, and ``property``.

A list is either insightface's, a line a face in the order of the keys (from 1): ``flag<TAB>path<TAB>label``, perhaps
with a box and landmarks; or mxnet's: ``key<TAB>label<TAB>path``, perhaps with further labels before the path. The file
``property`` is ``classes,height,width``.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from facerec.pipeline.files import InputError

PROPERTY = r"([1-9][0-9]{0,9}) *, *[1-9][0-9]{0,4} *, *[1-9][0-9]{0,4}"
REMEDY = "copy it again, or remove it: the records are read without it"


def read_names(file: Path, keys: np.ndarray, labels: np.ndarray) -> list[str] | None:
    """The paths that faces had, by a list; None if there is no list.

    Args:
        file: The ``.lst`` file.
        keys: Int64 [n], of the faces.
        labels: [n], as the records have them; -1 where damaged.

    Returns:
        The names by face, unique.

    Raises:
        InputError: Not a list, or one that has other keys or labels than the records, or one path twice.
    """
    if not file.exists():
        return None
    listed, values, names = _columns(file)
    order = np.argsort(listed, kind="stable")
    if not np.array_equal(listed[order], keys):
        raise InputError(f"{file}: its {len(listed)} lines are not those of the {len(keys)} faces; {REMEDY}")
    wrong = np.flatnonzero((values[order] != labels) & (labels >= 0))
    if wrong.size:
        label, key, other = values[order[wrong[0]]], keys[wrong[0]], labels[wrong[0]]
        raise InputError(f"{file}: label {label:g} for key {key}, whose record has {other:g}; {REMEDY}")
    if (count := pc.count_distinct(names).as_py()) < len(names):
        raise InputError(f"{file}: {len(names) - count} of its paths stand there more than once; {REMEDY}")
    return names.take(pa.array(order)).to_pylist()


def check_property(file: Path, labels: np.ndarray) -> None:
    """Compares the number of classes that a set says it has with labels [n]; nothing if it does not say.

    Raises:
        InputError: Not three positive numbers, or a label that is not below the first.
    """
    if not file.is_file():
        return
    text = file.read_text(encoding="utf-8", errors="replace").strip()
    found = re.fullmatch(PROPERTY, text)
    if found is None:
        raise InputError(f"{file}: {text[:80]!r} is not classes,height,width; {REMEDY}")
    if labels.max() >= int(found[1]):
        raise InputError(f"{file}: {found[1]} classes, but a record has label {labels.max():g}; {REMEDY}")


def _columns(file: Path) -> tuple[np.ndarray, np.ndarray, pa.ChunkedArray]:
    """Keys int64 [n], labels float64 [n] and paths [n] of a list."""
    try:
        table = csv.read_csv(
            file,
            csv.ReadOptions(autogenerate_column_names=True),
            csv.ParseOptions(delimiter="\t", quote_char=False),
            csv.ConvertOptions(column_types={f"f{number}": pa.large_string() for number in range(64)}, null_values=[]),
        )
        columns = table.columns
        if _is_number(columns[1][0]):  # mxnet's
            return columns[0].cast(pa.int64()).to_numpy(), columns[1].cast(pa.float64()).to_numpy(), columns[-1]
        return np.arange(1, len(table) + 1), columns[2].cast(pa.float64()).to_numpy(), columns[1]
    except (OSError, pa.ArrowException, IndexError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{file}: not lines of flag, path, label or key, label, path ({reason}); {REMEDY}") from None


def _is_number(value: pa.Scalar) -> bool:
    try:
        float(value.as_py())
    except ValueError:
        return False
    return True
