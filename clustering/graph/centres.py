"""The centres of the cells: k-means in two levels, and which centre is nearest to a face, found in two steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from clustering.graph.codes import Quantiser, multiplier, products
from clustering.graph.in_threads import in_threads
from facerec.pipeline.files import blocks
from facerec.pipeline.values import INT_SEEDS

LOOKED_INTO = 8
"""Coarse cells among whose centres the nearest is sought."""
PRODUCT_ROWS = 1024
SAMPLED_CELLS, LEAST_PLACE = 512, 4
LOWEST = -(1 << 25)
"""Below all products of unit rows' codes."""
MOST_PRODUCTS, LEAST_COMPARED, MOST_COMPARED = 1 << 18, 24, 512


Multiplier = Callable[[np.ndarray], np.ndarray]
"""The products, int32 [q, n], of `shifted` codes, uint8 [q, d], with those of n rows; see `multiplier`."""


class Visits(NamedTuple):
    """Which of b searching faces, numbered from 0, look into which cell.

    Attributes:
        searching: int32 [visits]: the face of each visit, cell by cell.
        starts: int64 [cells + 1]: where each cell's visits begin, and the end.
    """

    searching: np.ndarray
    starts: np.ndarray


@dataclass(frozen=True)
class Centres:
    """The means of all cells, those of the same coarse cell one after the other, as codes.

    Attributes:
        codes: int8 [cells, d].
        coarse: int8 [c, d]: the means of the coarse cells.
        starts: int64 [c + 1]: where the centres of each coarse cell begin, and the end.
    """

    codes: np.ndarray
    coarse: np.ndarray
    starts: np.ndarray

    @classmethod
    def read(cls, file: Path, quantiser: Quantiser) -> Centres:
        """Those that `save_centres` wrote."""
        with np.load(file, allow_pickle=False) as archive:
            return cls(quantiser.encode(archive["means"]), quantiser.encode(archive["coarse"]), archive["starts"])

    def nearest(self, queries: np.ndarray) -> np.ndarray:
        """Int32 [b]: the nearest centre of each face, sought in the `LOOKED_INTO` coarse cells nearest to it.

        This takes a third of the time of a search among 18,000 centres. Nine of ten faces get the centre that is
        nearest of all, the others one that is nearly as near.

        Args:
            queries: uint8 [b, d], `shifted` codes of the faces.
        """
        visits = nearest_cells(self._times_coarse, len(self.coarse), queries, LOOKED_INTO)
        parts = [
            (coarse, some)
            for coarse, (start, end) in enumerate(pairwise(visits.starts))
            for some in blocks(visits.searching[start:end], PRODUCT_ROWS)
        ]
        best, nearest = np.full(len(queries), LOWEST, np.int32), np.zeros(len(queries), np.int32)
        for (_, some), (cells, scores) in zip(parts, in_threads(partial(self._best_of, queries), parts), strict=True):
            better = scores > best[some]
            some = some[better]
            best[some], nearest[some] = scores[better], cells[better]
        return nearest

    def _best_of(self, queries: np.ndarray, part: tuple[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The best centres in a coarse cell for some faces, and their products."""
        coarse, some = part
        start, end = self.starts[coarse : coarse + 2]
        scores = products(np.take(queries, some, axis=0), self.codes[start:end])
        cells = scores.argmax(axis=1)
        return cells + start, scores[np.arange(len(some)), cells]

    @cached_property
    def _times_coarse(self) -> Multiplier:
        return multiplier(self.coarse)


def nearest_cells(times_centres: Multiplier, count: int, queries: np.ndarray, cells: int, known: int = 0) -> Visits:
    """Which cells faces look into: about the `cells` nearest of each, without about the `known` nearest.

    How near a cell must be is read from a sample of many cells, which is faster than sorting all of them.

    Args:
        times_centres: The products of codes with all centres.
        count: How many centres there are.
        queries: uint8 [b, d], `shifted` codes of the faces.
        cells: About how many cells each looks into.
        known: About how many of the nearest are left out.
    """
    at_once = compared_rows(count)
    parts = in_threads(partial(_pairs, times_centres, count, cells, known), blocks(queries, at_once))
    searching = np.concatenate([rows + number * at_once for number, (rows, _) in enumerate(parts)])
    cell = np.concatenate([cell for _, cell in parts])
    order = np.argsort(cell, kind="stable")
    return Visits(searching[order], np.append(0, np.cumsum(np.bincount(cell, minlength=count))))


def _pairs(
    times_centres: Multiplier, count: int, cells: int, known: int, queries: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a face, int32, and a cell that it looks into."""
    scores = times_centres(queries)
    chosen = scores >= (_limits(scores, cells) if cells < count else LOWEST)
    if known:
        chosen &= scores < _limits(scores, known)
    searching, cell = np.divmod(chosen.ravel().nonzero()[0], count)
    return searching.astype(np.int32), cell.astype(np.uint16 if count <= 1 << 16 else np.int32)


def _limits(scores: np.ndarray, cells: int) -> np.ndarray:
    """Int32 [b, 1]: about the `cells`-th largest of each row, the right one of a sample."""
    every = max(min(scores.shape[1] // SAMPLED_CELLS, cells // LEAST_PLACE), 1)
    sample = scores[:, ::every].copy()
    place = max(sample.shape[1] - cells // every, 0)
    sample.partition(place, axis=1)
    return sample[:, place, None]


def compared_rows(centres: int) -> int:
    """Faces that are multiplied with so many centres at once: few enough that their products stay in the cache."""
    return max(min(MOST_PRODUCTS // max(centres, 1), MOST_COMPARED), LEAST_COMPARED)


def save_centres(path: Path, rows: np.ndarray, count: int, coarse_rows: int, iterations: int, seed: int) -> None:
    """Trains the means of the cells and writes them as an archive, for `Centres.read`.

    The number of coarse cells is the square root of the number of cells. Each is divided into cells in proportion to
    its faces. This takes a fraction of the time of one k-means with all cells, and finds nearly the same.

    Args:
        path: The file.
        rows: float32 [m, d]: faces to train on.
        count: About how many cells.
        coarse_rows: Most faces to train the coarse cells on.
        iterations: Iterations of k-means on each of the two levels.
        seed: Of the first means.
    """
    with threadpool_limits(1), path.open("wb") as file:  # with more threads, products have other last digits
        means, coarse, sizes = _trained(rows, count, coarse_rows, partial(_means, seed=seed, iterations=iterations))
        np.savez(file, means=means, coarse=coarse, starts=np.append(0, np.cumsum(sizes)))


def _trained(
    rows: np.ndarray, count: int, coarse_rows: int, means_of: Callable[[np.ndarray, int], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The means of the cells, those of the coarse cells that have any, and how many each of these has."""
    some = rows[:: -(-len(rows) // coarse_rows)]
    coarse = means_of(some, max(round(count**0.5), 1))
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(coarse)
    cells = index.search(rows, 1)[1][:, 0]
    share, used, means = count / len(rows), np.unique(cells), []
    for cell in used:
        part = rows[cells == cell]
        means.append(means_of(part, max(round(share * len(part)), 1)))
    return np.concatenate(means), coarse[used], [len(part) for part in means]


def _means(rows: np.ndarray, count: int, seed: int, iterations: int) -> np.ndarray:
    means: Any = faiss.Kmeans(
        rows.shape[1], min(count, len(rows)), niter=iterations, seed=seed % INT_SEEDS, spherical=True,
        min_points_per_centroid=1, max_points_per_centroid=len(rows),
    )  # fmt: skip
    means.train(rows)
    return np.asarray(means.centroids)
