"""Exact search for the nearest neighbours by cosine, on the CPU by blocks or on every GPU that faiss finds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import faiss
import numpy as np

from facerec.pipeline.files import blocks, row_blocks
from facerec.pipeline.progress import progress
from facerec.pipeline.ranks import local_rank, world_size

QUERY_ROWS = 16_384
SEARCH_ROWS = 131_072

PRODUCT_NUMBERS = 1024
"""From so many numbers in the queries on faiss multiplies matrices. Below its own bound it compares queries one by one.
With that, searches with 20 to 1,000 queries of length 128 were up to five times slower."""


def search(
    embeddings: np.ndarray, queries: np.ndarray, among: np.ndarray, k: int, index: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """The exact nearest neighbours of some rows, never the row itself, in descending order; equal ones by index.

    Rows are taken from the embeddings block by block, so these may be a memory map larger than the memory.

    Args:
        embeddings: float32 [n, d], unit rows.
        queries: int64 [q]: rows to find neighbours of.
        among: int64 [a], ascending: rows that may be neighbours.
        k: Neighbours a query.
        index: From `gpu_index` of `among`, for several searches in the same rows; by default it is made here.

    Returns:
        int32 [q, k] rows, -1 where there are no more; float32 [q, k] cosines, 0 there.
    """
    neighbors = np.full((len(queries), k), -1, dtype=np.int32)
    similarities = np.zeros((len(queries), k), dtype=np.float32)
    if not len(among) or not len(queries):
        return neighbors, similarities
    index = gpu_index(embeddings, among) if index is None else index
    parts = row_blocks(len(queries), QUERY_ROWS)
    for part in progress(parts, "kNN", "blocks", hidden=len(parts) < 4):
        rows = queries[part]
        ids, cosines = nearest(take(embeddings, rows), embeddings, among, min(k + 1, len(among)), index)
        order = _order(cosines, ids, rows)[:, :k]
        ids, cosines = np.take_along_axis(ids, order, axis=1), np.take_along_axis(cosines, order, axis=1)
        other = ids != rows[:, None]
        block = part, slice(0, order.shape[1])
        neighbors[block] = np.where(other, ids, -1)
        similarities[block] = np.where(other, np.clip(cosines, -1, 1), 0)
    return neighbors, similarities


def nearest(
    wanted: np.ndarray, embeddings: np.ndarray, among: np.ndarray, k: int, index: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` rows of `among` with the highest cosines to each query, descending.

    A query that is one of these rows finds itself, too.

    Args:
        wanted: float32 [q, d], the queries, contiguous.
        embeddings: float32 [n, d], unit rows.
        among: int64 [a], ascending.
        k: Rows a query, at most a.
        index: From `gpu_index` of `among`; without it the CPU multiplies block after block.

    Returns:
        int64 [q, k] rows and float32 [q, k] cosines.
    """
    if index is not None:
        cosines, places = index.search(wanted, k)
        return among[places], cosines
    ids, cosines = np.empty((len(wanted), 0), np.int64), np.empty((len(wanted), 0), np.float32)
    for some in blocks(among, SEARCH_ROWS):
        rows = take(embeddings, some)
        with _early_products():
            near, places = faiss.knn(wanted, rows, min(k, len(some)), metric=faiss.METRIC_INNER_PRODUCT)
        ids, cosines = np.hstack([ids, some[places]]), np.hstack([cosines, near])
        if ids.shape[1] > k:
            order = np.lexsort((ids, -cosines), axis=1)[:, :k]
            ids, cosines = np.take_along_axis(ids, order, axis=1), np.take_along_axis(cosines, order, axis=1)
    return ids, cosines


def take(embeddings: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Some rows as contiguous float32; a view if they are consecutive, so that a memory map is not copied."""
    consecutive = len(rows) and rows[-1] - rows[0] == len(rows) - 1 and bool(np.all(np.diff(rows) == 1))
    found = embeddings[rows[0] : rows[-1] + 1] if consecutive else embeddings[rows]
    return np.ascontiguousarray(found, dtype=np.float32)


def gpu_index(embeddings: np.ndarray, rows: np.ndarray) -> Any:
    """A faiss index of some rows; None without GPUs. A lone process uses all GPUs, of several each uses its own."""
    if faiss.get_num_gpus() == 0:
        return None
    gpus = None if world_size() == 1 else [local_rank() % faiss.get_num_gpus()]
    index: Any = faiss.index_cpu_to_gpus_list(faiss.IndexFlatIP(int(embeddings.shape[1])), gpus=gpus)
    for some in blocks(rows):
        index.add(take(embeddings, some))
    return index


@contextmanager
def _early_products() -> Iterator[None]:
    """A context in which faiss multiplies matrices from `PRODUCT_NUMBERS` on."""
    before = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = min(before, PRODUCT_NUMBERS)
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = before


def _order(cosines: np.ndarray, ids: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Columns by descending cosine, then index; the query itself last, wherever the search put it."""
    keys = np.where(ids == queries[:, None], np.inf, -cosines)
    return np.lexsort((ids, keys), axis=1)
