"""Pairs of clusters that mingle: their faces have neighbours in both clusters, as the faces of one person do.

A person's faces may become two clusters, by pose or by light, whose means are not alike enough to join. But between
them there are faces with neighbours on both sides. Two people have few such faces, however alike their means are.

Let two clusters have n and m faces. Of the edges among these faces, a share s leads from one cluster to the other. If
both were one person, neighbours would come from both alike, and s would be ``2 n m / ((n + m) (n + m - 1))``. How much
they mingle is s as a part of that.

Pairs that nearly mingle are decoys, as in `clustering.backends.hilander.outstanding`. Where a recogniser confuses
people, many strangers mingle a little, and the more, the fewer. So many decoys show that what mingles is strangers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.backends.hilander.level import Level
from clustering.backends.hilander.longer_lists import lists_of
from clustering.graph.joining import Joining, Worth
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import share_across, trees
from facerec.pipeline.files import row_blocks

LEAST = 0.35
"""How much a pair has to mingle."""
FEWEST = 5
"""Fewest faces of each cluster: the edges of fewer say little."""
NEIGHBORS, PART = 40, 2
"""Neighbours of a face that count: at most so many, and at most half as many as both clusters have faces. Farther ones
may be anybody's."""
FLOOR = -2.0
"""Least log-odds, by the model, of a pair that is looked at, to save time."""
DECOYS, MOST_DECOYS = (0.5, 0.75), 1.5
"""How much decoys mingle, as parts of `LEAST`. With more decoys than this for each pair that mingles, none joins."""
MOST_OPERATIONS = 3e11
"""If the search for the neighbours of all faces in these pairs takes more, which is some seconds, none joins either."""
ROWS = 1 << 14
"""Faces whose edges are counted at once, to save memory."""
UNLIKELY = -1e30
"""What a pair that mingles is worth at least; one that does not is worth less."""


@dataclass(frozen=True)
class Crossings:
    """Edges within some clusters and between them.

    Attributes:
        number: int64 [clusters]: these clusters, numbered from 0; -1 for all others.
        i: int64 [e]: of each kind of edge the lower cluster, by number.
        j: int64 [e]: the higher one, or the same.
        place: int64 [e]: the place of the neighbour in its list, from 0.
        count: int64 [e]: how many edges there are of this kind.
    """

    number: np.ndarray
    i: np.ndarray
    j: np.ndarray
    place: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, graph: KnnGraph, cluster: np.ndarray, among: np.ndarray) -> Crossings:
        """Counts the edges.

        Args:
            graph: Of n faces. Neighbours that it lacks are searched for.
            cluster: int64 [n]: the cluster of each face.
            among: Bool [clusters]: which clusters.
        """
        number, total = np.where(among, np.cumsum(among) - 1, -1), int(np.count_nonzero(among))
        own = number[cluster]
        faces = np.flatnonzero(own >= 0)
        near = lists_of(graph, faces, NEIGHBORS)[0]
        kinds, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for rows in row_blocks(len(faces), ROWS):
            other = np.where(near[rows] >= 0, own[near[rows]], -1)
            face, place = np.nonzero(other >= 0)
            low, high = np.sort([own[faces[rows]][face], other[face, place]], axis=0)
            kind, count = np.unique((low * total + high) * NEIGHBORS + place, return_counts=True)
            kinds.append(kind)
            counts.append(count)
        kind, group = np.unique(np.concatenate(kinds), return_inverse=True)
        count = np.bincount(group, np.concatenate(counts), len(kind)).astype(np.int64)
        pair, place = np.divmod(kind, NEIGHBORS)
        return cls(number, *np.divmod(pair, max(total, 1)), place, count)

    def mingling(self, parents: np.ndarray, sizes: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Float64 [p]: how much pairs of clusters mingle.

        Args:
            parents: int64 [clusters]: what each has joined, see `Joining`.
            sizes: float32 [clusters], see there.
            one: Whole numbers [p], one cluster of each pair.
            other: The same, the other one.
        """
        tree, roots = trees(parents)
        now, total = self.number[roots[tree[self.number >= 0]]], int(np.count_nonzero(self.number >= 0))
        faces = sizes[self.number >= 0].astype(np.float64)
        i, j = np.sort([now[self.i], now[self.j]], axis=0)
        inside = i == j
        within = np.bincount(i[inside] * NEIGHBORS + self.place[inside], self.count[inside], total * NEIGHBORS)
        within = np.cumsum(within.reshape(total, NEIGHBORS), axis=1)
        counts = ~inside & (self.place < counted_neighbors(faces[i] + faces[j]))
        pairs, group = np.unique(i[counts] * total + j[counts], return_inverse=True)
        crossing = np.append(np.bincount(group, self.count[counts], len(pairs)), 0)  # the last is for pairs without any
        low, high = np.sort([self.number[one], self.number[other]], axis=0)
        found = np.searchsorted(pairs, low * total + high)
        across = crossing[np.where(np.append(pairs, -1)[found] == low * total + high, found, len(pairs))]
        n, m = faces[low], faces[high]
        last = counted_neighbors(n + m) - 1
        share = across / np.maximum(across + within[low, last] + within[high, last], 1)
        return np.asarray(share / share_across(n, m))


def counted_neighbors(faces: np.ndarray) -> np.ndarray:
    """Int64: how many neighbours of each face count, by the number of faces of both clusters."""
    return np.minimum(faces // PART, NEIGHBORS).astype(np.int64)


def may_mingle(graph: KnnGraph, i: np.ndarray, j: np.ndarray, values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Int64: the pairs of clusters that are large and likely enough to be looked at; none if that takes long.

    Args:
        graph: Of the faces.
        i: int32 [e], one cluster of each pair.
        j: int32 [e], the other.
        values: float32 [e], log-odds that both are of one identity.
        sizes: float32 [clusters], faces of each.
    """
    found = np.flatnonzero((np.minimum(sizes[i], sizes[j]) >= FEWEST) & (values >= FLOOR))
    faces = sizes[np.unique([i[found], j[found]])].sum(dtype=np.float64)
    return found if 2 * faces * graph.embeddings.size <= MOST_OPERATIONS else found[:0]


def mingling_pairs(
    graph: KnnGraph, cluster: np.ndarray, level: Level, i: np.ndarray, j: np.ndarray, values: np.ndarray, worth: Worth
) -> Joining:
    """The clusters of a level, ready to join in pairs as long as these mingle: those worth `UNLIKELY` or more.

    Args:
        graph: Of n faces.
        cluster: int64 [n]: the cluster of each face, a node of the level.
        level: Its sums are overwritten when clusters join.
        i: int32 [p], one cluster of each pair.
        j: int32 [p], the other.
        values: float32 [p], log-odds of these pairs.
        worth: Log-odds of pairs that clusters make later. The likeliest join first.
    """
    among = np.zeros(len(level.sizes), bool)
    among[i] = among[j] = True
    crossings = Crossings.of(graph, cluster, among)
    amounts = crossings.mingling(np.arange(len(among)), level.sizes, i, j)
    nearly = (amounts >= DECOYS[0] * LEAST) & (amounts < DECOYS[1] * LEAST)
    if np.count_nonzero(nearly) > MOST_DECOYS * np.count_nonzero(amounts >= LEAST):
        i, j, amounts, values = i[:0], j[:0], amounts[:0], values[:0]

    def worth_of(amounts: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.where(amounts >= LEAST, values, -np.inf).astype(np.float32)

    def worth_now(sums: np.ndarray, sizes: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        return worth_of(crossings.mingling(joining.parents, sizes, i, j), worth(sums, sizes, i, j))

    joining = Joining(level.sums, level.sizes.copy(), i, j, worth_now, worth_of(amounts, values))
    return joining
