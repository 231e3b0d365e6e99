"""Opens a face store of any kind."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from facerec.pipeline.face_lists import LISTS
from facerec.pipeline.files import InputError, is_folder, load_array, read_lines
from facerec.pipeline.fingerprint import made_by_a_system
from facerec.pipeline.values import as_path, first_repeated, whole
from facerec.stores.folder import files_below, open_folder, open_list
from facerec.stores.parquet_store import has_pictures, open_parquet
from facerec.stores.pixels import MOST_PIXELS
from facerec.stores.recordio import open_recordio
from facerec.stores.shards import open_shards
from facerec.stores.store import INDEX, LIST, RECORDS, STORES, SUFFIXES, Store
from facerec.stores.tar_index import KEPT, open_tars
from facerec.stores.union import ORDER, UnionStore
from facerec.stores.zip_store import open_zip

logger = logging.getLogger(__name__)

HINTS = {
    ".idx": "give the .rec beside it, or their folder",
    ".bin": "insightface's pairs are unpacked by python -m facerec bin --file FILE.bin --out FOLDER",
    ".npy": "commands that take --embeddings read it",
}
"""What to do with files that are often taken for faces, by suffix."""

MOST_LISTS, MOST_STORES = 4, 100_000
"""Lists of stores in each other, of which the fingerprint of an input follows as many; and stores in all of them."""


def open_store(path: str | Path, max_pixels: int = MOST_PIXELS) -> Store:
    """Opens a face store of any kind: a folder, a list, records, tar shards, or a list of stores.

    Args:
        path: The store.
        max_pixels: Largest height times width of an image. Larger images count as unreadable.

    Raises:
        InputError: There is nothing at `path`, or the store has no faces, repeated keys, an unreadable list or index,
            or a tar file that is cut short; or `max_pixels` is not a whole number from 1 on.
    """
    max_pixels = whole("max_pixels", max_pixels, 1)
    store = _open(as_path("path", path))
    store.max_pixels = max_pixels
    return store


def _open(path: Path) -> Store:
    if path.is_dir():
        return _open_folder(path)
    if not path.exists():
        raise InputError(f"{path}: no such face store")
    suffix = path.suffix.lower()
    if suffix in LISTS:
        return open_list(path)
    if path.name == STORES:
        return open_union(path, path)
    openers: dict[str, Callable[[Path], Store]] = {
        ".rec": lambda file: open_recordio(file, file), ".tar": lambda file: open_tars(file, [file]),
        ".parquet": lambda file: open_parquet(file, [file]), ".zip": open_zip,
    }  # fmt: skip
    if suffix in openers:
        return openers[suffix](path)
    if path.name == "property" or suffix in HINTS:
        raise InputError(f"{path}: not a face store; {HINTS.get(suffix, HINTS['.idx'])}")
    raise InputError(
        f"{path}: not a face store; give a folder of images or of tar shards, a list (.tsv, .csv, .lst), a .rec, .tar, "
        f".parquet or .zip file, or {STORES}"
    )


def _open_folder(path: Path) -> Store:
    """What a folder holds: an index or a list, records, tar files, tables of pictures, or pictures."""
    if (path / INDEX).exists():
        return open_shards(path, path / INDEX)
    if (path / LIST).exists():
        return open_list(path / LIST)
    if (path / RECORDS).exists():
        return open_recordio(path, path / RECORDS)
    if (path / STORES).exists():
        return open_union(path, path / STORES)
    files = _files(path)
    if tars := [file for file in files if file.suffix.lower() == ".tar"]:
        _say_left_out(path, tars[0])
        return open_tars(path, tars)
    tables = [file for file in files or _files(path / "data") if file.suffix.lower() == ".parquet"]
    if tables and has_pictures(tables[0]):
        _say_left_out(path, tables[0])
        return open_parquet(path, tables)
    records = [file for file in files if file.suffix.lower() == ".rec"]
    if len(records) > 1:
        raise InputError(f"{path}: {len(records)} .rec files, {records[0].name} and others; give one of them")
    if records:
        _say_left_out(path, records[0])
        return open_recordio(path, records[0])
    return open_folder(path)


def _say_left_out(path: Path, file: Path) -> None:
    """Warns of pictures in folders beside a file of many faces, which alone is read."""
    if picture := next((name for name in files_below(path, []) if name.lower().endswith(SUFFIXES)), None):
        logger.warning(
            "%s: %s and the like are read, but not the pictures in folders beside it, such as %s; move one of the two "
            "elsewhere", path, file.name, picture,
        )  # fmt: skip


def _files(folder: Path) -> list[Path]:
    """The files right in a folder that hold many faces each, by name; none if there are pictures beside them."""
    if not folder.is_dir():
        return []
    files = [entry.name for entry in os.scandir(folder) if not is_folder(entry)]
    names = sorted(name for name in files if name != KEPT and not made_by_a_system(name))
    if any(name.lower().endswith(SUFFIXES) for name in names):
        return []
    return [folder / name for name in names if Path(name).suffix.lower() in (".tar", ".parquet", ".rec")]


def open_union(path: Path, file: Path, inside: tuple[Path, ...] = (), opened: list[int] | None = None) -> UnionStore:
    """Opens the stores of a list.

    Args:
        path: The path under which the union was opened, for messages.
        file: The list.
        inside: The lists that lead to this one, the outermost first.
        opened: The number of stores in these lists together, as the one item of a list; this call adds its own.

    Raises:
        InputError: The list is no text, names no store or a name twice, has more than two fields in a line, leads to
            itself, or is too deep in other lists. Or its order is not one of the rows. Or a store cannot be opened.
    """
    inside = (*inside, file.resolve())
    if len(inside) > MOST_LISTS:
        raise InputError(f"{file}: a list of stores in {MOST_LISTS} others; name the stores in one list")
    lines = [line.split("\t") for line in read_lines(file) if line]
    if not lines or not all(1 <= len(fields) <= 2 and all(fields) for fields in lines):
        raise InputError(f"{file}: expected one store a line, its path, or path<TAB>name")
    names = [fields[-1] for fields in lines]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{file}: {twice!r} stands there more than once; give one of them another name, after a tab")
    opened = [0] if opened is None else opened
    opened[0] += len(lines)
    if opened[0] > MOST_STORES:
        raise InputError(f"{inside[0]}: more than {MOST_STORES:,} stores with those of the lists in it; name fewer")
    try:
        stores = [_open_part(file.parent / fields[0], inside, opened) for fields in lines]
    except OSError as error:
        raise InputError(f"{file}: {str(error.filename)[:80]}: {error.strerror}") from None
    places = [os.path.realpath(file.parent / fields[0]) for fields in lines]
    if (place := first_repeated(places)) is not None:
        one, other, *_ = (name for name, its in zip(names, places, strict=True) if its == place)
        logger.warning(
            "%s: %r and %r are one store, %s; each person in it counts as two people, with the same pictures",
            file, one, other, place,
        )  # fmt: skip
    order = None
    if (file.parent / ORDER).exists():
        order = np.asarray(load_array(file.parent / ORDER, kind="iu", ndim=1), np.int64)
        rows = sum(map(len, stores))
        if order.min() < 0 or order.max() >= rows or len(np.unique(order)) < len(order):
            raise InputError(f"{file.parent / ORDER}: not an order of the {rows} faces of the stores in {file.name}")
    return UnionStore(path, stores, names, order)


def _open_part(path: Path, inside: tuple[Path, ...], opened: list[int]) -> Store:
    file = path if path.name == STORES else path / STORES
    if not file.is_file():
        return _open(path)
    if file.resolve() in inside:
        raise InputError(f"{inside[-1]}: {path} leads back to {file}; a list of stores cannot have itself in it")
    return open_union(path, file, inside, opened)
