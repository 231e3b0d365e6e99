"""The kNN graph's edges without direction, and an order of faces that doesn't depend on their rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from clustering.graph.knn_graph import KnnGraph

SORT_COLUMNS = 8
DIGITS = 4


class Edges(NamedTuple):
    """Undirected edges, every pair once, in order of (i, j).

    Attributes:
        i: int64 [e], the lower end.
        j: int64 [e], the higher end.
        similarity: float32 [e], cosines.
        mutual: Bool [e]: whether either end lists the other.
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
            values: float32 [n, k], in place of the graph's similarities; the greater of both directions is taken.
            least: Edges below it are left out, direction by direction.
        """
        values = graph.similarities if values is None else values
        rows, columns = np.nonzero(graph.valid & (values >= least))
        others = graph.neighbors[rows, columns].astype(np.int64)
        keys = np.minimum(rows, others) * len(graph) + np.maximum(rows, others)
        order = np.argsort(keys, kind="stable")
        found, starts = np.unique(keys[order], return_index=True)
        if not len(found):
            return cls(found, found, np.zeros(0, np.float32), np.zeros(0, bool))
        upwards = (rows < others)[order]
        mutual = np.logical_or.reduceat(upwards, starts) & np.logical_or.reduceat(~upwards, starts)
        similarity = np.maximum.reduceat(values[rows, columns][order], starts)
        return cls(found // len(graph), found % len(graph), similarity, mutual)

    def where(self, chosen: np.ndarray) -> Edges:
        """Some of the edges: bool [e] or indices."""
        return Edges(*(part[chosen] for part in self))

    def adjacency(self, nodes: int, weights: np.ndarray) -> csr_matrix:
        """The symmetric matrix [nodes, nodes] with a weight an edge."""
        half = csr_matrix((weights, (self.i, self.j)), (nodes, nodes))
        return (half + half.T).tocsr()


def value_order(embeddings: np.ndarray) -> np.ndarray:
    """Int64 [n]: rows in an order given by their own values, whatever the order in which they came."""
    return np.lexsort(np.asarray(embeddings[:, SORT_COLUMNS::-1]).T)


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
