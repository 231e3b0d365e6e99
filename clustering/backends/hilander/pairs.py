"""Climbing by pairs: two clusters join if they are each other's likeliest partner, until no pair is likely enough.

In the paper every node of a level keeps one edge, to its likeliest denser neighbour, and all these edges join at once.
A chain of them can join two people who are both like a third person, but not like each other. Here an edge is judged
when it joins, from the clusters that are then at its ends.

Faces are compared after they are `blended` with the neighbours that the model is sure of, and with theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from scipy.special import expit, logit

from clustering.backends.hilander.blending import MANY_FACES, InOrder, blended, neighborhoods
from clustering.backends.hilander.climb import Step, merge
from clustering.backends.hilander.engines import link
from clustering.backends.hilander.known_pairs import joined
from clustering.backends.hilander.lander import LinkageModel
from clustering.backends.hilander.level import Level, pair_inputs
from clustering.backends.hilander.longer_lists import with_longer_lists
from clustering.backends.hilander.mingling import UNLIKELY, may_mingle, mingling_pairs
from clustering.backends.hilander.outstanding import outstanding
from clustering.graph.constraints import Constraints
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.edges import Edges
from clustering.graph.joining import Joining, Worth
from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.files import row_blocks

BLOCK = 1 << 14
MANY_CLUSTERS, FEW_CLUSTERS = 150, 15
"""With fewer than many clusters on a level, less likely pairs join, too; fewer than few count as few. See
`least_log_odds`."""


@dataclass(frozen=True)
class Start:
    """What all climbs by pairs on a graph share, whatever their threshold.

    Attributes:
        level: The lowest level, whose nodes are the faces.
        model: Gives the log-odds of pairs.
        lists: The faces with the neighbours that they are blended with: `level`, unless they were `lengthened`.
        full: How many sure neighbours make a list full, see `filled_up`.
        graph: The graph of the faces as it was given, with as many neighbours as `level` has, or more.
    """

    level: Level
    model: LinkageModel
    lists: Level
    full: int | np.ndarray
    graph: KnnGraph

    @classmethod
    def of(cls, graph: KnnGraph, model: LinkageModel, k: int | None = None) -> Start:
        """The faces of a graph, of which `k` neighbours are linked."""
        level = Level.of_faces(graph.narrowed(k or graph.k))
        return cls(level, model, level, level.graph.k, graph)

    def lengthened(self, lengths: np.ndarray) -> Start:
        """The same start, but faces are blended with more neighbours: int64 [n], see `lengths_by_size`."""
        wide = self.level.scale.correct(with_longer_lists(self.graph, self.level.graph.k, lengths))
        return replace(self, lists=replace(self.level, graph=wide), full=lengths)

    def climb(self, p_tau: float, known: Constraints | None = None) -> Iterator[Step]:
        """Climbs by pairs, see `climb_by_pairs`."""
        return climb_by_pairs(self, p_tau, known)

    @property
    def near(self) -> InOrder:
        """Weights of the faces that each is blended with, see `neighborhoods`; kept, up to `MANY_FACES` faces."""
        return self._kept if len(self.level.sizes) <= MANY_FACES else self._linked()

    @cached_property
    def _kept(self) -> InOrder:
        return self._linked()

    def _linked(self) -> InOrder:
        return InOrder.of(neighborhoods(self.lists, link(self.model, self.lists), self.model, self.full))

    @cached_property
    def edges(self) -> Edges:
        """The edges without direction, kept. A climb makes its own, which it can free."""
        return Edges.of(self.level.graph)


def log_odds(
    model: LinkageModel, scale: CorpusScale, sums: np.ndarray, sizes: np.ndarray, i: np.ndarray, j: np.ndarray
) -> np.ndarray:
    """Float32 [e]: log-odds that clusters i and j are of one identity, see `pair_inputs`."""
    device, found = model.device, np.empty(len(i), np.float32)
    with torch.inference_mode():
        for rows in row_blocks(len(i), BLOCK):
            inputs = torch.from_numpy(pair_inputs(sums, sizes, i[rows], j[rows], scale)).to(device)
            found[rows] = model.log_odds(inputs).cpu().numpy()
    return found


def climb_by_pairs(start: Start, p_tau: float, known: Constraints | None = None) -> Iterator[Step]:
    """On each level joins pairs until none is likely enough, then finds the neighbours of the clusters anew.

    Where no pair is, pairs that stand out join, and where none does, pairs that mingle; but not if all nodes are single
    faces. See `clustering.backends.hilander.outstanding` and `clustering.backends.hilander.mingling`.

    Args:
        start: The faces and the model.
        p_tau: Least linkage probability of a pair, on a level of `MANY_CLUSTERS` nodes or more.
        known: Answers about pairs of faces. Faces of one person are together from the first level on. Faces of two
            people never join. See `clustering.backends.hilander.known_pairs`.

    Yields:
        A step for each level, up to the first on which nothing joins. The peak of a cluster is the node that had more
        faces each time when two clusters joined.
    """
    level, worth = start.level, partial(log_odds, start.model, start.level.scale)
    sums, node = blended(level.base, start.near), np.arange(len(level.sizes))
    while True:
        joining, density = _before_any_join(level, sums, worth)
        del sums
        least = least_log_odds(p_tau, int(np.count_nonzero(level.graph.readable)))
        joining = joined(joining, least, known)
        if not level.lowest and joining.nothing_joined:
            del joining
            joining = _join_further(start, level, node, worth, known)
        clusters, peaks = joining.clusters()
        node = clusters[node]
        linkage = np.where(joining.parents == np.arange(len(clusters)), 0, expit(joining.joined)).astype(np.float32)
        yield Step(level, linkage, density, joining.parents, clusters, peaks)
        if len(peaks) == len(clusters):
            return
        sums, sizes = joining.sums[peaks], joining.sizes[peaks]
        del joining
        level = merge(level, clusters, peaks, sums, sizes, "average", level.graph.k)
        known = known.of_nodes(clusters) if known else None


def _join_further(start: Start, level: Level, node: np.ndarray, worth: Worth, known: Constraints | None) -> Joining:
    """A level's nodes after the pairs that stand out have joined, the likeliest first; if none does, those that mingle.

    Args:
        start: Of the climb.
        level: Of m nodes.
        node: int64 [n]: the node of each face.
        worth: Log-odds of pairs of nodes.
        known: Answers about nodes.
    """
    edges = Edges.of(level.graph)
    values = worth(level.sums, level.sizes, edges.i, edges.j)
    chosen = outstanding(edges.i, edges.j, values, level.sizes)
    ends = edges.i[chosen], edges.j[chosen]
    joining = _all_joined(Joining(level.sums, level.sizes.copy(), *ends, worth, values[chosen]), -np.inf, known)
    if not joining.nothing_joined:
        return joining
    chosen = may_mingle(start.graph, edges.i, edges.j, values, level.sizes)
    ends = edges.i[chosen], edges.j[chosen]
    return _all_joined(mingling_pairs(start.graph, node, level, *ends, values[chosen], worth), UNLIKELY, known)


def _all_joined(joining: Joining, least: float, known: Constraints | None) -> Joining:
    """The same, after all pairs worth `least` or more have joined that may."""
    if known:
        joining.hold(known.together, known.apart)
    joining.join(least)
    return joining


def least_log_odds(p_tau: float, clusters: int) -> float:
    """The least log-odds of a pair that joins, on a level of so many clusters.

    The model has learned from hundreds of identities. Among a few, a cluster hardly meets strangers who look alike. So
    two clusters that are alike are likelier to be one identity. Therefore, below `MANY_CLUSTERS` clusters, the prior
    odds of a pair are taken as inversely proportional to the number of clusters. Below `FEW_CLUSTERS` they no longer
    rise: a handful of faces are often a handful of people.

    Example:
        >>> round(least_log_odds(0.5, 15), 3), least_log_odds(0.5, 5_000)
        (-2.303, 0.0)
    """
    return float(logit(p_tau)) - math.log(MANY_CLUSTERS / min(max(clusters, FEW_CLUSTERS), MANY_CLUSTERS))


def _before_any_join(level: Level, sums: np.ndarray, worth: Worth) -> tuple[Joining, np.ndarray]:
    """A level's nodes and edges, ready to join, and the density of each node.

    `sums` are overwritten when nodes join. Above the faces they are those of `Level` itself, which nothing needs once
    its graph is made.
    """
    edges = Edges.of(level.graph)
    joining = Joining(sums, level.sizes.copy(), edges.i, edges.j, worth)
    return joining, density_of(edges, joining.values, len(sums), level.graph.k)


def density_of(edges: Edges, worth: np.ndarray, nodes: int, k: int) -> np.ndarray:
    """Equation (4), float32 [nodes], from the linkage of pairs, over the edges at each node in either direction."""
    total = np.zeros((2, nodes))
    for some in row_blocks(len(worth), BLOCK):
        terms = ((2 * expit(worth[some]) - 1) * edges.similarity[some]).astype(np.float64)
        np.add.at(total[0], edges.i[some], terms)
        np.add.at(total[1], edges.j[some], terms)
    return np.asarray(total.sum(axis=0) / max(k, 1), np.float32)
