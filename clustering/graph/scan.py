"""Searches in the cells nearest to each face, by products of codes: cell by cell, with all faces that look into it."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from clustering.graph.cells import SortedFaces
from clustering.graph.centres import LOWEST, Visits, compared_rows, nearest_cells
from clustering.graph.codes import products, shifted
from clustering.graph.in_threads import in_threads
from facerec.pipeline.files import blocks

OWN_ROWS, PRODUCT_ROWS, TOP_ROWS, PARTS = 512, 512, 256, 16
SCORE_BITS, INDEX_BITS = 26, 29
MOST_SCORE = -LOWEST


class Hits(NamedTuple):
    """Faces that were found.

    Attributes:
        rows: int32 [h]: the number of the face that searched.
        places: int32 [h]: the place of the face that was found.
        scores: int32 [h]: the product of both codes.
    """

    rows: np.ndarray
    places: np.ndarray
    scores: np.ndarray


NO_HITS = Hits(*(np.empty(0, np.int32) for _ in range(3)))


def scan(
    faces: SortedFaces, places: np.ndarray, cells: int, limits: np.ndarray, most: int, known: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The best of what some faces find in their nearest cells, by products of codes.

    Args:
        faces: In the order of their cells.
        places: int64 [b]: of the faces that search.
        cells: About how many each looks into.
        limits: int32 [b]: products up to which nothing counts.
        most: Faces that are kept of each search.
        known: About how many of the nearest cells are left out, as they were looked into before.

    Returns:
        int32 [b, most] places, the best first, -1 where there are no more; and int32 [b, most] products, `LOWEST`
        there. A face finds itself, too.
    """
    queries = shifted(faces.codes[places])
    return top(
        hits_of(faces, queries, nearest_cells(faces.times_centres, len(faces.centres), queries, cells, known), limits),
        len(places),
        most,
    )


def hits_of(faces: SortedFaces, queries: np.ndarray, visits: Visits, limits: np.ndarray) -> Hits:
    """All faces in the visited cells whose products exceed the limit of the face that searches.

    Args:
        faces: In the order of their cells.
        queries: uint8 [b, d], `shifted` codes of the faces that search.
        visits: Which cells they look into.
        limits: int32 [b].
    """
    codes = np.asarray(faces.codes)  # a plain array: to cut a memory map takes as long as some products

    def work(cells: np.ndarray) -> Hits:
        found = [NO_HITS]
        for cell in cells:
            start, end = faces.starts[cell], faces.starts[cell + 1]
            right = codes[start:end]
            for some in blocks(visits.searching[visits.starts[cell] : visits.starts[cell + 1]], PRODUCT_ROWS):
                scores = products(np.take(queries, some, axis=0), right)
                hits = (scores > limits[some, None]).ravel().nonzero()[0]
                row, place = np.divmod(hits, end - start)
                found.append(Hits(some[row], (place + start).astype(np.int32), scores.ravel()[hits]))
        return _joined(found)

    looked_into = np.flatnonzero(np.diff(visits.starts) * np.diff(faces.starts))
    return _joined(in_threads(work, np.array_split(looked_into, PARTS)))


def _joined(parts: list[Hits]) -> Hits:
    return Hits(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def top(hits: Hits, count: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The `most` best-scored places of each of `count` rows, see `scan`; of equal ones the first hit."""
    kind = np.uint16 if count <= 1 << 16 else np.int32
    order = np.argsort(hits.rows.astype(kind), kind="stable")
    starts = np.append(0, np.cumsum(np.bincount(hits.rows, minlength=count)))
    found, best = np.full((count, most), -1, dtype=np.int32), np.full((count, most), LOWEST, dtype=np.int32)

    def work(first: int) -> None:
        last = min(first + TOP_ROWS, count)
        some = order[starts[first] : starts[last]]
        rows = hits.rows[some] - first
        keys = (rows.astype(np.int64) << SCORE_BITS) | (MOST_SCORE - hits.scores[some])
        some = some[np.sort((keys << INDEX_BITS) | np.arange(len(some))) & ((1 << INDEX_BITS) - 1)]
        ranks = np.arange(len(rows)) - (starts[first:last] - starts[first])[rows]
        kept = ranks < most
        where, some = (rows[kept] + first, ranks[kept]), some[kept]
        found[where], best[where] = hits.places[some], hits.scores[some]

    in_threads(work, range(0, count, TOP_ROWS))
    return found, best


def own_limits(faces: SortedFaces, places: np.ndarray, k: int) -> np.ndarray:
    """Int32: for each face a product that its `k` best exceed, as they do among `OWN_ROWS` of these faces alone."""
    return np.concatenate(in_threads(partial(_own_limits, faces, k), blocks(places, OWN_ROWS)))


def _own_limits(faces: SortedFaces, k: int, places: np.ndarray) -> np.ndarray:
    codes = faces.codes[places]
    if len(codes) <= k:
        return np.full(len(codes), LOWEST, dtype=np.int32)
    place = len(codes) - k - 1  # of the k best, and the face itself
    scores = [products(some, codes) for some in blocks(shifted(codes), compared_rows(len(codes)))]
    return np.concatenate([np.partition(some, place, axis=1)[:, place] for some in scores]) - 1
