"""Clusters that join in pairs, in rounds: two clusters join if they are each other's likeliest partner."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clustering.partition import components, trees
from facerec.pipeline.files import blocks, row_blocks

ROUNDS = 500
BLOCK, SUMS = 1 << 18, 1 << 14
"""Edges of a block, and joining pairs of a block: they bound the memory of the work."""


Worth = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""worth(sums, sizes, i, j), float32 [e]: how likely the clusters i and j of each of e pairs are one person."""


class Joining:
    """Clusters of n nodes, and the edges between them, while clusters join.

    At first each node is a cluster. A cluster has the index of one of its nodes: of two clusters that join, the one of
    more faces keeps its index. Only clusters with an edge between them are compared.

    Args:
        sums: float32 [n, d]: the sum of the embeddings of each node's faces; overwritten.
        sizes: float32 [n]: faces of each node; overwritten.
        i: int32 [e]: one end of each edge.
        j: int32 [e]: the other end.
        worth: Gives the worth of pairs of clusters, from their present sums and sizes.
        values: float32 [e], the worth of the edges, if it is known already.

    Attributes:
        sums: float32 [n, d], valid at the indices of clusters.
        sizes: float32 [n], valid there, too.
        parents: int64 [n]: the index of the cluster that each one joined; its own if it joined none.
        joined: float32 [n]: the worth of that pair when it joined; 0 if it joined none.
        met: float32 [n]: faces of the other cluster when they joined; 0 if it joined none.
    """

    def __init__(
        self,
        sums: np.ndarray,
        sizes: np.ndarray,
        i: np.ndarray,
        j: np.ndarray,
        worth: Worth,
        values: np.ndarray | None = None,
    ) -> None:
        self.sums, self.sizes, self.parents = sums, sizes, np.arange(len(sums))
        self.joined, self.met = np.zeros(len(sums), np.float32), np.zeros(len(sums), np.float32)
        self._i, self._j, self.worth = i.astype(np.int32, copy=False), j.astype(np.int32, copy=False), worth
        self._group: np.ndarray | None = None
        self._apart = np.zeros((0, 2), np.int64)
        self.values = worth(sums, sizes, self._i, self._j) if values is None else values

    def without(self, nodes: np.ndarray) -> Joining:
        """A copy without the edges of some nodes, int64 [m]; to be called before anything has joined."""
        left_out = np.zeros(len(self.sizes), bool)
        left_out[nodes] = True
        kept = ~(left_out[self._i] | left_out[self._j])
        edges = self._i[kept], self._j[kept]
        return Joining(self.sums.copy(), self.sizes.copy(), *edges, self.worth, self.values[kept])

    def hold(self, together: np.ndarray, apart: np.ndarray) -> None:
        """Keeps some nodes apart for good, and ties others, which `unite` joins later.

        If one of a group of tied clusters must not join some cluster, none of the group does.

        Args:
            together: int64 [m, 2], nodes, before anything has joined.
            apart: int64 [c, 2], nodes. None of these pairs is together by `together`.
        """
        self._group = components(len(self.sizes), *together.T)
        self._apart = self._group[apart]

    def unite(self) -> None:
        """Joins the clusters that are tied, whatever they are worth, to the largest of them."""
        if self._group is None:
            return
        own = np.flatnonzero(self.parents == np.arange(len(self.parents)))
        order = own[np.lexsort((own, -self.sizes[own], self._group[own]))]
        _, first, group = np.unique(self._group[order], return_index=True, return_inverse=True)
        gone, keep = np.delete(order, first), np.delete(order[first][group], first)
        self.met[gone] = self.sizes[keep]
        np.add.at(self.sums, keep, self.sums[gone])  # several may join one
        np.add.at(self.sizes, keep, self.sizes[gone])
        self._record(keep, gone, np.full(len(gone), np.inf))

    def join(self, least: float, rounds: int = ROUNDS, slack: float = np.inf) -> None:
        """Joins pairs that are worth `least` or more, until there are none.

        In a round all pairs join that are each other's best partner. Then the worth of their edges is computed again.

        Args:
            least: Least worth of a pair that joins.
            rounds: Most rounds.
            slack: Edges worth less than ``least - slack`` are dropped for good, which saves time.
        """
        for _ in range(rounds):
            self._drop_edges(least - slack)
            pairs = self._mutually_best(least)
            if not len(pairs):
                return
            one, other = self._i[pairs], self._j[pairs]
            larger = self.sizes[one] >= self.sizes[other]
            keep, gone = np.where(larger, one, other), np.where(larger, other, one)
            self.met[gone] = self.sizes[keep]
            for some in row_blocks(len(pairs), SUMS):  # no cluster is in two pairs
                self.sums[keep[some]] += self.sums[gone[some]]
            self.sizes[keep] += self.sizes[gone]
            self._record(keep, gone, self.values[pairs])

    @property
    def nothing_joined(self) -> bool:
        """Whether every node is still a cluster of its own."""
        return np.array_equal(self.parents, np.arange(len(self.parents)))

    def _record(self, keep: np.ndarray, gone: np.ndarray, values: np.ndarray) -> None:
        """Records that the clusters `gone` have joined the clusters `keep`; `values` are the worths of these pairs."""
        self.parents[gone], self.joined[gone] = keep, values
        if self._group is not None:
            became, one, other = np.arange(len(self.sizes)), self._group[keep], self._group[gone]
            became[other[one != other]] = one[one != other]
            self._group, self._apart = became[self._group], became[self._apart]
        self._move_edges(keep, gone)

    def _drop_edges(self, least: float) -> None:
        """Drops edges that are worth less than `least`, and those between clusters that must not join."""
        kept = self.values >= least
        kept[self._forbidden()] = False
        if not kept.all():
            self._i = self._i[kept]  # one after the other, so that only one array is in memory twice
            self._j = self._j[kept]
            self.values = self.values[kept]

    def clusters(self) -> tuple[np.ndarray, np.ndarray]:
        """The cluster of each node, int64 [n], and the index of each cluster, see `trees`."""
        return trees(self.parents)

    def _mutually_best(self, least: float) -> np.ndarray:
        """Edges of `least` or above that are the best of both their ends; of equally good ones the last."""
        active = np.flatnonzero(self.values >= least)
        pairs = self._best_of_both(active, self._i, self._j)
        if self._group is None:
            return pairs
        one, other = self._group[self._i], self._group[self._j]
        tied = (one == other)[active]
        # Between groups one edge a group joins, or the second might join what the first forbids.
        between = self._best_of_both(active[~tied], one, other)
        return np.intersect1d(pairs, np.append(active[tied], between))

    def _best_of_both(self, edges: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Of some edges, in rising order, those that are the best of both their ends.

        Args:
            edges: int64 [a].
            one: One end of each edge, whole numbers [e].
            other: The other.
        """
        highest = np.full(len(self.sizes), -np.inf, self.values.dtype)
        for some in blocks(edges, BLOCK):
            for ends in (one[some], other[some]):
                np.maximum.at(highest, ends, self.values[some])
        last = np.full(len(self.sizes), -1, np.int64)
        for some in blocks(edges, BLOCK):
            for ends in (one[some], other[some]):
                best = self.values[some] == highest[ends]
                np.maximum.at(last, ends[best], some[best])
        found = [some[(last[one[some]] == some) & (last[other[some]] == some)] for some in blocks(edges, BLOCK)]
        return np.concatenate([edges[:0], *found])

    def _move_edges(self, keep: np.ndarray, gone: np.ndarray) -> None:
        """Moves the edges of clusters that joined to their new clusters, each pair once, and computes their worth."""
        changed = np.zeros(len(self.sizes), bool)
        changed[keep] = changed[gone] = True
        old = changed[self._i] | changed[self._j]
        i, j = pairs_once(self.parents[self._i[old]], self.parents[self._j[old]], len(changed))
        same = np.flatnonzero(~old)
        del old
        self._i = np.concatenate([self._i[same], i])
        self._j = np.concatenate([self._j[same], j])
        self.values = np.concatenate([self.values[same], self.worth(self.sums, self.sizes, i, j)])

    def _forbidden(self) -> np.ndarray:
        """Int64: the edges between clusters that must not join."""
        if self._group is None:
            return np.zeros(0, np.int64)
        count, named = len(self.sizes), np.zeros(len(self.sizes), bool)
        named[self._apart] = True
        edges = np.flatnonzero(named[self._group[self._i]] & named[self._group[self._j]])
        low, high = np.sort(self._apart, axis=1).T
        ends = np.sort([self._group[self._i[edges]], self._group[self._j[edges]]], axis=0)
        return edges[np.isin(ends[0] * count + ends[1], low * count + high)]


def pairs_once(one: np.ndarray, other: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of two different nodes, every pair once, in rising order: int32 [m] each, the lower and the higher.

    Args:
        one: int64 [e], as keys of pairs are products of two row numbers.
        other: int64 [e].
        nodes: How many there are, fewer than 2^31.
    """
    apart = one != other
    one, other = one[apart], other[apart]
    keys = np.minimum(one, other)
    keys *= nodes
    keys += np.maximum(one, other, out=one)
    keys.sort()
    i, j = np.divmod(keys[np.append(True, keys[1:] != keys[:-1])[: len(keys)]], nodes)
    return i.astype(np.int32), j.astype(np.int32)
