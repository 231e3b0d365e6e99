"""What an input is: everything that a stage can read below a path, and the files elsewhere that are named there.

Hidden files and folders, and others that systems make, do not count.

An input has a *stamp* and a *hash*. The stamp is made of names, sizes, times and inodes, which takes seconds for ten
million files. Where it is the same, so is the input. The hash is made of names, sizes and contents. Where the stamp
differs, the hash decides, so that a copied folder is the same input. After `MOST_BYTES` further files count in the hash
by their modification time instead.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from facerec.pipeline.face_lists import listed_paths
from facerec.pipeline.files import InputError, is_folder
from facerec.pipeline.named_part import split_part
from facerec.pipeline.raw_floats import meta_of

MOST_BYTES = 16 << 30
HASH_BLOCK = 1 << 22
NOT_COUNTED = ("meta.json", "tensorboard", "index_of_tars.parquet")
"""Entries at the top of a folder that differ from run to run, or that reading it makes."""

REFERS = " -> "
"""Between the names of a file and of another one that it names, or that is read with it."""

OF_SYSTEMS = ("Thumbs.db", "desktop.ini", "@eaDir")
"""Files and folders, beside hidden ones, that systems make where somebody looks at pictures; no stage reads them."""


@dataclass(frozen=True)
class InputFiles:
    """The files of an input.

    Attributes:
        path: A file or a folder; ``FILE:NAME`` is that file, of which another part is another input.
        without: Paths that are no part of it: the output of the stage that reads it.
        depth: How many lists of stores that name others are followed.
    """

    path: Path
    without: Sequence[Path] = ()
    depth: int = 3

    @cached_property
    def entries(self) -> dict[str, tuple[Path, os.stat_result | None]]:
        """Path and status of every file, by its name; the status of a file that is named but missing is None.

        Raises:
            InputError: Nothing at the path.
        """
        file, part = split_part(self.path)
        if not file.exists():
            raise InputError(f"{self.path}: no such file or folder")
        if not file.is_file() and not file.is_dir():
            raise InputError(f"{self.path}: neither a file nor a folder")
        found = dict(self._below()) if file.is_dir() else {"" if part is None else f":{part}": file}
        for name, one in list(found.items()):
            if _refers(name) or (one == file and _refers(one.name, alone=True)):
                found |= {f"{name}{REFERS}{other}": path for other, path in self._referred(one)}
        if file.is_file():  # of a folder they are part already
            found |= {f"{REFERS}{one.suffix or one.name}": one for one in _beside(file) if one.is_file()}
        else:
            found |= {f"{REFERS}{one.name}": one for one in _above(file) if one.is_file()}
        return {name: (found[name], _status(found[name])) for name in sorted(found)}

    @cached_property
    def stamp(self) -> str:
        """Of names, sizes, times (ns) and inodes."""
        digest = hashlib.blake2b(digest_size=16)
        for name, (_, status) in self.entries.items():
            seen = status and (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino)
            digest.update(f"{name}\0{seen}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    @cached_property
    def hash(self) -> str:
        """Of names, sizes and contents, and of modification times once `MOST_BYTES` have been read."""
        digest, left = hashlib.blake2b(digest_size=16), MOST_BYTES
        for name, (path, status) in self.entries.items():
            size = -1 if status is None else status.st_size
            digest.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
            if status is None or not stat.S_ISREG(status.st_mode):
                continue
            left -= size
            if left < 0:
                digest.update(f"{status.st_mtime_ns}\0".encode())
            else:
                _add_contents(digest, path)
        return digest.hexdigest()

    def _referred(self, file: Path) -> Iterator[tuple[str, Path]]:
        """The files that a file names, as they stand there. What cannot be read names nothing: the stage says so."""
        if not file.is_file():
            return
        kinds = {
            ".tsv": listed_paths, ".csv": listed_paths, ".lst": listed_paths, ".parquet": _of_index,
            ".txt": self._of_stores, ".onnx": _of_network, ".bin": _of_features,
        }  # fmt: skip
        try:
            for name in kinds[file.suffix.lower()](file):
                yield name, file.parent / name
        except Exception:  # whatever a damaged file makes its reader raise
            return

    def _of_stores(self, file: Path) -> Iterator[str]:
        lines = {os.path.realpath(file.parent / line): line for line in listed_paths(file)} if self.depth else {}
        for line in lines.values():
            inner = InputFiles(file.parent / line, self.without, self.depth - 1)
            yield from (os.path.relpath(path, file.parent) for path, _ in inner.entries.values())

    def _below(self) -> Iterator[tuple[str, Path]]:
        left_out = {os.path.realpath(path) for path in self.without}
        pending, seen = [("", self.path)], {os.path.realpath(self.path)}
        while pending:
            prefix, folder = pending.pop()
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = prefix + entry.name
                    if name in NOT_COUNTED or entry.name.endswith(".partial") or made_by_a_system(entry.name):
                        continue
                    if not is_folder(entry):
                        yield name, Path(entry.path)
                    elif (real := os.path.realpath(entry.path)) not in left_out | seen:
                        if entry.is_symlink():
                            seen.add(real)  # a loop of links is followed once
                        pending.append((f"{name}/", Path(entry.path)))


def made_by_a_system(name: str) -> bool:
    """Whether a file or folder is hidden, or one of `OF_SYSTEMS`."""
    return name.startswith(".") or name in OF_SYSTEMS


def _beside(file: Path) -> list[Path]:
    """The files that a store is read from together with the one that names it."""
    if file.name == "stores.txt":
        return [file.with_name("order.npy")]
    return [file.with_suffix(".idx"), file.with_suffix(".lst"), file.with_name("property")] * (
        file.suffix.lower() == ".rec"
    )


def _above(folder: Path) -> list[Path]:
    """The lists of pictures that CFP's folders Split/FF and Split/FP of pairs are read with."""
    place, kinds = folder.absolute().parent.parent, sorted(set(folder.name))
    return [place / f"Pair_list_{kind}.txt" for kind in kinds] if folder.name in ("FF", "FP") else []


def _refers(name: str, alone: bool = False) -> bool:
    """Whether a file may name others; some kinds only where they are the input, not a file in a folder."""
    last = name.rpartition("/")[2].lower()
    return last.endswith((".tsv", ".onnx", *((".csv", ".lst", ".bin") if alone else ()))) or last in (
        "index.parquet", "stores.txt",
    )  # fmt: skip


def _of_features(file: Path) -> Iterator[str]:
    if meta := meta_of(file):
        yield os.path.relpath(meta, file.parent)


def _of_index(file: Path) -> Iterator[str]:
    import pyarrow.parquet as pq

    yield from sorted(set(pq.read_table(file, columns=["shard"])["shard"].to_pylist()))


def _of_network(file: Path) -> Iterator[str]:
    import onnx
    from onnx.external_data_helper import uses_external_data

    graph = onnx.load(file, load_external_data=False).graph
    for tensor in graph.initializer:
        if uses_external_data(tensor):
            yield from (item.value for item in tensor.external_data if item.key == "location")


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _add_contents(digest: hashlib.blake2b, path: Path) -> None:
    try:
        with path.open("rb") as file:
            while block := file.read(HASH_BLOCK):
                digest.update(block)
    except OSError as error:
        digest.update(f"\0{error.errno}\0".encode())
