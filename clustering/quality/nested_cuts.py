"""Clusterings of one corpus from strict to loose, as references to compare a clustering with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.graph.edges import Edges
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from clustering.similarity.corpus_scale import CorpusScale
from facerec.pipeline.files import BLOCK_ROWS

NEIGHBORS = 8
PLACES = (0.85, 0.7, 0.55, 0.4, 0.28, 0.16, 0.06)
"""Of the cuts between what chance gives (0) and what near faces have (1)."""
ABOVE_CHANCE, NEAR = 1.5, 0.9
ROUNDS = 6


@dataclass(frozen=True)
class Cuts:
    """Cuts of one tree by average linkage, each a clustering that joins clusters of the one before.

    Attributes:
        thresholds: Falling mean cosines, corrected by `CorpusScale`.
        labels: For each an int64 [n], consecutive from 0, -1 for unreadable faces.
    """

    thresholds: np.ndarray
    labels: list[np.ndarray]


def thresholds(graph: KnnGraph, scale: CorpusScale) -> np.ndarray:
    """Falling corrected cosines, at `PLACES` between chance (0) and what the nearest neighbours have (1).

    The lower end is `ABOVE_CHANCE` spreads above the location of `CorpusScale`, the upper one the quantile `NEAR` of
    the cosines with nearest neighbours.
    """
    location, spread = scale.usual
    nearest = graph.similarities[graph.valid[:, 0], 0]
    low = location + ABOVE_CHANCE * spread
    high = float(np.quantile(scale.corrected(nearest), NEAR)) if len(nearest) else 1.0
    return low + np.array(PLACES) * max(high - low, 0.05)


def nested_cuts(graph: KnnGraph, scale: CorpusScale) -> Cuts:
    """Average linkage over the edges of the graph, stopped at each threshold.

    In a round all pairs of clusters merge that are each other's nearest, at or above the threshold. Only linked
    clusters are compared, and a threshold gets `ROUNDS` rounds: cheaper than exact trees and near enough to them to
    compare clusterings with.

    Args:
        graph: Of n faces.
        scale: Of its corpus.
    """
    edges = Edges.of(graph.narrowed(NEIGHBORS))
    tree = _Tree(graph.embeddings, edges.i, edges.j, edges.similarity)
    levels, readable = thresholds(graph, scale), graph.readable
    found = []
    for level in levels:
        tree.merge(scale.cosine(float(level)))
        found.append(consecutive(np.where(readable, tree.cluster(), -1)))
    return Cuts(levels, found)


class _Tree:
    """Clusters on the way up: their sums and sizes under the index of one of their faces, and the edges between."""

    def __init__(self, faces: np.ndarray, i: np.ndarray, j: np.ndarray, value: np.ndarray) -> None:
        self.sums, self.sizes = np.array(faces), np.ones(len(faces), np.float32)
        self.parent = np.arange(len(faces))
        self.i, self.j, self.value = i.astype(np.int64), j.astype(np.int64), value

    def merge(self, least: float) -> None:
        """Some rounds of mergers at this mean cosine or above."""
        for _ in range(ROUNDS):
            pairs = self._mutual(least)
            if not len(pairs):
                return
            keep, gone = self.i[pairs], self.j[pairs]
            self.sums[keep] += self.sums[gone]
            self.sizes[keep] += self.sizes[gone]
            self.parent[gone] = keep
            self._renew(keep, gone)

    def cluster(self) -> np.ndarray:
        """Int64 [n]: for each face the index of its cluster."""
        while not np.array_equal(self.parent, further := self.parent[self.parent]):
            self.parent = further
        return self.parent

    def _mutual(self, least: float) -> np.ndarray:
        """Edges at `least` or above that are the best of both their ends."""
        active = np.flatnonzero(self.value >= least)
        active = active[np.argsort(self.value[active], kind="stable")]
        best = np.full(len(self.sizes), -1, np.int64)
        ends = np.stack([self.i[active], self.j[active]], axis=1).ravel()
        best[ends] = np.repeat(active, 2)  # the last one stays
        return active[(best[self.i[active]] == active) & (best[self.j[active]] == active)]

    def _renew(self, keep: np.ndarray, gone: np.ndarray) -> None:
        """Edges of merged clusters lead to what they have become, once each, with the mean cosine of today."""
        changed = np.zeros(len(self.sizes), bool)
        changed[keep] = changed[gone] = True
        old = changed[self.i] | changed[self.j]
        one, other = self.parent[self.i[old]], self.parent[self.j[old]]
        keys = np.unique((np.minimum(one, other) * len(changed) + np.maximum(one, other))[one != other])
        i, j = np.divmod(keys, len(changed))
        value = np.empty(len(i), np.float32)
        for start in range(0, len(i), BLOCK_ROWS):
            a, b = i[start : start + BLOCK_ROWS], j[start : start + BLOCK_ROWS]
            dots = np.einsum("ed,ed->e", self.sums[a], self.sums[b])
            value[start : start + BLOCK_ROWS] = dots / (self.sizes[a] * self.sizes[b])
        self.i, self.j = np.concatenate([self.i[~old], i]), np.concatenate([self.j[~old], j])
        self.value = np.concatenate([self.value[~old], value])
