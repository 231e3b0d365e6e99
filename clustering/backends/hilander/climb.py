"""The loop over the levels of the hierarchy: link, merge, rebuild (paper section 3.2 and equations 1-7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from clustering.backends.hilander.level import Level, coherence
from clustering.backends.hilander.level_neighbors import MOST_NODES, Nearest
from clustering.graph.constraints import Constraints
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.denser import decode
from clustering.graph.forest import constrained_parents
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import cluster_sums, trees
from facerec.pipeline.embeddings import normalize

Features = Literal["identity", "average", "both", "reference"]

Link = Callable[[Level], np.ndarray]
"""Linkage probabilities r_ij, float32 [n, k], of a level's edges."""


@dataclass(frozen=True)
class Step:
    """One level of the hierarchy, and the edges that are kept on it: one from each node, or none from a peak.

    Attributes:
        level: The level, of n nodes.
        linkage: float32 [n]: r_ij of the edge that each node keeps, 0 for peaks.
        density: float32 [n]: pseudo-density, equation (4).
        parents: int64 [n]: the node that this edge leads to, the node itself for peaks.
        clusters: int64 [n]: the cluster of each node, which is a node of the next level.
        peaks: int64 [next n]: the peak of each cluster.
    """

    level: Level
    linkage: np.ndarray
    density: np.ndarray
    parents: np.ndarray
    clusters: np.ndarray
    peaks: np.ndarray


def climb(
    graph: KnnGraph, link: Link, p_tau: float, features: str, k: int, known: Constraints | None = None
) -> Iterator[Step]:
    """Algorithm 1: links, merges and rebuilds until a level keeps no edge. Yields each level, that last one included.

    Args:
        graph: The faces' graph.
        link: Gives the linkage probabilities of a level's edges.
        p_tau: Least linkage probability of an edge.
        features: The features of a cluster on the next level, equation (7): ``identity``, ``average``, ``both`` or
            ``reference``, see `merge`.
        k: Neighbours of each node, on every level.
        known: Answers about pairs of faces. They hold on every level, see `constrained_parents`.
    """
    level = Level.of_faces(graph.narrowed(k), unit_pairs=features == "both")
    while True:
        linkage = link(level)
        density = pseudo_density(level.graph, linkage)
        parents = decode(level.graph, linkage, density, p_tau)
        if known:
            parents = constrained_parents(parents, of_edges(level.graph, linkage, parents), density, known)
        clusters, peaks = trees(parents)
        yield Step(level, of_edges(level.graph, linkage, parents), density, parents, clusters, peaks)
        if len(peaks) == len(parents):
            return
        sums = cluster_sums(level.sums, clusters)
        sizes = np.bincount(clusters, weights=level.sizes).astype(np.float32)
        level = merge(level, clusters, peaks, sums, sizes, features, k)
        known = known.of_nodes(clusters) if known else None


def pseudo_density(graph: KnnGraph, linkage: np.ndarray) -> np.ndarray:
    """Equations (3)-(4): ``d_i = 1/k sum_j e_ij a_ij`` with ``e_ij = 2 r_ij - 1``; missing neighbours add nothing.

    Args:
        graph: Of n nodes.
        linkage: r_ij, float32 [n, k].

    Returns:
        float32 [n].
    """
    terms = np.where(graph.valid, (2 * linkage - 1) * graph.similarities, 0)
    return np.asarray(terms.mean(axis=1), dtype=np.float32)


def of_edges(graph: KnnGraph, linkage: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """Float32 [n]: the linkage probability of the edge from each node to its parent, 0 for peaks."""
    chosen = graph.neighbors == parents[:, None]
    found = linkage[np.arange(len(parents)), chosen.argmax(axis=1)]
    return np.where(chosen.any(axis=1), found, 0).astype(np.float32)


def merge(
    level: Level, clusters: np.ndarray, peaks: np.ndarray, sums: np.ndarray, sizes: np.ndarray, features: str, k: int
) -> Level:
    """Equations (2) and (7): builds the next level, whose nodes are the clusters of this one.

    The identity feature of a cluster is the embedding of its peak's face. Its average feature is the mean embedding of
    its faces. Both are scaled to unit length, and so is their concatenation (``both``). ``reference`` does what the
    paper's public code does: it finds neighbours by identity features, but the model sees them concatenated with the
    mean, which is not scaled.

    Args:
        level: This level, of n nodes.
        clusters: int64 [n], the cluster of each node.
        peaks: int64 [m], the peak of each cluster, a node of this level.
        sums: float32 [m, d], the sum of the embeddings of each cluster's faces.
        sizes: float32 [m], faces of each cluster.
        features: See `climb`.
        k: Neighbours of each node.
    """
    faces = level.faces[peaks]
    compared = normalize(sums) if features == "average" else level.base[faces]
    if features == "both":
        compared = normalize(np.hstack([compared, normalize(sums)]))
    nearest = nearest_above(level, clusters, peaks, compared, k)
    graph = corrected(nearest.graph.narrowed(k), level.scale, sums, sizes, features)
    if features == "reference":
        seen = np.hstack([compared, sums / sizes[:, None]])
        graph = KnnGraph(seen, graph.neighbors, graph.similarities)
    return Level(graph, level.base, sums, sizes, faces, nearest, level.scale)


def nearest_above(level: Level, clusters: np.ndarray, peaks: np.ndarray, compared: np.ndarray, k: int) -> Nearest:
    """The nearest neighbours of the next level's nodes by their features `compared`, float32 [m, d]."""
    if len(peaks) > MOST_NODES:
        below = level.graph if level.nearest is None else level.nearest.graph
        return Nearest.linked(below, clusters, compared, k)
    if level.nearest is None:
        return Nearest.build(compared, k)
    alone = np.bincount(clusters) == 1
    return level.nearest.updated(compared, np.where(alone, peaks, -1), k)


def corrected(graph: KnnGraph, scale: CorpusScale, sums: np.ndarray, sizes: np.ndarray, features: str) -> KnnGraph:
    """A level's graph with corrected similarities, see `CorpusScale`; the same graph if there is nothing to correct.

    `CorpusScale` corrects mean cosines between faces. The cosine of two average features is the mean cosine between
    their faces, divided by the lengths of both means. So it is multiplied by them first, and divided by the corrected
    lengths afterwards.
    """
    if not scale.common or features != "average":
        return scale.correct(graph)
    raw, lengths = coherence(sums, sizes, CorpusScale()), coherence(sums, sizes, scale)
    pairs = scale.corrected(graph.similarities * raw[:, None] * raw[graph.neighbors])
    similarities = np.clip(pairs / (lengths[:, None] * lengths[graph.neighbors]), -1, 1)
    return KnnGraph(graph.embeddings, graph.neighbors, np.where(graph.valid, similarities, 0))
