"""The kNN graph's edges without direction, and an order of faces that doesn't depend on their rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, csr_matrix

from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.embeddings import weighted_sums
from facerec.pipeline.files import row_blocks

SORT_COLUMNS = 9  # of the embeddings, by which `value_order` orders rows before it looks at all
DIGITS = 4  # decimals of a weight
ENTRIES = 1 << 19
"""Entries of the graph that are processed at once."""

Chosen = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of a block of b rows the neighbours, int32 [b, k]; their values [b, k]; and which of them count, bool [b, k]."""


class Edges(NamedTuple):
    """Undirected edges, every pair once, in order of (i, j).

    Attributes:
        i: int32 [e], the lower end.
        j: int32 [e], the higher end.
        similarity: float32 [e], cosines.
        mutual: Bool [e]: whether both ends list each other.
    """

    i: np.ndarray
    j: np.ndarray
    similarity: np.ndarray
    mutual: np.ndarray

    @classmethod
    def of(cls, graph: KnnGraph, values: np.ndarray | None = None, least: float = -np.inf) -> Edges:
        """Pairs of which at least one end lists the other.

        Args:
            graph: With n rows and k columns.
            values: float32 [n, k], by default the graph's similarities; the greater of both directions is taken.
            least: Edges below it are left out, direction by direction.
        """
        values = graph.similarities if values is None else values
        back = _entries(graph, values, least, _row_blocks(graph), up=False).T.tocsr()
        parts: list[list[np.ndarray]] = [[], [], [], []]
        for rows in _row_blocks(graph):
            own = _entries(graph, values, least, [rows], up=True)
            for part, found in zip(parts, united(own, back[rows], rows.start), strict=True):
                part.append(found)
        del back
        return cls(*(np.concatenate(parts.pop(0)) for _ in cls._fields))  # each part is freed when it is put together

    def where(self, chosen: np.ndarray) -> Edges:
        """Some of the edges: bool [e] or indices."""
        return Edges(*(part[chosen] for part in self))

    def adjacency(self, nodes: int, weights: np.ndarray) -> csr_matrix:
        """The symmetric matrix [nodes, nodes] with a weight an edge."""
        half = csr_matrix((weights, (self.i, self.j)), (nodes, nodes))
        return (half + half.T).tocsr()


def _row_blocks(graph: KnnGraph) -> list[slice]:
    """All rows in blocks, at least one."""
    return row_blocks(len(graph), max(ENTRIES // max(graph.k, 1), 1)) or [slice(0, 0)]


def _entries(graph: KnnGraph, values: np.ndarray, least: float, blocks: list[slice], up: bool) -> csr_array:
    """The values of the neighbours with a higher index than the row's own, or (not `up`) of those with a lower one."""

    def chosen_of(rows: slice) -> Chosen:
        near, own = graph.neighbors[rows], np.arange(rows.start, rows.stop, dtype=np.int32)[:, None]
        return near, values[rows], (near >= 0) & (values[rows] >= least) & ((near > own) if up else (near < own))

    return chosen_neighbors(map(chosen_of, blocks), len(graph))


def chosen_neighbors(parts: Iterable[Chosen], width: int) -> csr_array:
    """The values of chosen neighbours as sparse rows, from blocks of rows one after the other; at least one block.

    Args:
        parts: The blocks.
        width: Columns.
    """
    ids, data, counts = [], [], [np.zeros(1, np.int64)]
    for near, values, chosen in parts:
        ids.append(near[chosen])
        data.append(values[chosen])
        counts.append(chosen.sum(axis=1))
    return sparse_rows(np.concatenate(data), np.concatenate(ids), np.cumsum(np.concatenate(counts)), width)


def united(upwards: csr_array, downwards: csr_array, first: int) -> tuple[np.ndarray, ...]:
    """The columns of `Edges` for some lower ends, the first of which is `first`, given by both directions' entries."""
    width = upwards.shape[1]
    keys = np.concatenate([
        np.repeat(np.arange(len(part.indptr) - 1), np.diff(part.indptr)) * width + part.indices
        for part in (upwards, downwards)
    ])  # fmt: skip
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
    if not len(starts):
        return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, bool)
    up = order < upwards.nnz
    mutual = np.logical_or.reduceat(up, starts) & np.logical_or.reduceat(~up, starts)
    similarity = np.maximum.reduceat(np.concatenate([upwards.data, downwards.data])[order], starts)
    i, j = np.divmod(keys[starts], width)
    return (i + first).astype(np.int32), j.astype(np.int32), similarity, mutual


def sparse_rows(data: np.ndarray, columns: np.ndarray, starts: np.ndarray, width: int) -> csr_array:
    """Sparse rows, with int32 indices where these suffice; scipy's take int64 where one array of both has it.

    Args:
        data: [e], the entries.
        columns: Whole numbers [e].
        starts: Whole numbers [rows + 1]: where each row's entries begin.
        width: Columns.
    """
    kind = np.int32 if max(len(data), width) <= np.iinfo(np.int32).max else np.int64
    indices, starts = columns.astype(kind, copy=False), starts.astype(kind, copy=False)
    return csr_array((data, indices, starts), shape=(len(starts) - 1, width))


def value_order(embeddings: np.ndarray) -> np.ndarray:
    """Int64 [n]: rows in an order given by their own values, whatever the order in which they came."""
    return np.lexsort([weighted_sums(embeddings), *np.asarray(embeddings[:, :SORT_COLUMNS]).T[::-1]])


def reordered(graph: KnnGraph, order: np.ndarray) -> KnnGraph:
    """The graph of some rows, with row ``order[i]`` in place i; neighbours that are left out are missing."""
    places = np.full(len(graph), -1, dtype=graph.neighbors.dtype)
    places[order] = np.arange(len(order))
    neighbors = graph.neighbors[order]
    neighbors = np.where(neighbors >= 0, places[neighbors], -1)
    return KnnGraph(np.asarray(graph.embeddings[order]), neighbors, graph.similarities[order])


def ordered_edges(graph: KnnGraph, least: float) -> tuple[np.ndarray, Edges]:
    """Edges for methods whose result depends on the order of nodes and on the last digit of weights.

    Args:
        graph: Of n faces.
        least: Least similarity of an edge; those that are not positive are left out, too.

    Returns:
        int64 [m]: the readable faces in `value_order`; and the edges between their places, rounded to `DIGITS`.
    """
    rows = np.flatnonzero(graph.readable)
    rows = rows[value_order(graph.embeddings[rows])]
    edges = Edges.of(reordered(graph, rows), least=max(least, 10.0**-DIGITS))
    return rows, edges._replace(similarity=np.round(edges.similarity.astype(np.float64), DIGITS))
