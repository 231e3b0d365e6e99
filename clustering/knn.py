"""The kNN graph that every backend works on, and the command ``knn`` that builds it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clustering.approximate import approximate, estimate_recall, readable_mask
from clustering.passes import Lists, Work, fill, noted
from clustering.plan import Costs, check_room, choose_index
from clustering.search import gpu_index, search
from facerec.artifacts import BLOCK_ROWS, EmbeddingSet, InputError, blocks, load_array, load_embeddings, readable_rows
from facerec.processes import barrier, is_main, join, local_world_size
from facerec.stages import stage

DEFAULT_K, RECALL, MIN_RECALL = 10, 0.985, 0.95

Search = Callable[[np.ndarray, np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


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
    def build(cls, embeddings: np.ndarray, k: int, find: Search = search) -> KnnGraph:
        """Exact search; rows with fewer than `k` possible neighbours are padded with -1.

        Zero rows neither have nor are neighbours. Equal similarities are in ascending order of index.

        Args:
            embeddings: float32 [n, d], unit or zero rows.
            k: Neighbours a row.
            find: `search`, or what finds the same.
        """
        neighbors = np.full((len(embeddings), k), -1, dtype=np.int32)
        similarities = np.zeros((len(embeddings), k), dtype=np.float32)
        rows = np.flatnonzero(readable_rows(embeddings))
        neighbors[rows], similarities[rows] = find(embeddings, rows, rows, k)
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


@stage("clustering knn", resumable=True, distributed=True)
def knn(
    embeddings: Path,
    out: Path,
    k: int = DEFAULT_K,
    index: str = "auto",
    recall: float = RECALL,
    min_recall: float = MIN_RECALL,
    seed: int = 0,
) -> Mapping[str, Any]:
    """Finds the k nearest neighbours of every face by cosine; interrupted, it goes on from its finished blocks.

    Args:
        embeddings: Folder with embeddings.npy, or such a file; float16 ones are accepted, too.
        out: Folder to make: neighbors.npy int32 [n, k] and similarities.npy float32 [n, k].
        k: Neighbours a face, itself not counted.
        index: exact; ivf, an approximate graph, for hundreds of thousands of faces and more; or auto, exact where that
            takes minutes: see clustering plan.
        recall: Share of the true neighbours that ivf aims at, which decides how many faces it searches for again.
        min_recall: Refuses a graph of which a sample finds a lower share; 0 takes any.
        seed: Of the samples and of what ivf trains.
    """
    check_shares(recall, min_recall)
    join()
    faces = load_embeddings(embeddings, scratch=out / "steps" / "embeddings.npy")
    check_k(k, faces)
    results = make_graph(faces, out, k, index, recall, min_recall, seed)
    barrier()  # before what the others read is removed
    if is_main():
        shutil.rmtree(out / "steps", ignore_errors=True)
    return results


def make_graph(
    faces: EmbeddingSet,
    out: Path,
    k: int,
    index: str = "auto",
    recall: float = RECALL,
    min_recall: float = MIN_RECALL,
    seed: int = 0,
) -> dict[str, Any]:
    """Makes a graph in a folder, all processes together, with what it needs on the way in ``steps`` below it.

    Args:
        faces: Embeddings, at least one.
        out: Folder, made if need be, for ``neighbors.npy`` and ``similarities.npy``; finished blocks in it count.
        k: See `knn`, like all others.
        index: Exact, ivf or auto.
        recall: Of ivf.
        min_recall: Of ivf.
        seed: Of ivf.

    Returns:
        What it is, for ``meta.json``.

    Raises:
        InputError: Unknown or unsuitable index, too little room, or a recall below `min_recall`.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows, dimension = np.flatnonzero(faces.readable), faces.embeddings.shape[1]
    chosen = choose_index(index, len(rows), dimension)
    check_room(Costs.of(chosen, len(faces), dimension, k, local_world_size()), out)
    found, how = 1.0, {}
    steps = out / "steps" / chosen
    if chosen == "exact":
        exact(faces.embeddings, rows, out, steps, k)
    else:
        lists, again = approximate(faces.embeddings, rows, out, steps, k, recall, seed)
        how = {"searched_again": round(again.share, 5), "in_cells": again.cells or "all, exactly"}
        found = noted(steps / "recall.json", lambda: estimate_recall(faces.embeddings, rows, lists, seed))
        if found < min_recall:
            raise InputError(
                f"{faces.path}: recall@{k} of the {chosen} graph is {found:.4f} on a sample, below --min-recall "
                f"{min_recall}; raise --recall, take --index exact, or lower --min-recall to accept it"
            )
    return {
        "faces": len(faces),
        "readable": len(rows),
        "k": k,
        "index": chosen,
        f"recall@{k}": round(found, 5),
        **how,
    }


def exact(embeddings: np.ndarray, readable: np.ndarray, folder: Path, steps: Path, k: int) -> Lists:
    """The exact graph's lists, made in `folder`.

    Args:
        embeddings: float32 [n, d], unit or zero rows.
        readable: int64 [m], ascending: the rows that are not zero.
        folder: To make it in.
        steps: Folder for the notes of what is finished.
        k: Neighbours a row.
    """

    def prepare() -> Work:
        index, there = gpu_index(embeddings, readable), readable_mask(len(embeddings), readable)

        def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            ids, cosines = np.full((len(rows), k), -1, dtype=np.int32), np.zeros((len(rows), k), dtype=np.float32)
            own = there[rows]
            ids[own], cosines[own] = search(embeddings, rows[own], readable, k, index)
            return ids, cosines

        return work

    return fill(folder, steps / "finished", len(embeddings), k, "exact", prepare)


def check_shares(recall: float, min_recall: float) -> None:
    """Refuses shares that are none.

    Raises:
        InputError: Not in [0, 1].
    """
    for name, share in (("recall", recall), ("min-recall", min_recall)):
        if not 0 <= share <= 1:
            raise InputError(f"--{name} is {share}; it is a share of the true neighbours, from 0 to 1")


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
