"""Several face stores as one, row after row, with the identities of each kept apart.

``stores.txt`` has a store a line: its path, relative to the list's folder, and perhaps, after a tab, a name for it. The
name (by default the path) is put before the store's keys and identities, so that neither meet those of another store.
If ``order.npy`` lies beside it (int64 [n]), row i is row order[i] of the stores one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from facerec.artifacts import InputError, load_array, write_lines
from facerec.store import STORES, Store, open_store

ORDER = "order.npy"


class UnionStore(Store):
    """The faces of several stores.

    Args:
        path: Where it was opened.
        stores: The stores, at least one.
        names: Of each, put before its keys and identities.
        order: Int64 [n], rows of the stores one after the other; by default all of them.
    """

    def __init__(self, path: Path, stores: Sequence[Store], names: Sequence[str], order: np.ndarray | None = None):
        self.stores, self.names = list(stores), list(names)
        self.begins = np.cumsum([0, *map(len, self.stores)])
        self.order = np.arange(self.begins[-1]) if order is None else order
        keys: list[str] = []
        identities: list[str | None] = []
        for name, store in zip(self.names, self.stores, strict=True):
            keys += [f"{name}/{key}" for key in store.keys]
            identities += [None if identity is None else f"{name}/{identity}" for identity in store.identities]
        super().__init__(path, [keys[row] for row in self.order], [identities[row] for row in self.order])

    def encoded(self, row: int) -> bytes:
        """The image file, from the store that has it."""
        place = self.order[row]
        number = int(np.searchsorted(self.begins, place, side="right")) - 1
        return self.stores[number].encoded(int(place - self.begins[number]))

    def subset(self, rows: Iterable[int], out: Path, named: bool) -> None:
        """Writes a store of the rows of each store, into folders ``0``, ``1`` and so on, and a list of those."""
        places = self.order[np.fromiter(rows, np.int64)]
        numbers = np.searchsorted(self.begins, places, side="right") - 1
        used = np.unique(numbers).tolist()
        for folder, number in enumerate(used):
            (out / str(folder)).mkdir()
            kept = places[numbers == number] - self.begins[number]
            self.stores[number].subset(kept.tolist(), out / str(folder), named)
        write_lines(out / STORES, (f"{folder}\t{self.names[number]}" for folder, number in enumerate(used)))
        order = np.empty(len(places), np.int64)
        order[np.argsort(numbers, kind="stable")] = np.arange(len(places))
        np.save(out / ORDER, order)


def open_union(path: Path, file: Path, inside: tuple[Path, ...] = ()) -> UnionStore:
    """Opens the stores of a list.

    Args:
        path: The union's, for messages.
        file: The list.
        inside: The lists that this one stands in.

    Raises:
        InputError: Not text, no stores, a line of more than two fields, one name twice, a list that stands in itself,
            an order that is none of rows, or a store that cannot be opened.
    """
    inside = (*inside, file.resolve())
    try:
        lines = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as text ({error})") from None
    if not lines or not all(1 <= len(fields) <= 2 and all(fields) for fields in lines):
        raise InputError(f"{file}: expected one store a line, its path, or path<TAB>name")
    names = [fields[-1] for fields in lines]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{file}: {twice!r} stands there more than once; give one of them another name, after a tab")
    stores = [_open_part(file.parent / fields[0], inside) for fields in lines]
    order = None
    if (file.parent / ORDER).exists():
        order = np.asarray(load_array(file.parent / ORDER, kind="iu", ndim=1), np.int64)
        rows = sum(map(len, stores))
        if order.min() < 0 or order.max() >= rows or len(np.unique(order)) < len(order):
            raise InputError(f"{file.parent / ORDER}: not an order of the {rows} faces of the stores in {file.name}")
    return UnionStore(path, stores, names, order)


def _open_part(path: Path, inside: tuple[Path, ...]) -> Store:
    file = path if path.name == STORES else path / STORES
    if not file.is_file():
        return open_store(path)
    if file.resolve() in inside:
        raise InputError(f"{inside[-1]}: {path} leads back to {file}; a list of stores cannot have itself in it")
    return open_union(path, file, inside)
