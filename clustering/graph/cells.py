"""Faces in the order of their cells: k-means in two levels, codes and embeddings on disk, cell after cell."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from clustering.graph.blocks_on_disk import Arrays, cached_json, cheap_rows, fill_arrays, release
from clustering.graph.builder import GraphBuilder
from clustering.graph.codes import Quantiser, multiplier, shifted
from clustering.graph.exact import take
from clustering.graph.in_threads import in_threads
from facerec.pipeline.files import blocks
from facerec.pipeline.ranks import make_once

COMPARED_ROWS = 128
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
    file = make_once(folder / "centres.npy", lambda path: np.save(path, train_cells(builder, settings)))
    quantiser = Quantiser(*cached_json(folder / "quantiser.json", lambda: _quantiser(builder, settings)))
    centres = quantiser.encode(np.load(file))
    times_centres = multiplier(centres)

    def assign(places: np.ndarray) -> tuple[np.ndarray, ...]:
        left = shifted(quantiser.encode(take(builder.embeddings, builder.readable[places])))
        found = in_threads(lambda some: times_centres(some).argmax(axis=1), blocks(left, COMPARED_ROWS))
        return (np.concatenate(found).astype(np.int32),)

    assigned, rows = {"cells": ((), np.int32)}, cheap_rows(n)
    (cells,) = fill_arrays(folder, folder / "assigned" / "finished", n, assigned, "cells", lambda: assign, rows)
    order = np.load(make_once(folder / "order.npy", lambda path: np.save(path, np.argsort(cells, kind="stable"))))
    order = builder.readable[order]

    def copy(places: np.ndarray) -> tuple[np.ndarray, ...]:
        rows = take(builder.embeddings, order[places])
        return rows, quantiser.encode(rows)

    arrays: Arrays = {"embeddings": ((d,), np.float32), "codes": ((d,), np.int8)}
    sorted_rows, codes = fill_arrays(folder, folder / "sorted" / "finished", n, arrays, "sorting", lambda: copy, rows)
    starts = np.append(0, np.cumsum(np.bincount(cells, minlength=len(centres))))
    release(builder.embeddings)
    return SortedFaces(sorted_rows, codes, order, starts, centres, quantiser)


def train_cells(builder: GraphBuilder, settings: CellSettings) -> np.ndarray:
    """Float32 [cells, d]: unit means, those of the same coarse cell one after the other.

    The number of coarse cells is the square root of the number of cells. Each is divided into cells in proportion to
    its faces. This takes a fraction of the time of one k-means with all cells, and finds nearly the same.
    """
    with threadpool_limits(1):  # with more, products have other last digits
        return _train_cells(builder, settings)


def _train_cells(builder: GraphBuilder, settings: CellSettings) -> np.ndarray:
    count = settings.cells(len(builder.readable))
    rows = _sample(builder, max(settings.training_rows, count * settings.rows_of_cell))
    some = rows[:: -(-len(rows) // settings.training_rows)]
    coarse = _means(some, max(round(count**0.5), 1), builder.seed, settings.iterations)
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(coarse)
    cells = index.search(rows, 1)[1][:, 0]
    share, means = count / len(rows), []
    for cell in np.unique(cells):
        part = rows[cells == cell]
        means.append(_means(part, max(round(share * len(part)), 1), builder.seed, settings.iterations))
    return np.concatenate(means)


def _means(rows: np.ndarray, count: int, seed: int, iterations: int) -> np.ndarray:
    means: Any = faiss.Kmeans(
        rows.shape[1], min(count, len(rows)), niter=iterations, seed=seed, spherical=True, min_points_per_centroid=1,
        max_points_per_centroid=len(rows),
    )  # fmt: skip
    means.train(rows)
    return np.asarray(means.centroids)


def _sample(builder: GraphBuilder, count: int, most: int | None = None) -> np.ndarray:
    """Float32 [m, d]: so many rows to train on, or the first `most` of them."""
    readable = builder.readable
    chosen = np.random.default_rng(builder.seed).permutation(len(readable))[:count]
    return take(builder.embeddings, np.sort(readable[chosen])[:most])


def _quantiser(builder: GraphBuilder, settings: CellSettings) -> tuple[float, float]:
    found = Quantiser.of(_sample(builder, settings.training_rows, QUANTISER_ROWS))
    return found.scale, found.slack
