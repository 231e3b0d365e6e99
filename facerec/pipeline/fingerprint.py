"""Contents of files and folders as a short hash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from facerec.pipeline.files import InputError

HASHED_BYTES = 64 << 20
HASH_BLOCK = 1 << 20
NOT_HASHED = ("meta.json", "tensorboard")


def fingerprint(path: Path) -> str:
    """A hash of a file's or a folder's contents.

    Files of up to 64 MiB are read whole; of larger ones the length and 64 evenly spaced blocks of 1 MiB. A folder is
    the names and lengths of everything in it, and the contents of the files at its top; ``meta.json`` and
    ``tensorboard``, which differ from run to run, do not count.

    Raises:
        InputError: Nothing there.
    """
    digest = hashlib.blake2b(digest_size=16)
    if path.is_file():
        _hash_file(path, digest)
    elif path.is_dir():
        for name, length, top in sorted(_listing(path, "")):
            digest.update(f"{name}\0{length}\0".encode())
            if top:
                _hash_file(path / name, digest)
    else:
        raise InputError(f"{path}: no such file or folder")
    return digest.hexdigest()


def _hash_file(path: Path, digest: hashlib.blake2b) -> None:
    length = path.stat().st_size
    digest.update(f"{length}\0".encode())
    with path.open("rb") as file:
        if length <= HASHED_BYTES:
            digest.update(file.read())
            return
        blocks = HASHED_BYTES // HASH_BLOCK
        for index in range(blocks):
            file.seek(index * (length - HASH_BLOCK) // (blocks - 1))
            digest.update(file.read(HASH_BLOCK))


def _listing(folder: Path, prefix: str) -> list[tuple[str, int, bool]]:
    entries: list[tuple[str, int, bool]] = []
    with os.scandir(folder) as found:
        for entry in found:
            name = prefix + entry.name
            if name in NOT_HASHED:
                continue
            if entry.is_dir():
                entries += _listing(Path(entry.path), name + "/")
            else:
                entries.append((name, entry.stat().st_size, prefix == ""))
    return entries
