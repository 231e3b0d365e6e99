"""Searches in the cells nearest to each face, by products of codes, a cell and all that look into it at a time."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from clustering.graph.cells import SortedFaces
from clustering.graph.codes import products
from clustering.graph.in_threads import in_threads
from facerec.pipeline.files import blocks

SAMPLED_CELLS, LEAST_PLACE = 512, 4
COMPARED_ROWS, PARTS = 1_024, 16
SCORE_BITS = 26
MOST_SCORE, LOWEST = 1 << 25, -(1 << 25)  # beyond all products of unit rows' codes


class Visits(NamedTuple):
    """Which of some faces look into which cell.

    Attributes:
        searching: int32 [pairs]: numbers of faces, cell by cell.
        starts: int64 [cells + 1]: where each cell's begin, and the end.
    """

    searching: np.ndarray
    starts: np.ndarray


class Hits(NamedTuple):
    """What counts of what was looked into: int32 [h] numbers of faces, int64 [h] places, int32 [h] products."""

    rows: np.ndarray
    places: np.ndarray
    scores: np.ndarray


def scan(
    faces: SortedFaces,
    places: np.ndarray,
    cells: int,
    limits: np.ndarray,
    most: int,
    first: tuple[int, int] = (0, 0),
    known: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """The best of what some faces find in their nearest cells, by products of codes.

    Args:
        faces: In the order of their cells.
        places: int64 [b]: of the faces that search.
        cells: About how many each looks into.
        limits: int32 [b]: products up to which nothing counts.
        most: Faces that are kept of each search.
        first: About how many of the cells each looks into before the others, and how many faces found there bound
            what counts in these.
        known: About how many of the cells are left out, the nearest.

    Returns:
        int64 [b, most] places, the best first, -1 where there are no more; and int32 [b, most] products, `LOWEST`
        there. A face finds itself, too.
    """
    queries, (near, enough) = faces.codes[places], first
    visits, others = nearest_cells(faces, queries, cells, near or known)
    hits = hits_of(faces, queries, others if known else visits, limits)
    if near:
        limits = np.maximum(limits, top(hits, len(places), enough)[1][:, -1] - 1)
        counts = np.flatnonzero(hits.scores > limits[hits.rows])
        further = hits_of(faces, queries, others, limits)
        hits = _joined([Hits(*(part[counts] for part in hits)), further])
    return top(hits, len(places), most)


def hits_of(faces: SortedFaces, queries: np.ndarray, visits: Visits, limits: np.ndarray) -> Hits:
    """All with products above each face's limit: int8 [b, d] codes of faces in the cells that they look into."""

    def work(cells: np.ndarray) -> Hits:
        found = [Hits(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int32))]
        for cell in cells:
            some = visits.searching[visits.starts[cell] : visits.starts[cell + 1]]
            start, end = faces.starts[cell], faces.starts[cell + 1]
            scores = products(queries[some], faces.codes[start:end])
            hits = np.flatnonzero(scores > limits[some, None])
            row, place = np.divmod(hits, end - start)
            found.append(Hits(some[row], place + start, scores.ravel()[hits]))
        return _joined(found)

    looked_into = np.flatnonzero(np.diff(visits.starts) * np.diff(faces.starts))
    return _joined(in_threads(work, np.array_split(looked_into, PARTS)))


def _joined(parts: list[Hits]) -> Hits:
    return Hits(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def nearest_cells(faces: SortedFaces, queries: np.ndarray, cells: int, near: int = 0) -> tuple[Visits, Visits]:
    """Which of some faces look into which cell: about `cells` each, the nearest.

    A cell counts if it is at least as near as the right place in a sample of cells, which is found faster than the
    right place of all.

    Returns:
        The visits of about `near` cells and those of the others; with 0, all and none.
    """
    count = len(faces.centres)
    if cells >= count and not near:
        every = Visits(np.tile(np.arange(len(queries), dtype=np.int32), count), np.arange(count + 1) * len(queries))
        return every, Visits(np.empty(0, np.int32), np.zeros(count + 1, np.int64))
    nearest = partial(_nearest, faces, min(cells, count), near)
    pairs = in_threads(nearest, blocks(queries, COMPARED_ROWS))
    searching = np.concatenate([pair[0] + COMPARED_ROWS * number for number, pair in enumerate(pairs)])
    cell, first = (np.concatenate([pair[part] for pair in pairs]) for part in (1, 2))
    if not near:
        return _by_cell(searching, cell, count), _by_cell(searching[:0], cell[:0], count)
    return _by_cell(searching[first], cell[first], count), _by_cell(searching[~first], cell[~first], count)


def _by_cell(searching: np.ndarray, cell: np.ndarray, count: int) -> Visits:
    order = np.argsort(cell, kind="stable")
    return Visits(searching[order], np.append(0, np.cumsum(np.bincount(cell, minlength=count))))


def _nearest(faces: SortedFaces, cells: int, near: int, queries: np.ndarray) -> tuple[np.ndarray, ...]:
    """Pairs of a face, int32, and a cell that it looks into, uint16; bool: whether it is one of the `near`."""
    scores, count = products(queries, faces.centres), len(faces.centres)
    pairs = np.flatnonzero(scores >= (_limits(scores, cells) if cells < count else LOWEST))
    searching, cell = np.divmod(pairs, count)
    is_near = np.ones(len(pairs), dtype=bool)
    if near:
        is_near = scores.ravel()[pairs] >= _limits(scores, near)[searching, 0]
    return searching.astype(np.int32), cell.astype(np.uint16), is_near


def _limits(scores: np.ndarray, cells: int) -> np.ndarray:
    """Int32 [b, 1]: about the `cells`-th largest of each row, the right one of a sample."""
    every = max(min(scores.shape[1] // SAMPLED_CELLS, cells // LEAST_PLACE), 1)
    sample = scores[:, ::every].copy()
    place = max(sample.shape[1] - cells // every, 0)
    sample.partition(place, axis=1)
    return sample[:, place, None]


def top(hits: Hits, count: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The `most` best-scored places of each of `count` rows, see `scan`; of equal ones the first hit."""
    keys = (hits.rows.astype(np.int64) << SCORE_BITS) | (MOST_SCORE - hits.scores)
    order = np.argsort(keys, kind="stable")
    rows = hits.rows[order]
    starts = np.append(0, np.cumsum(np.bincount(rows, minlength=count)))
    ranks = np.arange(len(rows)) - starts[rows]
    kept = ranks < most
    found, best = np.full((count, most), -1, dtype=np.int64), np.full((count, most), LOWEST, dtype=np.int32)
    where, order = (rows[kept], ranks[kept]), order[kept]
    found[where], best[where] = hits.places[order], hits.scores[order]
    return found, best


def own_limits(faces: SortedFaces, places: np.ndarray, k: int) -> np.ndarray:
    """Int32: what each of some faces' `k` best have at least, as they do among `COMPARED_ROWS` of these themselves."""
    return np.concatenate(in_threads(partial(_own_limits, faces, k), blocks(places, COMPARED_ROWS)))


def _own_limits(faces: SortedFaces, k: int, places: np.ndarray) -> np.ndarray:
    codes = faces.codes[places]
    if len(codes) <= k:
        return np.full(len(codes), LOWEST, dtype=np.int32)
    scores = products(codes, codes)
    place = len(codes) - k - 1  # itself is one more
    return np.partition(scores, place, axis=1)[:, place] - 1
