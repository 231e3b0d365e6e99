"""Clusters that join in pairs: those that are each other's most likely, the likeliest first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clustering.partition import components, trees

ROUNDS = 500


Worth = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""How likely clusters i and j are to belong together, float32 [e], given all sums and sizes."""


class Joining:
    """Clusters on the way up, each under the index of one of its nodes, and the edges between what they have become.

    Only clusters that an edge connects are compared.

    Args:
        sums: float32 [n, d]: of the embeddings below each node; overwritten.
        sizes: float32 [n]: faces below each node; overwritten.
        i: int64 [e]: one end of each edge.
        j: int64 [e]: the other.
        worth: Of two clusters, given what they have become.
        values: float32 [e], the worth of the edges, if it is known already.

    Attributes:
        sums: float32 [n, d], at the index of each cluster.
        sizes: float32 [n].
        parents: int64 [n]: the node that each node has joined, the one of more faces; itself if none.
        joined: float32 [n]: what the edge between them was worth then.
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
        self.joined = np.zeros(len(sums), np.float32)
        self._i, self._j, self._worth = i.astype(np.int64), j.astype(np.int64), worth
        self._apart = np.zeros((0, 2), np.int64)
        self.values = worth(sums, sizes, self._i, self._j) if values is None else values

    def hold(self, together: np.ndarray, apart: np.ndarray) -> None:
        """Joins nodes that must be together, and keeps apart for good those that must be.

        Args:
            together: int64 [m, 2], nodes, none of which has joined another one.
            apart: int64 [c, 2], nodes. None of these pairs is together by `together`.
        """
        nodes, groups = np.unique(together), components(len(self.sizes), *together.T)
        order = nodes[np.lexsort((nodes, -self.sizes[nodes], groups[nodes]))]
        first, group = np.unique(groups[order], return_index=True, return_inverse=True)[1:]
        keep, others = order[first][group], np.delete(np.arange(len(order)), first)
        keep, gone = keep[others], order[others]
        np.add.at(self.sums, keep, self.sums[gone])
        np.add.at(self.sizes, keep, self.sizes[gone])
        self.parents[gone], self.joined[gone] = keep, np.inf
        self._apart = np.asarray(apart, np.int64)
        self._renew(keep, gone)
        allowed = self._allowed(self._i, self._j)
        self._i, self._j, self.values = self._i[allowed], self._j[allowed], self.values[allowed]

    def join(self, least: float, rounds: int = ROUNDS, slack: float = np.inf) -> None:
        """Joins pairs that are worth `least` or more until there are none, or for some rounds.

        In a round all pairs join that are each other's best; then the edges of what they have become are valued anew.

        Args:
            least: What a pair must be worth.
            rounds: At most.
            slack: Edges that are worth less than `least` by more than this are forgotten, which saves time.
        """
        for _ in range(rounds):
            self._forget(least - slack)
            pairs = self._mutual(least)
            if not len(pairs):
                return
            one, other = self._i[pairs], self._j[pairs]
            larger = self.sizes[one] >= self.sizes[other]
            keep, gone = np.where(larger, one, other), np.where(larger, other, one)
            self.sums[keep] += self.sums[gone]
            self.sizes[keep] += self.sizes[gone]
            self.parents[gone], self.joined[gone] = keep, self.values[pairs]
            self._renew(keep, gone)

    def _forget(self, least: float) -> None:
        """Edges that are worth less."""
        kept = self.values >= least
        if not kept.all():
            self._i, self._j, self.values = self._i[kept], self._j[kept], self.values[kept]

    def clusters(self) -> tuple[np.ndarray, np.ndarray]:
        """What `trees` makes of `parents`: int64 [n], the cluster of each node; and the index of each cluster."""
        return trees(self.parents)

    def _mutual(self, least: float) -> np.ndarray:
        """Edges of `least` or above that are the best of both their ends; of equally good ones the last."""
        active = np.flatnonzero(self.values >= least)
        active = active[np.argsort(self.values[active], kind="stable")]
        best = np.full(len(self.sizes), -1, np.int64)
        ends = np.stack([self._i[active], self._j[active]], axis=1).ravel()
        best[ends] = np.repeat(active, 2)  # the last one stays
        return active[(best[self._i[active]] == active) & (best[self._j[active]] == active)]

    def _renew(self, keep: np.ndarray, gone: np.ndarray) -> None:
        """Edges of clusters that have joined lead to what they have become, once each, with their worth of today."""
        changed = np.zeros(len(self.sizes), bool)
        changed[keep] = changed[gone] = True
        old = changed[self._i] | changed[self._j]
        one, other = self.parents[self._i[old]], self.parents[self._j[old]]
        keys = np.unique((np.minimum(one, other) * len(changed) + np.maximum(one, other))[one != other])
        i, j = np.divmod(keys, len(changed))
        if len(self._apart):
            self._apart = self.parents[self._apart]
            allowed = self._allowed(i, j)
            i, j = i[allowed], j[allowed]
        values = self._worth(self.sums, self.sizes, i, j)
        self._i, self._j = np.concatenate([self._i[~old], i]), np.concatenate([self._j[~old], j])
        self.values = np.concatenate([self.values[~old], values])

    def _allowed(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Bool [e]: whether clusters i and j may join."""
        low, high = np.sort(self._apart, axis=1).T
        apart = low * len(self.sizes) + high
        return ~np.isin(np.minimum(i, j) * len(self.sizes) + np.maximum(i, j), apart)
