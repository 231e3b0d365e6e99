"""Chooses the questions "the same person?" that tell the most about a clustering.

They are about pairs of clusters, or about two sides of a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import minimum_spanning_tree

from clustering.answers.file import SAME, UNSURE, Answers
from clustering.answers.groups import Groups, stake
from clustering.answers.odds import Correction, between, within
from clustering.answers.sides import sides
from clustering.backends.hilander.hilander import packaged
from clustering.backends.hilander.pairs import Start
from clustering.graph.constraints import Constraints
from clustering.graph.edges import Edges
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.values import as_labels, check_type, whole

NEAREST = 8
"""Nearest clusters of each that may be asked about."""


@dataclass(frozen=True)
class Candidates:
    """Pairs of groups that may be asked about.

    Attributes:
        groups: The groups.
        pairs: int64 [p, 2], no two alike, the lower first, in order.
        log_odds: float64 [p], that both are one person.
    """

    groups: Groups
    pairs: np.ndarray
    log_odds: np.ndarray

    @property
    def stake(self) -> np.ndarray:
        """Float64 [p], of the groups' sizes."""
        return stake(*self.groups.sizes[self.pairs].T)

    @property
    def faces(self) -> np.ndarray:
        """Int64 [p, 2]: the faces to show."""
        return self.groups.shown[self.pairs]


def choose_questions(graph: KnnGraph, labels: np.ndarray, before: Answers, count: int) -> Answers:
    """Chooses the questions whose answers are expected to change a clustering the most. None is asked twice.

    The expected change is the probability that the clustering is wrong, times what is at `stake`. Two clusters are
    wrong if they are the same person, and two sides of a cluster are wrong if they are two people. Among pairs of
    clusters, a spanning forest of the highest values is taken, so that no answer follows from other answers.

    Args:
        graph: A graph of n faces.
        labels: int64 [n], the clustering; -1 for unassigned.
        before: The questions asked so far. Their answers correct the probabilities.
        count: Largest number of questions.

    Raises:
        InputError: The graph is invalid, see `KnnGraph.check`; labels are not integers, or their number is not that of
            the faces; `before` is about other rows; or the count is negative.
    """
    check_type("graph", graph, KnnGraph)
    graph = graph.check()
    check_type("before", before, Answers)
    Constraints(len(graph), before.pairs, before.answer == SAME)  # which refuses rows that are not there
    labels, count = consecutive(as_labels("labels", labels, len(graph))), whole("count", count, 0)
    start = Start.of(graph.narrowed(packaged().k), packaged().model)
    clusters = between_clusters(start, labels, before.pairs)
    parts = within_clusters(start, labels, clusters.groups.shown, before.pairs)
    sure = (before.answer != UNSURE) & np.isfinite(before.log_odds)
    odds = Correction.by_answers(before.log_odds[sure], before.answer[sure] == SAME)
    change = odds.probability(clusters.log_odds) * clusters.stake
    kept = _forest(clusters, change)
    value = np.append(change[kept], (1 - odds.probability(parts.log_odds)) * parts.stake)
    first = np.argsort(-value, kind="stable")[:count]
    pairs = np.concatenate([clusters.faces[kept], parts.faces])[first]
    log_odds = np.append(clusters.log_odds[kept], parts.log_odds)[first]
    return Answers(pairs, np.full(len(pairs), UNSURE), log_odds)


def between_clusters(start: Start, labels: np.ndarray, asked: np.ndarray) -> Candidates:
    """Each cluster and the `NEAREST` others by their centres, but not if two faces of them have been asked about."""
    scale = start.level.scale
    groups = Groups.of(start.level.base, labels, scale)
    count = len(groups.sizes)
    if count < 2:
        return Candidates(groups, np.zeros((0, 2), np.int64), np.zeros(0))
    near = KnnGraph.build(normalize(groups.sums), min(NEAREST, count - 1)).neighbors
    one, column = np.nonzero(near >= 0)
    pairs = np.unique(np.sort(np.stack([one, near[one, column].astype(np.int64)], axis=1), axis=1), axis=0)
    pairs = pairs[~np.isin(pairs @ [count, 1], np.sort(labels[asked], axis=1) @ [count, 1])]
    links = links_between(start.edges, labels, pairs) / groups.sizes[pairs].min(axis=1, initial=len(labels))
    return Candidates(groups, pairs, between(groups.likeness(pairs[:, 0], pairs[:, 1], scale), links))


def links_between(edges: Edges, labels: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Int64 [p]: how many edges of the graph lead from one cluster of a pair to the other.

    Args:
        edges: Of n faces.
        labels: int64 [n], -1 for unassigned.
        pairs: int64 [p, 2], clusters, the lower first.
    """
    count = int(labels.max(initial=0)) + 1
    ends = np.sort(np.stack([labels[edges.i], labels[edges.j]], axis=1), axis=1)
    keys, links = np.unique(ends[ends[:, 0] >= 0] @ [count, 1], return_counts=True)
    wanted = pairs @ [count, 1]
    if not len(keys):
        return np.zeros(len(pairs), np.int64)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, links[places], 0)


def within_clusters(start: Start, labels: np.ndarray, centres: np.ndarray, asked: np.ndarray) -> Candidates:
    """The `sides` of each cluster. Faces that have been asked about are on one of them."""
    scale, inside = start.level.scale, labels[asked]
    asked = asked[(inside[:, 0] == inside[:, 1]) & (inside[:, 0] >= 0)]
    groups = Groups.of(start.level.base, sides(start, labels, centres, asked), scale)
    pairs = np.arange(len(groups.sizes)).reshape(-1, 2)
    return Candidates(groups, pairs, within(groups.likeness(pairs[:, 0], pairs[:, 1], scale)))


def _forest(found: Candidates, change: np.ndarray) -> np.ndarray:
    """Int64: the pairs that are edges of the spanning forest of the highest expected change; none of no change."""
    count = len(found.groups.sizes)
    cost = csr_matrix((-change, tuple(found.pairs.T)), (count, count))
    tree = minimum_spanning_tree(cost).tocoo()
    edges = np.sort(np.stack([tree.row, tree.col], axis=1).astype(np.int64), axis=1)
    return np.flatnonzero(np.isin(found.pairs @ [count, 1], edges @ [count, 1]) & (change > 0))
