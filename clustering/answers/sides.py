"""The two sides of each cluster: the two groups of faces that its most doubtful join brought together."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.special import expit

from clustering.answers.groups import stake
from clustering.backends.hilander.blending import blended
from clustering.backends.hilander.pairs import Start, log_odds
from clustering.graph.joining import Joining
from clustering.partition import trees


def sides(start: Start, labels: np.ndarray, centres: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Divides each cluster at its most doubtful join.

    The faces of a cluster join in pairs, the likeliest pair first, as in Hi-LANDER, until the cluster is whole. If the
    sides of a join have a and b faces, its doubt is ``P(two people) (a b)^0.75``. Each cluster is divided at its join
    of the highest doubt. Faces that joined later are on neither side.

    Args:
        start: The graph of the n faces, and the model.
        labels: int64 [n], the clusters; -1 for unassigned.
        centres: int64 [clusters]: a face of each cluster. It gets an edge to all others, because the graph may leave
            the cluster in pieces.
        asked: int64 [m, 2]: pairs of faces of one cluster that must stay on one side.

    Returns:
        int64 [n]. The two sides of the i-th cluster with a join are 2 i and 2 i + 1. All other faces have -1.
    """
    tree = joined_within(start, labels, centres, asked)
    joins = np.flatnonzero(tree.met)
    doubt = expit(-tree.joined[joins].astype(np.float64)) * stake(tree.sizes[joins], tree.met[joins])
    order = np.lexsort((joins, -doubt, labels[joins]))
    first = order[np.unique(labels[joins[order]], return_index=True)[1]]
    return undone(tree.parents, tree.met, joins[first[doubt[first] > 0]])


def joined_within(start: Start, labels: np.ndarray, centres: np.ndarray, asked: np.ndarray) -> Joining:
    """Joins the faces inside each cluster until it is whole; asked pairs join first."""
    count, edges = len(labels), start.edges
    inside = (labels[edges.i] == labels[edges.j]) & (labels[edges.i] >= 0)
    others = np.flatnonzero(labels >= 0)
    ends = np.stack([centres[labels[others]], others], axis=1)
    ends = np.concatenate([ends[ends[:, 0] != others], np.stack([edges.i[inside], edges.j[inside]], axis=1)])
    i, j = np.divmod(np.unique(np.sort(ends, axis=1) @ [count, 1]), count)
    faces = blended(start.level.base, start.near)
    tree = Joining(faces, np.ones(count, np.float32), i, j, partial(log_odds, start.model, start.level.scale))
    tree.hold(asked, asked[:0])
    tree.unite()
    tree.join(-np.inf)
    return tree


def undone(parents: np.ndarray, met: np.ndarray, joins: np.ndarray) -> np.ndarray:
    """The two sides of some joins, at most one in each tree, as `sides` returns them.

    Args:
        parents: int64 [n], see `Joining`.
        met: float32 [n], see `Joining`. Among the nodes of one parent it rises from the first join to the last.
        joins: int64 [c]: nodes that joined their parents, which are the joins to undo.
    """
    nodes, kept = np.arange(len(parents)), parents[joins]
    since = np.full(len(parents), np.inf, np.float32)
    since[kept] = met[joins]
    apart = (parents != nodes) & (met >= since[parents])
    apart[kept] = True
    roots = trees(np.where(apart, nodes, parents))
    number = np.full(len(parents), -1)
    number[kept], number[joins] = 2 * np.arange(len(joins)), 2 * np.arange(len(joins)) + 1
    return number[roots[1]][roots[0]]
