"""Searches in the cells nearest to each face, by products of codes, a cell and all that look into it at a time."""

from __future__ import annotations

import numpy as np

from clustering.graph.cells import SortedFaces
from clustering.graph.codes import products
from facerec.pipeline.files import blocks

SAMPLED_CELLS, LEAST_PLACE = 512, 16
COMPARED_ROWS = 1_024
SCORE_BITS = 26
MOST_SCORE, LOWEST = 1 << 25, -(1 << 25)  # beyond all products of unit rows' codes


def scan(
    faces: SortedFaces, places: np.ndarray, cells: int, limits: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """The best of what some faces find in their nearest cells, by products of codes.

    Args:
        faces: In the order of their cells.
        places: int64 [b]: of the faces that search.
        cells: About how many each looks into.
        limits: int32 [b]: products up to which nothing counts.
        most: Faces that are kept of each search.

    Returns:
        int64 [b, most] places, the best first, equal ones by place, -1 where there are no more; and int32 [b, most]
        products, `LOWEST` there. A face finds itself, too.
    """
    queries = faces.codes[places]
    searching, cell_starts = nearest_cells(faces, queries, cells)
    found = []
    for cell in np.flatnonzero(np.diff(cell_starts) * np.diff(faces.starts)):
        some = searching[cell_starts[cell] : cell_starts[cell + 1]]
        start, end = faces.starts[cell], faces.starts[cell + 1]
        scores = products(queries[some], faces.codes[start:end])
        hits = np.flatnonzero(scores > limits[some, None])
        row, place = np.divmod(hits, end - start)
        found.append((some[row], place + start, scores.ravel()[hits]))
    if not found:
        return np.full((len(places), most), -1, dtype=np.int64), np.full((len(places), most), LOWEST, dtype=np.int32)
    rows, others, scores = (np.concatenate(part) for part in zip(*found, strict=True))
    return top(rows, others, scores, len(places), most)


def nearest_cells(faces: SortedFaces, queries: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of some faces look into which cell: about `cells` each, the nearest.

    A cell counts if it is at least as near as the right place in a sample of cells, which is found faster than the
    right place of all.

    Returns:
        int32 [pairs] numbers of faces, cell by cell, and int64 [all cells + 1], where each cell's begin.
    """
    count = len(faces.centres)
    if cells >= count:
        return np.tile(np.arange(len(queries), dtype=np.int32), count), np.arange(count + 1) * len(queries)
    pairs = [_nearest(faces, some, cells) for some in blocks(queries, COMPARED_ROWS)]
    searching = np.concatenate([pair[0] + COMPARED_ROWS * number for number, pair in enumerate(pairs)])
    cell = np.concatenate([pair[1] for pair in pairs])
    order = np.argsort(cell, kind="stable")
    return searching[order], np.append(0, np.cumsum(np.bincount(cell, minlength=count)))


def _nearest(faces: SortedFaces, queries: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a face, int32, and a cell that it looks into, uint16."""
    scores, count = products(queries, faces.centres), len(faces.centres)
    every = max(min(count // SAMPLED_CELLS, cells // LEAST_PLACE), 1)
    sample = np.ascontiguousarray(scores[:, ::every])
    place = sample.shape[1] - max(cells // every, 1)
    limits = np.partition(sample, place, axis=1)[:, place]
    searching, cell = np.divmod(np.flatnonzero(scores >= limits[:, None]), count)
    return searching.astype(np.int32), cell.astype(np.uint16)


def top(
    rows: np.ndarray, places: np.ndarray, scores: np.ndarray, count: int, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `most` best-scored places of each row, see `scan`.

    Args:
        rows: int32 [h], below `count`.
        places: int64 [h], ascending.
        scores: int32 [h], at most `MOST_SCORE`.
        count: Rows.
        most: Places a row.
    """
    keys = (rows.astype(np.int64) << SCORE_BITS) | (MOST_SCORE - scores)
    order = np.argsort(keys, kind="stable")
    rows = rows[order]
    starts = np.append(0, np.cumsum(np.bincount(rows, minlength=count)))
    ranks = np.arange(len(rows)) - starts[rows]
    kept = ranks < most
    found, best = np.full((count, most), -1, dtype=np.int64), np.full((count, most), LOWEST, dtype=np.int32)
    where, order = (rows[kept], ranks[kept]), order[kept]
    found[where], best[where] = places[order], scores[order]
    return found, best


def own_limits(faces: SortedFaces, start: int, end: int, k: int) -> np.ndarray:
    """Int32: what each of some consecutive faces' `k` best have at least, as they do among these faces themselves."""
    if end - start <= k:
        return np.full(end - start, LOWEST, dtype=np.int32)
    codes = faces.codes[start:end]
    scores = products(codes, codes)
    place = end - start - k - 1  # itself is one more
    return np.partition(scores, place, axis=1)[:, place] - 1
