"""Small pictures of faces, one by one and on sheets."""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facerec.pipeline.contact_sheet import contact_sheet
from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError, load_array, read_json
from facerec.pipeline.label_files import load_keys
from facerec.pipeline.values import first_repeated, shown

COLUMNS = 16
"""Faces across and down one sheet."""
BLANK = 128


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Thumbnails:
    """Small pictures of faces, as ``python -m facerec thumbnails`` writes them.

    Attributes:
        images: uint8 [bytes]: JPEG files one behind the other.
        offsets: int64 [n + 1]: where each begins and ends; a face without picture has no bytes.
        keys: The faces' names.
        size: Pixels on a side.
        path: Where they are, for messages.
    """

    images: np.ndarray
    offsets: np.ndarray
    keys: list[str]
    size: int
    path: Path

    @classmethod
    def load(cls, path: Path) -> Thumbnails:
        """Maps them from disk.

        Raises:
            InputError: Not such a folder, or files that do not fit each other.
        """
        offsets = load_array(path / "offsets.npy", kind="iu", ndim=1).astype(np.int64)
        file = path / "images.bin"
        length = file.stat().st_size if file.is_file() else 0
        if offsets[0] != 0 or np.any(np.diff(offsets) < 0) or offsets[-1] != length or not length:
            raise InputError(
                f"{file}: {length} bytes, but offsets.npy goes from {offsets[0]} to {offsets[-1]}; "
                "make the folder again with python -m facerec thumbnails"
            )
        keys = load_keys(path / "keys.txt", len(offsets) - 1)
        found = cls(np.memmap(file, np.uint8, "r"), offsets, keys, 0, path)
        first = found.read(int(np.flatnonzero(np.diff(offsets))[0]))
        assert first is not None
        return cls(found.images, offsets, keys, len(first), path)

    def __len__(self) -> int:
        return len(self.keys)

    def encoded(self, row: int) -> bytes:
        """The JPEG file of a picture; nothing where there is none."""
        return self.images[self.offsets[row] : self.offsets[row + 1]].tobytes()

    def as_url(self, row: int) -> str:
        """A picture as a data URL, for a page; empty where there is none."""
        encoded = self.encoded(row)
        return f"data:image/jpeg;base64,{base64.b64encode(encoded).decode('ascii')}" if encoded else ""

    def read(self, row: int) -> np.ndarray | None:
        """A picture, uint8 BGR [size, size, 3], or None where there is none.

        Raises:
            InputError: Not a picture.
        """
        import cv2  # slow to import

        encoded = self.images[self.offsets[row] : self.offsets[row + 1]]
        if not len(encoded):
            return None
        picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
        if picture is None or (self.size and picture.shape != (self.size, self.size, 3)):
            raise InputError(f"{self.path}: the picture of face {row} is damaged or of another size; make them again")
        return picture

    def sheet(self, rows: np.ndarray) -> np.ndarray:
        """Up to COLUMNS * COLUMNS pictures on one, line by line; grey where there is none."""
        pictures = [self.read(row) for row in rows.tolist()]
        lines = [pictures[first : first + COLUMNS] for first in range(0, COLUMNS * COLUMNS, COLUMNS)]
        return contact_sheet(lines, COLUMNS, self.size, BLANK)


def thumbnails_of(path: Path, faces: EmbeddingSet) -> Thumbnails:
    """Maps the pictures of an embedding set's faces, row by row; a warning where keys do not show that they are these.

    Raises:
        InputError: As `Thumbnails.load`; another number of pictures, or a face of another key.
    """
    found, remedy = Thumbnails.load(path), "make thumbnails of the faces that were embedded"
    if len(found) != len(faces):
        raise InputError(f"{path}: {len(found)} thumbnails for {len(faces)} faces in {faces.path}; {remedy}")
    keys = found.keys if faces.keys is None else faces.keys
    row = next((row for row, pair in enumerate(zip(keys, found.keys, strict=True)) if pair[0] != pair[1]), None)
    if row is not None:
        raise InputError(
            f"{path}: face {row} is {shown(found.keys[row])}, but {shown(keys[row])} in {faces.path}; {remedy}"
        )
    if (twice := first_repeated(keys)) is not None:
        logger.warning("%s: key %s stands there more than once; pictures go by row alone", path, shown(twice))
    _say_if_replaced(path, faces.path if faces.path.is_dir() else faces.path.parent)
    return found


def _say_if_replaced(pictures: Path, embeddings: Path) -> None:
    """Logs a warning if files of one name had other contents for the embeddings than for the pictures."""
    try:
        one, other = (read_json(folder / "meta.json")["inputs"]["faces"] for folder in (pictures, embeddings))
        replaced = one["path"] == other["path"] and one["hash"] != other["hash"]
    except (InputError, KeyError, TypeError):  # made elsewhere
        return
    if replaced:
        logger.warning(
            "%s: %s has changed between these pictures and %s; if faces were replaced, make both anew", pictures,
            one["path"], embeddings,
        )  # fmt: skip
