"""More neighbours for faces of people with many faces, to blend them with.

The ten nearest of a person's hundreds of faces share a pose and light. With more neighbours, more of such a person's
faces come together. But among few faces of a person, more neighbours are strangers. So a first climb tells how many
faces the people seem to have.
"""

from __future__ import annotations

import numpy as np

from clustering.backends.hilander.blending import MOST
from clustering.graph.costs import takes_minutes_at_most
from clustering.graph.exact import search
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import own_cluster_size
from facerec.pipeline.embeddings import readable_rows

PART = 5
"""A list holds at most a fifth of as many faces as the face's cluster has."""
LEAST_GAIN = 2
"""Times as long as before that a list becomes, at least."""
LEAST_SHARE = 0.15
"""Least share of the faces with longer lists that is worth a second climb."""


def lengths_by_size(labels: np.ndarray, k: int) -> np.ndarray:
    """How many neighbours each face is blended with, by the size of its cluster, up to `MOST`: int64 [n].

    A face in a small cluster may be a piece of a large one. So every face counts as if its cluster had the median size
    at least; that is the median over faces, not over clusters.

    Args:
        labels: int64 [n], clusters of a first climb; -1 for unreadable faces.
        k: Neighbours that it was made with.

    Example:
        >>> lengths_by_size(np.repeat([0, 1, 2], [30, 150, 400]), 10)[[0, 30, 180]].tolist()
        [40, 40, 40]
        >>> lengths_by_size(np.repeat(np.arange(12), [120] + [20] * 11), 10)[[0, 120]].tolist()
        [24, 10]
    """
    inside = labels >= 0
    if not inside.any():
        return np.full(len(labels), k)
    sizes = own_cluster_size(labels[inside])
    wanted = np.minimum(np.maximum(sizes, int(np.median(sizes))) // PART, MOST)
    lengths = np.full(len(labels), k)
    lengths[inside] = np.where(wanted >= LEAST_GAIN * k, wanted, k)
    return lengths


def worth_it(lengths: np.ndarray, k: int, dimension: int) -> bool:
    """Whether enough faces get longer lists, and an exact search for them takes minutes at most."""
    longer = int(np.count_nonzero(lengths > k))
    enough = longer >= max(LEAST_SHARE * len(lengths), 1)
    return enough and takes_minutes_at_most(longer, len(lengths), dimension, "cpu")


def with_longer_lists(graph: KnnGraph, k: int, lengths: np.ndarray) -> KnnGraph:
    """A graph in which some faces have more neighbours than `k`.

    Args:
        graph: Of n faces, with k neighbours or more.
        k: Neighbours of the others.
        lengths: int64 [n], see `lengths_by_size`.
    """
    rows = np.flatnonzero(lengths > k)
    width = int(lengths.max())
    neighbors, similarities = np.full((len(graph), width), -1, np.int32), np.zeros((len(graph), width), np.float32)
    neighbors[:, :k], similarities[:, :k] = graph.neighbors[:, :k], graph.similarities[:, :k]
    neighbors[rows], similarities[rows] = lists_of(graph, rows, width)
    beyond = np.arange(width) >= np.maximum(lengths, k)[:, None]
    neighbors[beyond], similarities[beyond] = -1, 0
    return KnnGraph(graph.embeddings, neighbors, similarities)


def lists_of(graph: KnnGraph, rows: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of some faces, int32 [r, width], and their cosines, float32 [r, width].

    They are searched for, exactly, unless the graph has so many.
    """
    if graph.k >= width:
        return graph.neighbors[rows, :width], graph.similarities[rows, :width]
    return search(graph.embeddings, rows, np.flatnonzero(readable_rows(graph.embeddings)), width)
