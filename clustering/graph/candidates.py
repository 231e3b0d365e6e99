"""The best of each row's candidates by their exact cosines, and the links that lead to candidates."""

from __future__ import annotations

from functools import partial
from typing import Any

import faiss
import numpy as np

from clustering.graph.blocks_on_disk import Work
from clustering.graph.exact import take
from clustering.graph.in_threads import in_threads
from clustering.partition import places_in_groups
from facerec.pipeline.files import blocks

INNER_ROWS = 256
"""Rows that are processed at once: candidates take hundreds of times the memory of lists."""
LINK_PARTS, LEAST_LINKED = 16, 1_024
MOST_BITS, LAST = np.int32(0x7FFFFFFF), (1 << 63) - 1


def best(embeddings: np.ndarray, rows: np.ndarray, candidates: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest of each row's candidates, by their exact cosines, equal ones by index.

    Args:
        embeddings: float32 [n, d].
        rows: int64 [b].
        candidates: int [b, c], with repetitions, the row itself, and -1 for none.
        k: How many to keep.

    Returns:
        int32 [b, k], -1 where there are no more; float32 [b, k], 0 there.
    """
    ids = np.sort(candidates.astype(np.int32, copy=False), axis=1)  # half the time of int64
    again = np.zeros(ids.shape, dtype=bool)
    again[:, 1:] = ids[:, 1:] == ids[:, :-1]
    ids[again | (ids == rows[:, None])] = -1
    ids = ids[:, int(np.min(np.count_nonzero(candidates < 0, axis=1), initial=ids.shape[1])) :]
    keys = _keys(ids, cosines_with(embeddings, rows, ids))
    if keys.shape[1] > k:
        keys = np.partition(keys, k - 1, axis=1)[:, :k]
    ids, cosines = _of_keys(np.sort(keys, axis=1))
    missing = ((0, 0), (0, max(k - ids.shape[1], 0)))
    return np.pad(ids, missing, constant_values=-1), np.pad(cosines, missing)


def _keys(ids: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """Int64 [b, c] whose order is by falling cosine, then by index; `LAST` for missing ones."""
    falling = rising(np.float32(0) - np.clip(cosines, -1, 1))
    return np.where(ids < 0, LAST, (falling << 32) | ids)


def rising(values: np.ndarray) -> np.ndarray:
    """Whole numbers in the order of the values: int64, above -2^31 and below 2^31, of float32 of any shape.

    The bits of a positive float32, read as a whole number, grow with it; those of a negative one with its magnitude.
    """
    bits = values.view(np.int32)
    return np.where(bits < 0, -(bits & MOST_BITS), bits).astype(np.int64)


def _of_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Int32 indices, -1 for missing ones, and float32 cosines, 0 there."""
    falling = (keys >> 32).astype(np.int32)
    bits = np.where(falling > 0, falling | ~MOST_BITS, -falling).astype(np.int32)
    ids = (keys & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    return ids, np.where(ids < 0, np.float32(0), bits.view(np.float32))


def cosines_with(embeddings: np.ndarray, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Float32 [b, c]: the cosines of rows [b] with the rows `ids` [b, c], which are not copied."""
    queries, ids = take(embeddings, rows), np.ascontiguousarray(ids, dtype=np.int64)
    cosines = np.empty(ids.shape, dtype=np.float32)
    products: Any = vars(faiss)["fvec_inner_products_by_idx"]  # no type stub knows it
    products(*(faiss.swig_ptr(array) for array in (cosines, queries, embeddings, ids)), embeddings.shape[1], *ids.shape)
    return cosines


def in_parts(work: Work, rows: np.ndarray, at_once: int = INNER_ROWS) -> tuple[np.ndarray, ...]:
    """What `work` finds for some rows, a few at once, in threads."""
    return tuple(map(np.concatenate, zip(*in_threads(work, blocks(rows, at_once)), strict=True)))


def both_ways(links: np.ndarray, back_links: int) -> np.ndarray:
    """The links of each row, then the rows that link to it: the `back_links` to which it is nearest.

    Args:
        links: int32 [n, l], the nearest first, -1 where there are no more.
        back_links: Most rows that link to a row.

    Returns:
        int32 [n, l + back_links].
    """
    parts = blocks(np.arange(len(links)), linked_at_once(len(links)))
    return np.concatenate(in_threads(partial(links_of, links, back_links), parts))


def linked_at_once(n: int) -> int:
    """Rows whose links are found at once, of n: a good part of them, as to find any looks at the links of all rows."""
    return max(-(-n // LINK_PARTS), LEAST_LINKED)


def links_of(links: np.ndarray, back_links: int, rows: np.ndarray) -> np.ndarray:
    """The part of `both_ways` that belongs to some consecutive rows, int32 [b, l + back_links]."""
    first, last, width = int(rows[0]), int(rows[-1]) + 1, links.shape[1]
    both = np.full((last - first, width + back_links), -1, dtype=np.int32)
    both[:, :width] = links[first:last]
    sources, places = np.nonzero((links >= first) & (links < last))
    ends = links[sources, places] - first
    order = np.argsort(ends.astype(np.int64) * width + places, kind="stable")
    ends, sources = ends[order], sources[order]
    ranks = places_in_groups(np.bincount(ends))
    near = ranks < back_links
    both[ends[near], width + ranks[near]] = sources[near]
    return both
