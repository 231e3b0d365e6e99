"""The kNN graph that every backend works on, and the command ``knn`` that builds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from tqdm import tqdm

from facerec.artifacts import BLOCK_ROWS, EmbeddingSet, InputError, blocks, load_array, load_embeddings, readable_rows
from facerec.stages import stage

DEFAULT_K = 10
QUERY_ROWS = 16_384


@dataclass(frozen=True)
class KnnGraph:
    """Embeddings with the nearest neighbours of every row by cosine.

    Attributes:
        embeddings: float32 [n, d]; unit rows, or zero rows for faces that could not be read.
        neighbors: int32 [n, k]; never the row itself, -1 where there is no further neighbour.
        similarities: float32 [n, k]; cosines in descending order, 0 where there is no neighbour.
    """

    embeddings: np.ndarray
    neighbors: np.ndarray
    similarities: np.ndarray

    def __len__(self) -> int:
        return len(self.neighbors)

    @property
    def k(self) -> int:
        """Neighbours a row, the missing ones counted."""
        return int(self.neighbors.shape[1])

    @property
    def valid(self) -> np.ndarray:
        """Bool [n, k]: where there is a neighbour."""
        return self.neighbors >= 0

    @property
    def readable(self) -> np.ndarray:
        """Bool [n]: False for zero rows (faces that could not be read)."""
        return readable_rows(self.embeddings)

    @classmethod
    def build(cls, embeddings: np.ndarray, k: int) -> KnnGraph:
        """Exact search; rows with fewer than `k` possible neighbours are padded with -1.

        Zero rows neither have nor are neighbours. Equal similarities are in ascending order of index.

        Args:
            embeddings: float32 [n, d], unit or zero rows.
            k: Neighbours a row.
        """
        neighbors = np.full((len(embeddings), k), -1, dtype=np.int32)
        similarities = np.zeros((len(embeddings), k), dtype=np.float32)
        rows = np.flatnonzero(readable_rows(embeddings))
        neighbors[rows], similarities[rows] = search(embeddings, rows, rows, k)
        return cls(embeddings, neighbors, similarities)

    @classmethod
    def load(cls, folder: Path, embeddings: np.ndarray) -> KnnGraph:
        """Maps a graph from disk and checks that it can be one of these embeddings.

        Raises:
            InputError: Missing or unusable files; another number of rows than the embeddings; neighbours out of
                range or the row itself; similarities that are NaN or not cosines.
        """
        neighbors = load_array(folder / "neighbors.npy", kind="iu", ndim=2)
        similarities = load_array(folder / "similarities.npy", kind="f", ndim=2)
        if neighbors.shape != similarities.shape or len(neighbors) != len(embeddings):
            raise InputError(
                f"{folder}: neighbors {list(neighbors.shape)} and similarities {list(similarities.shape)} for "
                f"{len(embeddings)} embeddings; build the graph from these embeddings"
            )
        for number, (ids, cosines) in enumerate(zip(blocks(neighbors), blocks(similarities), strict=True)):
            _check(folder, number * BLOCK_ROWS, ids, cosines, len(embeddings))
        return cls(embeddings, neighbors.astype(np.int32, copy=False), similarities.astype(np.float32, copy=False))

    def save(self, folder: Path) -> None:
        """Writes neighbours and similarities into an existing folder."""
        np.save(folder / "neighbors.npy", self.neighbors, allow_pickle=False)
        np.save(folder / "similarities.npy", self.similarities, allow_pickle=False)

    def narrowed(self, k: int) -> KnnGraph:
        """The graph of the first `k` neighbours; of this one's if it has no more than `k`."""
        return KnnGraph(self.embeddings, self.neighbors[:, :k], self.similarities[:, :k])


@stage("clustering knn")
def knn(embeddings: Path, out: Path, k: int = DEFAULT_K) -> Mapping[str, Any]:
    """Finds the k nearest neighbours of every face by cosine, exactly.

    Args:
        embeddings: Folder with embeddings.npy, or such a file.
        out: Folder to make: neighbors.npy int32 [n, k] and similarities.npy float32 [n, k].
        k: Neighbours a face, itself not counted.
    """
    faces = load_embeddings(embeddings)
    check_k(k, faces)
    graph = KnnGraph.build(faces.embeddings, k)
    graph.save(out)
    return {"faces": len(graph), "readable": int(graph.readable.sum()), "k": k}


def check_k(k: int, faces: EmbeddingSet) -> None:
    """Refuses a number of neighbours that the faces cannot have.

    Raises:
        InputError: `k` below 1, or as large as the number of faces.
    """
    if k < 1:
        raise InputError(f"k is {k}; it must be at least 1")
    if k >= len(faces):
        raise InputError(
            f"{faces.path}: {len(faces)} faces have at most {len(faces) - 1} neighbours; k is {k}; lower it"
        )


def search(embeddings: np.ndarray, queries: np.ndarray, among: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The exact nearest of some rows to others, themselves excluded, in descending order, equal ones by index.

    Args:
        embeddings: float32 [n, d], unit rows.
        queries: int64 [q]: rows to find neighbours of.
        among: int64 [a], ascending: rows that may be neighbours.
        k: Neighbours a query.

    Returns:
        int32 [q, k] rows, -1 where there are no more; float32 [q, k] cosines, 0 there.
    """
    neighbors = np.full((len(queries), k), -1, dtype=np.int32)
    similarities = np.zeros((len(queries), k), dtype=np.float32)
    if not len(among) or not len(queries):
        return neighbors, similarities
    index = _index(embeddings, among)
    starts = range(0, len(queries), QUERY_ROWS)
    for start in tqdm(starts, desc="kNN", unit="block", disable=True if len(starts) < 4 else None):
        rows = queries[start : start + QUERY_ROWS]
        cosines, places = index.search(np.ascontiguousarray(embeddings[rows]), min(k + 1, len(among)))
        ids = among[places]
        order = _order(cosines, ids, rows)[:, :k]
        ids, cosines = np.take_along_axis(ids, order, axis=1), np.take_along_axis(cosines, order, axis=1)
        other = ids != rows[:, None]
        block = slice(start, start + len(rows)), slice(0, order.shape[1])
        neighbors[block] = np.where(other, ids, -1)
        similarities[block] = np.where(other, np.clip(cosines, -1, 1), 0)
    return neighbors, similarities


def _index(embeddings: np.ndarray, rows: np.ndarray) -> Any:
    index: Any = faiss.IndexFlatIP(int(embeddings.shape[1]))
    if faiss.get_num_gpus() > 0:
        index = faiss.index_cpu_to_all_gpus(index)
    for some in blocks(rows):
        index.add(np.ascontiguousarray(embeddings[some]))
    return index


def _order(cosines: np.ndarray, ids: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Columns by descending cosine, then index; the query itself last, wherever the search put it."""
    keys = np.where(ids == queries[:, None], np.inf, -cosines)
    return np.lexsort((ids, keys), axis=1)


def _check(folder: Path, first: int, ids: np.ndarray, cosines: np.ndarray, rows: int) -> None:
    bad = (ids < -1) | (ids >= rows)
    if bad.any():
        raise InputError(f"{folder / 'neighbors.npy'}: neighbour {ids[bad][0]} of {rows} rows; rebuild the graph")
    own = (ids == np.arange(first, first + len(ids))[:, None]).any(axis=1)
    if own.any():
        raise InputError(
            f"{folder / 'neighbors.npy'}: row {first + own.argmax()} is its own neighbour; rebuild without self"
        )
    if not np.all(np.abs(cosines) <= 1.001):
        raise InputError(f"{folder / 'similarities.npy'}: NaN or values beyond [-1, 1]; they must be cosines")
