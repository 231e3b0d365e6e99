"""What a file of several arrays holds: which of them are the embeddings, their labels and their names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facerec.pipeline.counts import counted
from facerec.pipeline.files import InputError

logger = logging.getLogger(__name__)

EMBEDDINGS = ("embeddings", "embedding", "features", "feature", "feats", "feat", "emb", "embs", "vectors", "x", "data")
LABELS = (
    "labels", "label", "identities", "identity", "identity_id", "person", "person_id", "subject", "subject_id", "name",
    "targets", "target", "classes", "class", "ids", "pids", "pid", "y",
)  # fmt: skip
KEYS = ("keys", "key", "files", "file", "filenames", "filename", "file_name", "paths", "path", "images", "image")
"""Names of arrays and columns, in any case, in the order in which they are looked for."""
MOST_NAMED = 6


@dataclass(frozen=True)
class Entry:
    """An array, data set or column of a file.

    Attributes:
        shape: Its shape.
        kind: NumPy's letter of its type: f floats, i and u whole numbers, U, S and O text; anything else is of no use.
        load: Reads it.
    """

    shape: tuple[int, ...]
    kind: str
    load: Callable[[], Any]

    def __str__(self) -> str:
        return f"{self.kind}{list(self.shape)}"

    @classmethod
    def of(cls, array: np.ndarray) -> Entry:
        """An array that is in memory."""
        return cls(array.shape, array.dtype.kind, lambda: array)


@dataclass(frozen=True)
class Contents:
    """What a file of embeddings holds.

    Attributes:
        embeddings: Floats [n, d], as they are stored.
        labels: [n] numbers or names, or None.
        keys: A name for each row, or None.
    """

    embeddings: np.ndarray
    labels: np.ndarray | None = None
    keys: list[str] | None = None


def contents_of(entries: Mapping[str, Entry], file: Path, part: str | None) -> Contents:
    """The embeddings of a file, with the labels and keys beside them.

    Args:
        entries: By name.
        file: For messages.
        part: The embeddings' name, if it is given.

    Raises:
        InputError: No such part; nothing, or several entries, that can be the embeddings.
    """
    name = _embeddings(entries, file, part)
    embeddings = np.asarray(entries[name].load())
    if not embeddings.size:
        raise InputError(f"{file}: {name} is empty, {list(embeddings.shape)}; expected at least one row")
    beside = {other: entry for other, entry in entries.items() if entry.shape == embeddings.shape[:1]}
    labels = _first(beside, LABELS, "iufUSO", name)
    keys = _first(beside, KEYS, "iuUSO", name)
    if labels is None:
        _say_unfit_labels(entries, name, len(embeddings), file)
    values = None if labels is None else np.asarray(entries[labels].load())
    if values is not None and values.dtype.kind == "f" and np.any(values != np.floor(values), where=~np.isnan(values)):
        values = None  # a measure that has a label's name
    return Contents(embeddings, values, None if keys is None else _names(entries[keys]))


def _say_unfit_labels(entries: Mapping[str, Entry], name: str, faces: int, file: Path) -> None:
    """Says so if an entry in the group of the embeddings has a label's name, but not a value for each face."""
    group = name.rpartition("/")[0]
    for other in _named_alike(entries, LABELS):
        if other != name and other.rpartition("/")[0] == group and entries[other].shape != (faces,):
            logger.warning(
                "%s: %s is %s, not a label for each of %s; it is not used", file, other, entries[other],
                counted(faces, "face"),
            )  # fmt: skip
            return


def labels_of(entries: Mapping[str, Entry], file: Path, part: str | None) -> np.ndarray:
    """The labels of a file, [n] numbers or names.

    Raises:
        InputError: No such part, or none that can be the labels.
    """
    flat = {name: entry for name, entry in entries.items() if len(entry.shape) == 1 and entry.kind in "iufUSO"}
    if part is not None:
        name = _named(entries, file, part)
        if name not in flat:
            raise InputError(f"{file}: {name} is {entries[name]}; labels are numbers or names [n]")
        return np.asarray(entries[name].load())
    faces = _named_alike(flat, KEYS)
    others = [name for name in flat if name not in faces]
    found = _first(flat, LABELS, "iufUSO", "") or (others[0] if len(flat) == len(others) == 1 else None)
    if found is None:
        raise InputError(f"{file}: no array or column 'labels'; it has {listed(entries)}; name one: {file}:NAME")
    return np.asarray(entries[found].load())


def keys_of(entries: Mapping[str, Entry], part: str | None, known: Collection[str] | None = None) -> list[str] | None:
    """The names of the faces in a file of labels; None if there are none.

    Args:
        entries: By name.
        part: Name of the labels, if it is given.
        known: Names of faces, if they are known. Where no column has a usual name, they say which one it is, see
            `column_of_faces`. Without them it is the first of text in which no value stands twice.
    """
    flat = {name: entry for name, entry in entries.items() if len(entry.shape) == 1 and entry.kind in "iuUSO"}
    if usual := _first(flat, KEYS, "iuUSO", part or ""):
        return _names(entries[usual])
    columns = {name: as_text(entry.load()) for name, entry in flat.items() if name != part and entry.kind not in "iu"}
    if known is not None:
        found = column_of_faces(columns, known)
        return None if found is None else columns[found]
    return next((keys for keys in columns.values() if len(set(keys)) == len(keys)), None)


def column_of_faces(columns: Mapping[str, Iterable[str]], known: Collection[str]) -> str | None:
    """The first column of a table in which a known face stands, for tables that give it no usual name."""
    faces = frozenset(known)
    return next((name for name, cells in columns.items() if not faces.isdisjoint(cells)), None)


def _names(entry: Entry) -> list[str] | None:
    """The names of faces; None for whole numbers that repeat, which count something else."""
    names = as_text(entry.load())
    return None if entry.kind in "iu" and len(set(names)) < len(names) else names


def as_text(values: Any) -> list[str]:
    """Names, of text or bytes, as text."""
    items = values.tolist() if isinstance(values, np.ndarray) else list(values)
    return [item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else str(item) for item in items]


def listed(entries: Mapping[str, Entry]) -> str:
    """Some names and shapes, for a message."""
    some = [f"{name} {entry}" for name, entry in list(entries.items())[:MOST_NAMED]]
    return (", ".join(some) or "nothing") + (
        f" and {len(entries) - MOST_NAMED} more" if len(entries) > len(some) else ""
    )


def _embeddings(entries: Mapping[str, Entry], file: Path, part: str | None) -> str:
    if part is not None:
        name = _named(entries, file, part)
        if not _is_matrix(entries[name]):
            raise InputError(f"{file}: {name} is {entries[name]}; embeddings are floats [n, d]")
        return name
    matrices = {name: entry for name, entry in entries.items() if _is_matrix(entry)}
    if not matrices:
        raise InputError(f"{file}: no embeddings, floats [n, d], in it; it has {listed(entries)}")
    widest = max(entry.shape[1] for entry in matrices.values())
    usual = [
        name
        for name in _named_alike(matrices, EMBEDDINGS)
        if name.lower() != "x" or matrices[name].shape[1] == widest  # else x1 and x2, the corners of a box
    ]
    if len(matrices) > 1 and len(usual) != 1:
        first = next(iter(matrices))
        raise InputError(f"{file}: several arrays can be the embeddings: {listed(matrices)}; name one: {file}:{first}")
    return usual[0] if usual else next(iter(matrices))


def _named(entries: Mapping[str, Entry], file: Path, part: str) -> str:
    part = part if part in entries else part.removeprefix("/")  # as HDF5 has it
    if part not in entries:
        raise InputError(f"{file}: no {part!r} in it; it has {listed(entries)}")
    return part


def _is_matrix(entry: Entry) -> bool:
    return len(entry.shape) == 2 and entry.kind == "f"


def _named_alike(entries: Mapping[str, Entry], names: Sequence[str]) -> list[str]:
    """The entries that have one of some names, in any case and in any group, the likeliest name first."""
    plain = {entry: entry.rpartition("/")[2].lower() for entry in entries}
    return [entry for name in names for entry, found in plain.items() if found == name]


def _first(entries: Mapping[str, Entry], names: Sequence[str], kinds: str, beside: str) -> str | None:
    """The entry of the likeliest name; of several, the one in the group of the embeddings."""
    fitting = [name for name in _named_alike(entries, names) if entries[name].kind in kinds]
    group = beside.rpartition("/")[0]
    near = [name for name in fitting if name.rpartition("/")[0] == group]
    return next(iter(near or fitting), None)
