"""Clusterings of one corpus from strict to loose, as references to compare a clustering with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.edges import Edges
from clustering.graph.joining import Joining
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from facerec.pipeline.files import row_blocks

NEIGHBORS = 8
PLACES = (0.85, 0.7, 0.55, 0.4, 0.28, 0.16, 0.06)
"""Where the cuts are between what chance gives (0) and what near faces have (1)."""
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
    sums, sizes = np.array(graph.embeddings, np.float32), np.ones(len(graph), np.float32)
    tree = Joining(sums, sizes, edges.i, edges.j, mean_cosine, edges.similarity)
    levels, readable = thresholds(graph, scale), graph.readable
    found = []
    for level in levels:
        tree.join(scale.cosine(float(level)), ROUNDS)
        found.append(consecutive(np.where(readable, tree.clusters()[0], -1)))
    return Cuts(levels, found)


def mean_cosine(sums: np.ndarray, sizes: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Float32 [e]: the mean cosine between the faces of clusters i and those of clusters j."""
    found = np.empty(len(i), np.float32)
    for rows in row_blocks(len(i)):
        dots = np.einsum("ed,ed->e", sums[i[rows]], sums[j[rows]])
        found[rows] = dots / (sizes[i[rows]] * sizes[j[rows]])
    return found
