"""The forest of a level's edges under constraints: must-links are certain edges, cannot-links cut the weakest edge."""

from __future__ import annotations

import numpy as np

from clustering.answers.constraints import Constraints


def constrained(parents: np.ndarray, strength: np.ndarray, density: np.ndarray, known: Constraints) -> np.ndarray:
    """Parents that keep what is known.

    Of nodes that must be together all but the densest get a certain edge to it. The densest keeps its own edge, which
    leads to a denser node, so edges are a forest still. Of two nodes that must be apart and share a tree, the weakest
    edge on the way from one to the other is cut, of those that are not certain.

    Args:
        parents: int64 [n], a denser node each or, for peaks, the node itself.
        strength: float32 [n]: linkage probability of each edge.
        density: float32 [n]; of equal ones the lower index counts as denser.
        known: About the n nodes, without contradictions.

    Returns:
        int64 [n].
    """
    rank = np.empty(len(parents), np.int64)
    rank[np.lexsort((-np.arange(len(parents)), density))] = np.arange(len(parents))
    parents, strength = parents.copy(), np.array(strength, np.float64)
    rows = known.linked[np.lexsort((-rank[known.linked], known.person[known.linked]))]
    first = np.flatnonzero(np.diff(known.person[rows], prepend=-1))
    top = rows[np.repeat(first, np.diff(np.append(first, len(rows))))] if len(rows) else rows
    parents[rows[rows != top]], strength[rows[rows != top]] = top[rows != top], np.inf
    while True:
        cut = weakest_between(parents, strength, rank, known.apart)
        if not len(cut):
            return parents
        parents[cut] = cut


def weakest_between(parents: np.ndarray, strength: np.ndarray, rank: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The nodes whose edge is the weakest on the way between two nodes of one tree, for all pairs at once.

    Of both ends the one of lower rank goes up, until they meet or both are peaks.

    Args:
        parents: int64 [n], of higher rank.
        strength: float64 [n], of their edges.
        rank: int64 [n].
        pairs: int64 [p, 2].
    """
    left, right = pairs.T.copy()
    weakest = np.full(len(pairs), -1)
    value = np.full(len(pairs), np.inf)
    going = np.flatnonzero(left != right)
    while len(going):
        swap = rank[left[going]] > rank[right[going]]
        left[going[swap]], right[going[swap]] = right[going[swap]], left[going[swap]]
        node = left[going]
        ends = parents[node] == node  # a peak below the other end: another tree
        weakest[going[ends]] = -1
        going, node = going[~ends], node[~ends]
        weaker = strength[node] < value[going]
        weakest[going[weaker]], value[going[weaker]] = node[weaker], strength[node[weaker]]
        left[going] = parents[node]
        going = going[left[going] != right[going]]
    return np.unique(weakest[weakest >= 0])
