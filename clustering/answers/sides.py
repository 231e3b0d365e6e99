"""The two sides of each cluster: what its faces had become before the join that is most in doubt."""

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
    """Int64 [n]: of c clusters with a join, twice the number of one, plus 1 on its other side; -1 for all other faces.

    The faces of each cluster join in pairs, the likeliest first, as in Hi-LANDER, until the cluster is whole. The join
    in doubt is the one with the highest ``P(two people) (a b)^0.75`` of sides of a and b faces. What has joined them
    later is on neither side.

    Args:
        start: The graph of the n faces, and the model.
        labels: int64 [n], the clusters; -1 for unassigned.
        centres: int64 [clusters]: a face of each cluster that has an edge to all others, as the graph may not connect
            the cluster.
        asked: int64 [m, 2]: faces of one cluster each that are never on two sides.
    """
    tree = joined_within(start, labels, centres, asked)
    joins = np.flatnonzero(tree.met)
    doubt = expit(-tree.joined[joins].astype(np.float64)) * stake(tree.sizes[joins], tree.met[joins])
    order = np.lexsort((joins, -doubt, labels[joins]))
    first = order[np.unique(labels[joins[order]], return_index=True)[1]]
    return undone(tree.parents, tree.met, joins[first[doubt[first] > 0]])


def joined_within(start: Start, labels: np.ndarray, centres: np.ndarray, asked: np.ndarray) -> Joining:
    """What the faces of each cluster join in; asked pairs first."""
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
    """The sides of some joins, one a tree, as `sides` returns them.

    Args:
        parents: int64 [n], see `Joining`.
        met: float32 [n], which rises with time among nodes that joined the same one.
        joins: int64 [c]: nodes that joined their parents.
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
