"""Several face stores as one, row after row, with the identities of each kept apart.

``stores.txt`` has a store a line: its path, relative to the list's folder, and perhaps, after a tab, a name for it. The
name (by default the path) is put before the store's keys and identities, so that neither meet those of another store.
If ``order.npy`` lies beside it (int64 [n]), row i is row order[i] of the stores one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from facerec.pipeline.files import write_lines
from facerec.stores.store import STORES, Store

ORDER = "order.npy"


class UnionStore(Store):
    """The faces of several stores.

    Args:
        path: Where it was opened.
        stores: The stores, at least one.
        names: Name of each store, put before its keys and identities.
        order: int64 [n], rows of the stores one after the other; by default all of them.
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

    def is_there(self) -> bool:
        """Whether all stores are."""
        return all(store.is_there() for store in self.stores)

    def subset(self, rows: Iterable[int], out: Path, named: bool) -> None:
        """Writes a store of the rows of each store, into folders ``0``, ``1`` and so on, and a list of those."""
        places = self.order[np.fromiter(rows, np.int64)]
        numbers = np.searchsorted(self.begins, places, side="right") - 1
        used = np.unique(numbers)
        for folder, number in enumerate(used):
            (out / str(folder)).mkdir()
            kept = places[numbers == number] - self.begins[number]
            self.stores[number].subset(kept.tolist(), out / str(folder), named)
        write_lines(out / STORES, (f"{folder}\t{self.names[number]}" for folder, number in enumerate(used)))
        order = np.empty(len(places), np.int64)
        order[np.argsort(numbers, kind="stable")] = np.arange(len(places))
        np.save(out / ORDER, order)
