"""Pairs that join on a level, with answers of a person: who must be together, and who must not be.

Two faces that must be together leave two explanations, if their clusters did not join: both clusters are one person,
or one of the faces is a stray in its cluster. The likelier one holds: the clusters become one as wholes, or the stray
alone moves.
"""

from __future__ import annotations

import numpy as np

from clustering.graph.constraints import Constraints
from clustering.graph.joining import Joining

SLACK = 2.0
"""Log-odds below `least` from which edges are forgotten: hardly one ever joins, and the next level finds new edges."""
BY_SIZE = 0.75
"""Weight of the logarithm of the smaller cluster's size, against both clusters being one: larger ones would have joined
without the answer."""


def joined(nodes: Joining, least: float, known: Constraints | None) -> Joining:
    """Joins all pairs that are worth `least` or more, and keeps what is known.

    Args:
        nodes: Before anything has joined.
        least: Least log-odds.
        known: Answers about the nodes; None if there are none.
    """
    if known is None:
        nodes.join(least, slack=SLACK)
        return nodes
    together = known.together
    found = _held(nodes.without(together[:0]), together, known.apart, least)
    left_out = strays(nodes, found, together)
    if len(left_out):
        del found  # a copy of all sums
        found = _held(nodes.without(left_out), together, known.apart, least)
    found.unite()
    found.join(least, slack=SLACK)
    return found


def _held(nodes: Joining, together: np.ndarray, apart: np.ndarray, least: float) -> Joining:
    nodes.hold(together, apart)
    nodes.join(least, slack=SLACK)
    return nodes


def strays(nodes: Joining, found: Joining, together: np.ndarray) -> np.ndarray:
    """Int64: of pairs that must be together but did not join, the face that fits its cluster less, if it is a stray.

    Args:
        nodes: Single faces, before anything has joined.
        found: What they have become.
        together: int64 [m, 2].
    """
    clusters, peaks = found.clusters()
    ends = peaks[clusters[together]]
    apart = ends[:, 0] != ends[:, 1]
    faces, ends = together[apart], ends[apart]
    both = found.worth(found.sums, found.sizes, ends[:, 0], ends[:, 1])
    both = both - BY_SIZE * np.log(found.sizes[ends].min(axis=1, initial=np.inf))
    own = worth_of_own(nodes, found, faces.ravel(), ends.ravel()).reshape(-1, 2)
    stray = both + own.min(axis=1, initial=np.inf) < 0
    return faces[stray, own[stray].argmin(axis=1)]


def worth_of_own(nodes: Joining, found: Joining, faces: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Float32 [m]: the worth of each face and the rest of its cluster as a pair; infinity if there is no rest."""
    count, alone = len(faces), found.sizes[clusters] == 1
    sums = np.concatenate([found.sums[clusters] - nodes.sums[faces], nodes.sums[faces]])
    sizes = np.concatenate([np.maximum(found.sizes[clusters] - 1, 1), np.ones(count, np.float32)])
    number = np.arange(count)
    return np.where(alone, np.inf, found.worth(sums, sizes, number, count + number))
