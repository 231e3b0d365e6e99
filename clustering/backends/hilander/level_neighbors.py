"""The nearest neighbours of a level's nodes: exact for up to `MOST_NODES` nodes, approximate for more.

Exact search takes quadratic time. If at least half of the nodes stayed as they were, the lists of the level below are
updated instead.

Approximate search takes linear time. A node is a cluster of nodes of the level below. Its candidates are the clusters
that those nodes have edges to or from. This misses many dissimilar neighbours, but few similar ones, and only the
similar ones matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.graph.candidates import best, both_ways, rising
from clustering.graph.exact import gpu_index, search
from clustering.graph.knn_graph import KnnGraph
from clustering.graph.shared_rows import exchange, own_blocks
from facerec.pipeline.embeddings import readable_rows

LINKS, BACK_LINKS = 20, 10
"""Most candidates by edges from a cluster, and by edges to it, in approximate search."""
WIDER = 2
"""Lists hold this many times as many neighbours as a level needs."""
MOST_NODES = 20_000
"""Most nodes for which exact search is fast enough."""
SHARED_ROWS = 2048
"""Rows of a block; the processes of a run divide the blocks among them."""


@dataclass(frozen=True)
class Nearest:
    """Lists of neighbours that are longer than a level needs, so that the next level can lose some of them.

    Attributes:
        graph: The lists of n nodes, padded with -1.
        bound: float32 [n]: nodes that are missing in the list have at most this cosine. It is below -1 if none is
            missing, and above 1 if nothing is known about the missing ones.
    """

    graph: KnnGraph
    bound: np.ndarray

    @classmethod
    def build(cls, features: np.ndarray, k: int) -> Nearest:
        """Exact search: `WIDER` times `k` neighbours of each node."""
        return cls._of(KnnGraph.build(features, WIDER * k, search_together))

    @classmethod
    def linked(cls, below: KnnGraph, clusters: np.ndarray, features: np.ndarray, k: int) -> Nearest:
        """Approximate search among the candidates of `links_of_clusters`, so `bound` is above 1.

        Args:
            below: Graph of the level below, of m nodes.
            clusters: int64 [m]: the cluster of each of these nodes, which is a node of this level.
            features: float32 [n, d], unit or zero rows.
            k: Neighbours that a node needs.
        """
        links, graph = both_ways(links_of_clusters(below, clusters), BACK_LINKS), _empty(features, WIDER * k)
        for rows in own_blocks(len(features), SHARED_ROWS):
            nodes = np.arange(rows.start, rows.stop)
            graph.neighbors[rows], graph.similarities[rows] = best(features, nodes, links[rows], WIDER * k)
        exchange(graph.neighbors, SHARED_ROWS)
        exchange(graph.similarities, SHARED_ROWS)
        return cls(graph, np.full(len(features), 2, dtype=np.float32))

    @classmethod
    def _of(cls, graph: KnnGraph) -> Nearest:
        return cls(graph, np.where(graph.valid[:, -1], graph.similarities[:, -1], -2).astype(np.float32))

    def updated(self, features: np.ndarray, origin: np.ndarray, k: int) -> Nearest:
        """The lists of the next level: exact, but with little search where most nodes stay.

        Nodes that are gone are removed from the lists, and new nodes are inserted. All nodes are searched only for the
        lists of new nodes, and for lists that are left with fewer than `k` neighbours above `bound`.

        Args:
            features: float32 [m, d], unit or zero rows.
            origin: int64 [m]: the index on this level of each node that stayed, ascending, and -1 for new nodes.
            k: Neighbours that a node needs.
        """
        readable = readable_rows(features)
        kept, new = np.flatnonzero((origin >= 0) & readable), np.flatnonzero((origin < 0) & readable)
        if len(kept) < len(features) // 2:
            return self.build(features, k)
        number = np.full(len(self.bound) + 1, -1, dtype=np.int32)  # its last entry is for missing neighbours, -1
        number[origin[kept]] = kept
        ids = number[self.graph.neighbors[origin[kept]]]
        cosines, bound = self.graph.similarities[origin[kept]], self.bound[origin[kept]]
        found, near = search_together(features, kept, new, WIDER * k)
        ids, cosines = _certain(np.hstack([ids, found]), np.hstack([cosines, near]), bound, WIDER * k)
        graph = _empty(features, WIDER * k)
        graph.neighbors[kept], graph.similarities[kept] = ids, cosines
        needed = min(k, len(features) - 1)
        short = kept[(bound >= -1) & (ids[:, needed - 1] < 0)] if needed else kept[:0]
        again = np.sort(np.concatenate([new, short]))
        everyone = np.flatnonzero(readable)
        graph.neighbors[again], graph.similarities[again] = search_together(features, again, everyone, WIDER * k)
        own = self._of(graph).bound
        limits = own.copy()
        limits[kept] = np.maximum(own[kept], bound)
        limits[again] = own[again]
        return Nearest(graph, limits)


def links_of_clusters(below: KnnGraph, clusters: np.ndarray) -> np.ndarray:
    """The other clusters that the nodes of each cluster have edges to, those with the most similar edge first.

    Args:
        below: Graph of m nodes.
        clusters: int64 [m]: which of n clusters each node is in.

    Returns:
        int32 [n, LINKS], padded with -1. Of equally similar clusters the one of lower index comes first.
    """
    order = np.argsort(clusters, kind="stable")
    starts = np.append(0, np.cumsum(np.bincount(clusters)))
    links = np.full((len(starts) - 1, LINKS), -1, dtype=np.int32)
    for rows in own_blocks(len(links), SHARED_ROWS):
        _fill_links(links[rows], rows.start, below, clusters, order[starts[rows.start] : starts[rows.stop]])
    exchange(links, SHARED_ROWS)
    return links


def _fill_links(links: np.ndarray, first: int, below: KnnGraph, clusters: np.ndarray, nodes: np.ndarray) -> None:
    """Fills the rows of consecutive clusters, from cluster `first` on; `nodes` are theirs, in order of clusters."""
    neighbors, similarities = below.neighbors[nodes], below.similarities[nodes]
    others = clusters[neighbors]
    own = np.broadcast_to(clusters[nodes, None], others.shape)
    outward = (neighbors >= 0) & (others != own)
    pairs = (own[outward] - first) * len(clusters) + others[outward]
    order = np.argsort(pairs)
    pairs = pairs[order]
    starts = np.flatnonzero(np.append(True, pairs[1:] != pairs[:-1])[: len(pairs)])
    own, others = np.divmod(pairs[starts], len(clusters))
    nearest = np.maximum.reduceat(similarities[outward][order], starts)
    order = np.argsort((own << 32) - rising(nearest), kind="stable")
    own, others = own[order], others[order]
    place = np.arange(len(own)) - np.searchsorted(own, own)
    near = place < LINKS
    links[own[near], place[near]] = others[near]


def search_together(
    features: np.ndarray, queries: np.ndarray, among: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Does `search` with all processes of a run: each takes some queries. All must call it, and get all results."""
    index = gpu_index(features, among) if len(queries) else None
    ids, cosines = np.empty((len(queries), k), dtype=np.int32), np.empty((len(queries), k), dtype=np.float32)
    for rows in own_blocks(len(queries), SHARED_ROWS):
        ids[rows], cosines[rows] = search(features, queries[rows], among, k, index)
    exchange(ids, SHARED_ROWS)
    exchange(cosines, SHARED_ROWS)
    return ids, cosines


def _empty(features: np.ndarray, k: int) -> KnnGraph:
    neighbors = np.full((len(features), k), -1, dtype=np.int32)
    return KnnGraph(features, neighbors, np.zeros((len(features), k), dtype=np.float32))


def _certain(ids: np.ndarray, cosines: np.ndarray, bound: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` most similar candidates of each row, in order, of those above its bound; -1 and cosine 0 pad the row."""
    certain = (ids >= 0) & (cosines > bound[:, None])
    keys = np.where(certain, -cosines, np.inf)
    order = np.lexsort((ids, keys), axis=1)[:, :k]
    certain = np.take_along_axis(certain, order, axis=1)
    ids, cosines = np.take_along_axis(ids, order, axis=1), np.take_along_axis(cosines, order, axis=1)
    return np.where(certain, ids, -1), np.where(certain, cosines, 0)
