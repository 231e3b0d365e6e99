"""A level's nearest neighbours: exact up to `MOST_NODES`, beyond that among those to which the level below links.

Exact lists are updated from those of the level below if most nodes stayed as they were. A search among all nodes takes
quadratic time. With many nodes a cluster's neighbours are therefore sought among the clusters to which its nodes have
edges, in either direction. This takes linear time. It misses many dissimilar neighbours and few similar ones, and only
the similar ones count.
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
"""Clusters that a cluster links to, and that link to it, as in the approximate graph of faces."""
WIDER = 2
"""How many times as many neighbours are kept as a level needs."""
MOST_NODES = 20_000
"""Most nodes for which a search among all of them is fast enough."""
SHARED_ROWS = 2048
"""Rows of a block; the processes of a run divide the blocks among them."""


@dataclass(frozen=True)
class Nearest:
    """More neighbours a node than a level needs, so that the next level can lose some of them.

    Attributes:
        graph: Of n nodes; -1 pads what is not known or not there.
        bound: float32 [n]: every node that is not in the list has at most this cosine; below -1 if there is none, above
            1 if nothing is certain.
    """

    graph: KnnGraph
    bound: np.ndarray

    @classmethod
    def build(cls, features: np.ndarray, k: int) -> Nearest:
        """By search among all nodes: `WIDER` times `k` neighbours a node."""
        return cls._of(KnnGraph.build(features, WIDER * k, search_together))

    @classmethod
    def linked(cls, below: KnnGraph, clusters: np.ndarray, features: np.ndarray, k: int) -> Nearest:
        """By the links of the level below, so that no list is certain to be complete.

        Args:
            below: Graph of the level below, of m nodes.
            clusters: int64 [m]: the node that each has become part of.
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
        """The lists of the next level: nodes that are gone are taken out, and new ones come in.

        New nodes, and nodes that are left with fewer than `k` certain neighbours, are searched for among all.

        Args:
            features: float32 [m, d], unit or zero rows.
            origin: int64 [m]: the node that each one was before, ascending, or -1 for new ones.
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
    """The other clusters that each cluster's nodes have neighbours in.

    Args:
        below: Of m nodes.
        clusters: int64 [m], of n clusters.

    Returns:
        int32 [n, LINKS], by the most similar of a pair's edges, equal ones by index; -1 where there are no more.
    """
    order = np.argsort(clusters, kind="stable")
    starts = np.append(0, np.cumsum(np.bincount(clusters)))
    links = np.full((len(starts) - 1, LINKS), -1, dtype=np.int32)
    for rows in own_blocks(len(links), SHARED_ROWS):
        _fill_links(links[rows], rows.start, below, clusters, order[starts[rows.start] : starts[rows.stop]])
    exchange(links, SHARED_ROWS)
    return links


def _fill_links(links: np.ndarray, first: int, below: KnnGraph, clusters: np.ndarray, nodes: np.ndarray) -> None:
    """Fills in the links of consecutive clusters, of which these are the nodes."""
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
    """What `search` finds, by all processes of a run together; all must call it and get the same."""
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
    """The `k` most similar of the candidates above each row's bound, in order; -1 and 0 where there are no more."""
    certain = (ids >= 0) & (cosines > bound[:, None])
    keys = np.where(certain, -cosines, np.inf)
    order = np.lexsort((ids, keys), axis=1)[:, :k]
    certain = np.take_along_axis(certain, order, axis=1)
    ids, cosines = np.take_along_axis(ids, order, axis=1), np.take_along_axis(cosines, order, axis=1)
    return np.where(certain, ids, -1), np.where(certain, cosines, 0)
