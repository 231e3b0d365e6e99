"""Faces in a zip file of folders of pictures."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from facerec.pipeline.files import InputError, check_file, readable
from facerec.pipeline.fingerprint import made_by_a_system
from facerec.pipeline.keys import parts_inside
from facerec.stores.folder import identities_of, say_hidden
from facerec.stores.shards import write_copies
from facerec.stores.store import SUFFIXES, Store, left_by_macos

MOST_BYTES = 1 << 26  # of a picture, unpacked


class ZipStore(Store):
    """Every face a member of one zip file; a face's identity is the folder that it lies in."""

    def __init__(self, path: Path, keys: list[str]):
        separated = any("/" in key for key in keys)  # else perhaps by PowerShell 5, which writes backslashes
        super().__init__(path, keys, identities_of(keys if separated else [k.replace("\\", "/") for k in keys], path))
        self.opened: tuple[int, zipfile.ZipFile] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "opened": None}

    def encoded(self, row: int) -> bytes:
        """The member, unpacked."""
        if self.opened is None or self.opened[0] != os.getpid():  # a file's place is not shared by processes
            self.opened = os.getpid(), zipfile.ZipFile(self.path)
        try:
            info = self.opened[1].getinfo(self.keys[row])
            if info.file_size > MOST_BYTES:
                raise OSError(f"{info.file_size} bytes, more than a picture's")
            return self.opened[1].read(info)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # unpackers raise many kinds
            raise OSError(f"cannot be unpacked: {error}") from None

    def subset(self, rows: Iterable[int], out: Path, named: bool) -> None:
        """Copies the members."""
        write_copies(self, rows, out, named)


def open_zip(path: Path) -> ZipStore:
    """Opens a zip file; hidden files and folders in it are left out, as in a folder.

    Raises:
        InputError: Not a zip file, or one with a password.
    """
    check_file(path)
    with readable(path, "a zip file"), zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
    if any(info.flag_bits & 1 for info in members):
        raise InputError(f"{path}: has a password; unpack it, and give the folder")
    names = [info.filename for info in members]
    shown = (name for name in names if not (name.startswith("__MACOSX/") or left_by_macos(name)))
    pictures = sorted(name for name in shown if name.lower().endswith(SUFFIXES))
    hidden = {name for name in pictures if any(map(made_by_a_system, parts_inside(name)))}
    say_hidden(path, sorted(hidden))
    return ZipStore(path, [name for name in pictures if name not in hidden])
