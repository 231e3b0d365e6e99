"""Faces in the order of their cells: codes and embeddings on disk, cell after cell."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from clustering.graph.blocks_on_disk import Arrays, cached_json, cheap_rows, fill_arrays, release
from clustering.graph.builder import GraphBuilder
from clustering.graph.centres import Centres, save_centres
from clustering.graph.codes import Quantiser, multiplier, shifted
from clustering.graph.exact import take
from facerec.pipeline.ranks import make_once

QUANTISER_ROWS = 16_384


@dataclass(frozen=True)
class CellSettings:
    """How n faces are divided into cells.

    Attributes:
        rows: Mean number of faces in a cell, while there are few cells.
        looked_into: Cells that the first search of a face looks into. To find them among all cells and to look into
            them costs least together with ``sqrt(looked_into n)`` cells. There are no more, and larger ones instead.
        training_rows: Faces on which cells are trained; more if there are many cells.
        rows_of_cell: Fewest training faces for each cell.
        iterations: Iterations of k-means on each of the two levels.
    """

    rows: int = 200
    looked_into: int = 32
    training_rows: int = 262_144
    rows_of_cell: int = 16
    iterations: int = 10

    def cells(self, faces: int) -> int:
        """Number of cells for so many faces."""
        return max(min(faces // self.rows, math.isqrt(self.looked_into * faces)), 1)


@dataclass(frozen=True)
class SortedFaces:
    """The readable faces in the order of their cells; places in that order stand for faces.

    Attributes:
        embeddings: float32 [m, d], mapped.
        codes: int8 [m, d], mapped.
        order: int64 [m]: the row of each face in the graph.
        starts: int64 [cells + 1]: where each cell begins, and the end.
        centres: int8 [cells, d]: codes of the cells' means.
        quantiser: What made the codes.
    """

    embeddings: np.ndarray
    codes: np.ndarray
    order: np.ndarray
    starts: np.ndarray
    centres: np.ndarray
    quantiser: Quantiser

    def __len__(self) -> int:
        return len(self.order)

    @cached_property
    def times_centres(self) -> Callable[[np.ndarray], np.ndarray]:
        """The products, int32 [q, cells], of `shifted` codes [q, d] with all centres."""
        return multiplier(self.centres)


def sort_faces(builder: GraphBuilder, settings: CellSettings) -> SortedFaces:
    """Makes the cells and sorts the faces, by all processes together; goes on from what is finished on disk."""
    folder, (n, d) = builder.steps / "cells", (len(builder.readable), builder.embeddings.shape[1])
    file = make_once(folder / "centres.npz", lambda path: _train(path, builder, settings))
    quantiser = Quantiser(*cached_json(folder / "quantiser.json", lambda: _quantiser(builder, settings)))
    centres = Centres.read(file, quantiser)

    def assign(places: np.ndarray) -> tuple[np.ndarray, ...]:
        rows = take(builder.embeddings, builder.readable[places])
        return (centres.nearest(shifted(quantiser.encode(rows))),)

    assigned, rows = {"cells": ((), np.int32)}, cheap_rows(n)
    (cells,) = fill_arrays(folder, folder / "assigned" / "finished", n, assigned, "cells", lambda: assign, rows)
    order = np.load(make_once(folder / "order.npy", lambda path: np.save(path, np.argsort(cells, kind="stable"))))
    order = builder.readable[order]

    def copy(places: np.ndarray) -> tuple[np.ndarray, ...]:
        rows = take(builder.embeddings, order[places])
        return rows, quantiser.encode(rows)

    arrays: Arrays = {"embeddings": ((d,), np.float32), "codes": ((d,), np.int8)}
    sorted_rows, codes = fill_arrays(folder, folder / "sorted" / "finished", n, arrays, "sorting", lambda: copy, rows)
    starts = np.append(0, np.cumsum(np.bincount(cells, minlength=len(centres.codes))))
    release(builder.embeddings)
    return SortedFaces(sorted_rows, codes, order, starts, centres.codes, quantiser)


def _train(path: Path, builder: GraphBuilder, settings: CellSettings) -> None:
    count = settings.cells(len(builder.readable))
    rows = _sample(builder, max(settings.training_rows, count * settings.rows_of_cell))
    save_centres(path, rows, count, settings.training_rows, settings.iterations, builder.seed)


def _sample(builder: GraphBuilder, count: int, most: int | None = None) -> np.ndarray:
    """Float32 [m, d]: so many rows to train on, or the first `most` of them."""
    readable = builder.readable
    chosen = np.random.default_rng(builder.seed).permutation(len(readable))[:count]
    return take(builder.embeddings, np.sort(readable[chosen])[:most])


def _quantiser(builder: GraphBuilder, settings: CellSettings) -> tuple[float, float]:
    found = Quantiser.of(_sample(builder, settings.training_rows, QUANTISER_ROWS))
    return found.scale, found.slack
