"""Face stores in which every face is a file: folders and lists."""

from __future__ import annotations

import logging
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from facerec.pipeline.counts import counted
from facerec.pipeline.face_lists import person_of, read_face_list
from facerec.pipeline.files import InputError, is_folder, write_lines
from facerec.pipeline.fingerprint import made_by_a_system
from facerec.stores.store import LIST, PROBED, SUFFIXES, Store, left_by_macos

logger = logging.getLogger(__name__)

NO_FILES = (".DS_Store", "Thumbs.db", "desktop.ini", "meta.json")
"""Files that systems and commands leave in folders of pictures, of which nothing is said."""

PARTS = {"train", "val", "valid", "validation", "test"}
"""Names of folders that are parts of a data set, not people."""


class FileStore(Store):
    """Every face a file."""

    def __init__(self, path: Path, root: Path, keys: Sequence[str], identities: Sequence[str | None]):
        super().__init__(path, keys, identities)
        self.root = str(root)

    def encoded(self, row: int) -> bytes:
        """The file's bytes."""
        # Not open(): that would wait for a pipe's other end.
        number = os.open(os.path.join(self.root, self.keys[row]), os.O_RDONLY | os.O_NONBLOCK)  # noqa: PTH118 (per face)
        with os.fdopen(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise OSError("not a regular file")
            return file.read()

    def is_there(self) -> bool:
        """Whether one of the first files is there."""
        return any(os.path.lexists(os.path.join(self.root, key)) for key in self.keys[:PROBED])  # noqa: PTH118 (any name)

    def subset(self, rows: Iterable[int], out: Path, named: bool) -> None:
        """Writes a list."""
        up = os.path.relpath(Path(self.root).resolve(), out.resolve())
        write_list(
            out / LIST,
            ((os.path.normpath(f"{up}/{self.keys[row]}"), self.identities[row] if named else None) for row in rows),
        )


def write_list(path: Path, faces: Iterable[tuple[str, str | None]]) -> None:
    """Writes a list of faces. A warning names a person whom no list can hold.

    Args:
        path: The ``.tsv`` file.
        faces: Path relative to the list's folder, and identity or None.
    """
    lost: set[str] = set()

    def line(name: str, identity: str | None) -> str:
        if identity is None:
            return name
        if person_of(identity) != identity:
            lost.add(identity)
        return f"{name}\t{identity}"

    write_lines(path, (line(*face) for face in faces))
    if lost:
        logger.warning(
            "a person is called %r, which a list of faces takes for %r (None: nobody); rename the person, and do this "
            "again", min(lost), person_of(min(lost)),
        )  # fmt: skip


def open_folder(path: Path) -> FileStore:
    """Opens a folder of images; a face's identity is the folder that it lies in, see `identities_of`.

    Hidden files and folders, whose names begin with a dot, and the folders @eaDir of Synology's disks are left out:
    systems keep thumbnails and deleted pictures in them. Says how many these are, and how many files are left out
    because of their suffix.

    Raises:
        InputError: Files, but none with the suffix of a picture.
    """
    hidden: list[str] = []
    files = sorted(files_below(path, hidden))
    say_hidden(path, hidden)
    keys = [name for name in files if name.lower().endswith(SUFFIXES)]
    others = Counter(Path(name).suffix.lower() or "no suffix" for name in files if not name.lower().endswith(SUFFIXES))
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
    if others and not keys:
        raise InputError(
            f"{path}: no faces among its files ({kinds}); pictures are {', '.join(SUFFIXES)}: convert others to JPEG"
        )
    if others:
        logger.info("%s: %d of %d files are pictures; left out by their suffix: %s", path, len(keys), len(files), kinds)
    return FileStore(path, path, keys, identities_of(keys, path))


def say_hidden(path: Path, hidden: Sequence[str]) -> None:
    """Says how many hidden files and folders a store leaves out, if any."""
    if hidden:
        logger.info("%s: left out as hidden: %s, such as %s", path, counted(len(hidden), "entry"), min(hidden))


def identities_of(keys: Sequence[str], path: Path) -> list[str | None]:
    """The folder that each face lies in, None at the top.

    If all folders at the top are parts of a data set (`PARTS`), as torchvision's ImageFolder wants it, the folders in
    them are the identities. Two folders of one name in two parts are one person.
    """
    tops = {key.partition("/")[0] for key in keys}
    folders = [key.rpartition("/")[0] for key in keys]
    if keys and tops <= PARTS and all("/" in folder for folder in folders):
        people = {top: {folder for folder in folders if folder.startswith(f"{top}/")} for top in sorted(tops)}
        folders = [folder.partition("/")[2] for folder in folders]
        shared = sum(map(len, people.values())) - len(set(folders))
        logger.info("%s: people of %s; %d of them in several of these", path, ", ".join(people), shared)
    return [folder or None for folder in folders]


def files_below(root: Path, hidden: list[str]) -> Iterator[str]:
    """The relative paths of all files below a folder; each folder is read once, whatever links lead to it.

    Args:
        root: The folder.
        hidden: Paths of hidden files and folders, which are left out; filled here.
    """
    top = os.path.realpath(root)
    pending, seen = [("", str(root), "")], set[str]()
    while pending:
        prefix, folder, real = pending.pop()  # `real` is set where a link led
        if real:
            if real in seen or f"{real}/".startswith(f"{top}/"):
                continue
            seen.add(real)
        folders = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if left_by_macos(entry.name) or entry.name in NO_FILES:
                    continue
                if made_by_a_system(entry.name):
                    hidden.append(prefix + entry.name)
                elif not is_folder(entry):
                    yield prefix + entry.name
                elif entry.is_symlink():
                    folders.append((f"{prefix}{entry.name}/", entry.path, os.path.realpath(entry.path)))
                else:
                    folders.append((f"{prefix}{entry.name}/", entry.path, real and f"{real}/{entry.name}"))
        pending += sorted(folders, reverse=True)


def open_list(path: Path) -> FileStore:
    """Opens a list of faces.

    Raises:
        InputError: Not readable, a line that is not of its kind, or none of the first files is there.
    """
    keys, identities = read_face_list(path)
    store = FileStore(path, path.parent, keys, identities)
    if not any(os.path.isfile(path.parent / key) for key in keys[:PROBED]):  # noqa: PTH113 (any name)
        raise InputError(
            f"{path}: none of its first {min(PROBED, len(keys))} files exists, e.g. {path.parent / keys[0]}; "
            "paths are relative to the list's folder"
        )
    return store
