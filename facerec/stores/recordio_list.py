"""What insightface puts beside a ``train.rec``: ``train.lst``, which names its faces, and ``property``.

Of the list see `facerec.pipeline.face_lists`. It may have lines for faces that have no record, as WebFace42M's has. The
file ``property`` is ``classes,height,width``; insightface's ``RecBuilder`` adds a line with the number of records.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facerec.pipeline.face_lists import lst_columns
from facerec.pipeline.files import InputError

logger = logging.getLogger(__name__)

PROPERTY = r"([1-9][0-9]{0,9}) *, *[1-9][0-9]{0,4} *, *[1-9][0-9]{0,4}(?:\s+([0-9]{1,12}))?"
REMEDY = "copy it again, or remove it: the records are read without it"


def read_names(file: Path, keys: np.ndarray, labels: np.ndarray) -> list[str] | None:
    """The paths that faces had, by a list; None if there is no list.

    Args:
        file: The ``.lst`` file.
        keys: int64 [n], the key of each face.
        labels: float32 [n], as the records have them; -1 where damaged.

    Returns:
        The names by face, unique.

    Raises:
        InputError: Not a list, or one that has other keys or labels than the records, or one path twice.
    """
    if not file.exists():
        return None
    columns = lst_columns(file, REMEDY)
    rows = _rows_of(columns.keys, keys)
    if rows is None:
        raise InputError(f"{file}: its {len(columns.keys)} lines are not those of the {len(keys)} faces; {REMEDY}")
    values, names = columns.labels[rows], columns.paths.take(pa.array(rows))
    wrong = np.flatnonzero((values != labels) & (labels >= 0))
    if wrong.size:
        label, key, other = values[wrong[0]], keys[wrong[0]], labels[wrong[0]]
        raise InputError(f"{file}: label {label:g} for key {key}, whose record has {other:g}; {REMEDY}")
    if (count := pc.count_distinct(names).as_py()) < len(names):
        raise InputError(f"{file}: {len(names) - count} of its paths stand there more than once; {REMEDY}")
    if len(columns.keys) > len(keys):
        logger.info("%s: %d of its %d lines have no record", file, len(columns.keys) - len(keys), len(columns.keys))
    return names.to_pylist()


def _rows_of(listed: np.ndarray, keys: np.ndarray) -> np.ndarray | None:
    """The line of each key, int64 [n]; None if a key has none, or a line's key stands there more than once."""
    order = np.argsort(listed, kind="stable")
    ordered = listed[order]
    places = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    if np.any(ordered[places] != keys) or np.any(ordered[1:] == ordered[:-1]):
        return None
    return order[places]


def check_property(file: Path, labels: np.ndarray) -> None:
    """Compares the numbers of classes and faces that a set says it has with labels [n]; nothing if it does not say.

    Raises:
        InputError: Not three positive numbers, a label that is not below the first, or another number of faces.
    """
    if not file.is_file():
        return
    text = file.read_text(encoding="utf-8", errors="replace").strip()
    found = re.fullmatch(PROPERTY, text)
    if found is None:
        raise InputError(
            f"{file}: {text[:80]!r} is not classes,height,width (and perhaps a line with the number of faces); {REMEDY}"
        )
    if labels.max() >= int(found[1]):
        raise InputError(f"{file}: {found[1]} classes, but a record has label {labels.max():g}; {REMEDY}")
    if found[2] and int(found[2]) != len(labels):
        raise InputError(f"{file}: {found[2]} faces, but there are records of {len(labels)}; {REMEDY}")
