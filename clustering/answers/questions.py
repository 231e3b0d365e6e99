"""Which questions "the same person?" tell the most about a clustering: pairs of clusters, and halves of clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import minimum_spanning_tree

from clustering.answers.file import UNSURE, Answers
from clustering.answers.groups import Groups, halves
from clustering.answers.odds import Odds
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from clustering.similarity.corpus_scale import CorpusScale
from facerec.pipeline.embeddings import normalize

NEAREST = 8
"""Nearest clusters of each that may be asked about."""
FEWEST_HALVES = 10
"""From so many on, halves of several faces tell what the likeness of two halves is; else all halves do."""
POWER = 0.75
"""Between that of pairwise F, in which the pairs of two groups count, and that of BCubed F, in which faces do."""


@dataclass(frozen=True)
class Candidates:
    """Pairs of groups that may be asked about.

    Attributes:
        groups: Of which they are pairs.
        pairs: int64 [p, 2], no two alike, the lower first.
        likeness: float64 [p], see `Groups.likeness`.
    """

    groups: Groups
    pairs: np.ndarray
    likeness: np.ndarray

    @classmethod
    def of(cls, groups: Groups, pairs: np.ndarray, scale: CorpusScale) -> Candidates:
        """With their likeness."""
        return cls(groups, pairs, groups.likeness(pairs[:, 0], pairs[:, 1], scale))

    @property
    def stake(self) -> np.ndarray:
        """Float64 [p]: what changes if the answer is not what the clustering says, a power of the pairs of faces."""
        return np.asarray(np.prod(self.groups.sizes[self.pairs].astype(np.float64), axis=1) ** POWER)

    @property
    def faces(self) -> np.ndarray:
        """Int64 [p, 2]: the faces to show."""
        return self.groups.shown[self.pairs]

    def but(self, asked: np.ndarray) -> Candidates:
        """Without pairs of groups of which two faces have been asked about, int64 [m, 2]."""
        known = np.sort(self.groups.label[asked], axis=1)
        known = known[known[:, 0] >= 0]
        count = len(self.groups.sizes)
        new = ~np.isin(self.pairs @ [count, 1], known @ [count, 1])
        return Candidates(self.groups, self.pairs[new], self.likeness[new])


def choose_questions(graph: KnnGraph, labels: np.ndarray, before: Answers, count: int) -> Answers:
    """The questions whose answers are expected to change the most, none twice.

    The expected change is the probability that the clustering is wrong there times the pairs of faces at stake to the
    power of `POWER`. Two clusters: that they are one person; halves of a cluster: that they are two. Pairs of clusters
    are edges of a spanning forest of the highest such values, so that no answer follows from others.

    Args:
        graph: Of n faces.
        labels: int64 [n], the clustering; -1 for unassigned.
        before: What has been asked. Its answers correct the probabilities.
        count: At most so many.
    """
    labels, scale = consecutive(labels), CorpusScale.of(graph)
    clusters, parts = between_clusters(graph, labels, scale), within_clusters(graph, labels, scale)
    odds = _odds(clusters, parts, before)
    clusters, parts = clusters.but(before.pairs), parts.but(before.pairs)
    change = odds.probability(clusters.likeness) * clusters.stake
    kept = _forest(clusters, change)
    value = np.append(change[kept], (1 - odds.probability(parts.likeness)) * parts.stake)
    first = np.argsort(-value, kind="stable")[:count]
    pairs = np.concatenate([clusters.faces[kept], parts.faces])[first]
    likeness = np.append(clusters.likeness[kept], parts.likeness)[first]
    return Answers(pairs, np.full(len(pairs), UNSURE), likeness)


def between_clusters(graph: KnnGraph, labels: np.ndarray, scale: CorpusScale) -> Candidates:
    """Each cluster and the `NEAREST` others by their centres."""
    groups = Groups.of(graph.embeddings, labels, scale)
    count = len(groups.sizes)
    if count < 2:
        return Candidates.of(groups, np.zeros((0, 2), np.int64), scale)
    near = KnnGraph.build(normalize(groups.sums), min(NEAREST, count - 1)).neighbors
    one, column = np.nonzero(near >= 0)
    pairs = np.sort(np.stack([one, near[one, column].astype(np.int64)], axis=1), axis=1)
    return Candidates.of(groups, np.unique(pairs, axis=0), scale)


def within_clusters(graph: KnnGraph, labels: np.ndarray, scale: CorpusScale) -> Candidates:
    """The halves of each cluster of several faces."""
    divided = halves(graph.embeddings, labels)
    names, label = np.unique(divided, return_inverse=True)
    unassigned = int(names[0] < 0) if len(names) else 0
    names, label = names[unassigned:], label - unassigned
    smaller = np.flatnonzero(names % 2 == 1)
    pairs = np.stack([np.searchsorted(names, names[smaller] - 1), smaller], axis=1)
    return Candidates.of(Groups.of(graph.embeddings, label, scale), pairs, scale)


def _odds(clusters: Candidates, parts: Candidates, before: Answers) -> Odds:
    nearest = np.full(len(clusters.groups.sizes), -np.inf)
    np.maximum.at(nearest, clusters.pairs.ravel(), np.repeat(clusters.likeness, 2))
    nearest = nearest[np.isfinite(nearest) & (clusters.groups.sizes > 1)]
    several = parts.groups.sizes[parts.pairs].min(axis=1, initial=len(parts.groups.label)) > 1
    typical = parts.likeness[several if several.sum() >= FEWEST_HALVES else slice(None)]
    sure = (before.answer != UNSURE) & np.isfinite(before.likeness)
    return Odds.guessed(nearest, typical).corrected(before.likeness[sure], before.answer[sure] == 1)


def _forest(found: Candidates, change: np.ndarray) -> np.ndarray:
    """Int64: the pairs that are edges of the spanning forest of the highest expected change; none of no change."""
    count = len(found.groups.sizes)
    cost = csr_matrix((-change, tuple(found.pairs.T)), (count, count))
    tree = minimum_spanning_tree(cost).tocoo()
    edges = np.sort(np.stack([tree.row, tree.col], axis=1).astype(np.int64), axis=1)
    return np.flatnonzero(np.isin(found.pairs @ [count, 1], edges @ [count, 1]) & (change > 0))
