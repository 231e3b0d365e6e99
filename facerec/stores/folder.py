"""Face stores in which every face is a file: folders and lists."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from facerec.pipeline.files import InputError, write_lines
from facerec.stores.store import LIST, SUFFIXES, Store

PROBED_FACES = 100


class FileStore(Store):
    """Every face a file."""

    def __init__(self, path: Path, root: Path, keys: Sequence[str], identities: Sequence[str | None]):
        super().__init__(path, keys, identities)
        self.root = str(root)

    def encoded(self, row: int) -> bytes:
        """The file's bytes."""
        with open(os.path.join(self.root, self.keys[row]), "rb") as file:  # noqa: PTH118, PTH123 (called per face)
            return file.read()

    def subset(self, rows: Iterable[int], out: Path, named: bool) -> None:
        """Writes a list."""
        up = os.path.relpath(Path(self.root).resolve(), out.resolve())
        write_list(
            out / LIST,
            ((os.path.normpath(f"{up}/{self.keys[row]}"), self.identities[row] if named else None) for row in rows),
        )


def write_list(path: Path, faces: Iterable[tuple[str, str | None]]) -> None:
    """Writes a list of faces.

    Args:
        path: The ``.tsv`` file.
        faces: Path relative to the list's folder, and identity or None.
    """
    write_lines(path, (name if identity is None else f"{name}\t{identity}" for name, identity in faces))


def open_folder(path: Path) -> FileStore:
    """Opens a folder of images; a face's identity is the folder that it lies in."""
    keys = sorted(_image_files(path, ""))
    return FileStore(path, path, keys, [key.rpartition("/")[0] or None for key in keys])


def _image_files(folder: Path, prefix: str) -> Iterator[str]:
    """The relative paths of all image files below a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _image_files(Path(entry.path), f"{prefix}{entry.name}/")
            elif entry.name.lower().endswith(SUFFIXES):
                yield prefix + entry.name


def open_list(path: Path) -> FileStore:
    """Opens a list of faces.

    Raises:
        InputError: Not UTF-8, a line that is none of the two kinds, or none of the first files is there.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
    keys: list[str] = []
    identities: list[str | None] = []
    for number, line in enumerate(lines, 1):
        fields = line.split("\t")
        if not fields[0] or len(fields) > 2:
            raise InputError(f"{path}: line {number} is {line[:80]!r}; expected a path, or path<TAB>identity")
        keys.append(fields[0])
        identities.append(fields[1] if len(fields) == 2 and fields[1] else None)
    store = FileStore(path, path.parent, keys, identities)
    if not any((path.parent / key).is_file() for key in keys[:PROBED_FACES]):
        raise InputError(
            f"{path}: none of its first {min(PROBED_FACES, len(keys))} files exists, e.g. {path.parent / keys[0]}; "
            "paths are relative to the list's folder"
        )
    return store
