"""Faces on disk behind one interface: row i is the same face everywhere.

A store is one of these:

- a folder of images, or a zip file of one. An image's identity is the folder it lies in; images directly in the store
  have none;
- a list (``.tsv``, ``.csv``, ``.lst``). A folder with ``faces.tsv`` is that list;
- tar shards, with ``index.parquet`` or as ``webdataset`` writes them;
- insightface's ``train.rec`` (`facerec.stores.recordio`);
- Parquet files with pictures (`facerec.stores.parquet_store`);
- ``stores.txt``, several of these as one (`facerec.stores.union`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facerec.pipeline.counts import counted
from facerec.pipeline.face_lists import PICTURES, person_of
from facerec.pipeline.files import InputError, ObstacleError
from facerec.pipeline.label_files import load_labels, refuse_other_order
from facerec.pipeline.values import first_repeated, whole
from facerec.stores.pixels import MOST_PIXELS, decode

SUFFIXES = PICTURES
OF_THE_PROCESS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors that come from the process or the machine and say nothing about the face: too many open files, no memory."""

PROBED = 100
"""Files that are looked for at most, to see whether a store is there."""

LIST, INDEX, RECORDS, STORES = "faces.tsv", "index.parquet", "train.rec", "stores.txt"


class UnreadableFace(Exception):  # noqa: N818 (it says what the face is)
    """A face that cannot be read or decoded.

    Attributes:
        key: The face's key in its store.
        reason: Why it cannot be read, for people.
    """

    def __init__(self, key: str, reason: str):
        super().__init__(key, reason)
        self.key, self.reason = key, reason

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"


class Store:
    """Faces by row. Picklable, so that loader workers may hold one.

    Attributes:
        path: Where it was opened.
        keys: The name of each face, unique.
        identities: The name of each face's identity, None where unknown.
        max_pixels: Height times width; a larger picture cannot be read.
    """

    max_pixels: int = MOST_PIXELS

    def __init__(self, path: Path, keys: Sequence[str], identities: Sequence[str | None]):
        self.path, self.keys, self.identities = path, list(keys), list(identities)
        if not self.keys:
            raise InputError(
                f"{path}: no faces; a store holds {', '.join(SUFFIXES)} images, {LIST}, {INDEX}, {RECORDS} or {STORES}"
            )
        if bad := next((key for key in self.keys if any(mark in key for mark in "\n\r\t")), None):
            raise InputError(f"{path}: name {bad!r} has a tab or an end of line in it; rename the file")
        people = {name for name in self.identities if name is not None}
        if bad := min((name for name in people if any(mark in name for mark in "\n\r\t")), default=None):
            raise InputError(f"{path}: person {bad!r} has a tab or an end of line in the name; rename the person")
        if (twice := first_repeated(self.keys)) is not None:
            raise InputError(f"{path}: {twice!r} stands there more than once; keys must be unique")

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        people = len({name for name in self.identities if name is not None})
        return f"<{type(self).__name__} {self.path}: {counted(len(self), 'face')} of {counted(people, 'person')}>"

    def labels_in(self, labels: Path) -> np.ndarray:
        """The labels in a file or folder, one for each face, int64 [n].

        Raises:
            InputError: Unusable labels, of another number of faces, or of faces in another order.
        """
        found = load_labels(labels, len(self))
        refuse_other_order(labels, self.path, self.keys)
        return found

    @property
    def labels(self) -> np.ndarray | None:
        """Int64 [n], identities numbered by sorted name, -1 where unknown; None if no face has an identity."""
        names = sorted({name for name in self.identities if name is not None})
        numbers = {name: number for number, name in enumerate(names)}
        labels = np.fromiter((-1 if x is None else numbers[x] for x in self.identities), np.int64, len(self))
        return labels if names else None

    def encoded(self, row: int) -> bytes:
        """The image file of a face.

        Raises:
            OSError: It cannot be read.
        """
        raise NotImplementedError

    def subset(self, rows: Iterable[int], out: Path, named: bool) -> None:
        """Writes the store of some rows, in their order, into a folder, referring to this one's files.

        Args:
            rows: Which.
            out: An existing folder.
            named: Whether the identities go along.
        """
        raise NotImplementedError

    def is_there(self) -> bool:
        """Whether the files that hold the faces can still be reached, as far as `PROBED` of them tell."""
        return os.path.lexists(self.path)

    def refuse_if_gone(self) -> None:
        """Tells faces that cannot be read from a drive that is gone; to be called where some could not be read.

        Raises:
            ObstacleError: The store is not there any more.
        """
        if not self.is_there():
            raise ObstacleError(f"{self.path}: its pictures cannot be reached any more, as on a drive that is gone")

    def read(self, row: int) -> np.ndarray:
        """A face as uint8 RGB [height, width, 3].

        Raises:
            InputError: No whole number from 0 to the number of faces less 1.
            OSError: One of `OF_THE_PROCESS`.
            UnreadableFace: No such file, or not an image, a damaged one, or one of more than `max_pixels`.
        """
        row = whole("row", row, 0, len(self) - 1)
        key = self.keys[row]
        try:
            return decode(self.encoded(row), self.max_pixels)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in OF_THE_PROCESS:
                raise
            raise UnreadableFace(key, reason_of(error)) from None


def left_by_macos(name: str) -> bool:
    """Whether a path is of a file that macOS puts beside another one, as ``._a.jpg``."""
    return name.rpartition("/")[2].startswith("._")


def reason_of(error: Exception) -> str:
    """Why a picture cannot be read, in one line for people."""
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return " ".join(reason.split())


def identity_of(value: Any) -> str | None:
    """Whose face a value of a table or of JSON says it is: text, a whole number, also as a float, or nobody."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return person_of(str(value)) if isinstance(value, str | int) else None


def padded(identities: Sequence[str | None]) -> list[str | None]:
    """Identities that are all numbers, with zeros in front, so that they sort as names as they do as numbers.

    If that makes one of two, as of 7 and 007, they stay as they are.
    """
    known = {name for name in identities if name is not None}
    width = max(map(len, known), default=0) if all(name.isdigit() for name in known) else 0
    if len({name.zfill(width) for name in known}) < len(known):
        return list(identities)
    return [None if name is None else name.zfill(width) for name in identities]
