"""Hierarchical agglomerative clustering, cut at a cosine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import faiss
import numpy as np

from clustering.clusterer import Clusterer
from clustering.graph.copies import SAME
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.edges import Edges
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import cluster_sums, components, consecutive
from clustering.result import Clustering
from clustering.settings import Cosine, Range
from clustering.similarity.mixtures import unmixed
from facerec.pipeline.files import InputError, row_blocks

AVERAGE_LIMIT, SINGLE_LIMIT = 300_000, 300_000
"""Most faces that either linkage compares with each other."""
BLOCK_CELLS = 1 << 24


@dataclass(eq=False)
class HacSingle(Clusterer):
    """Single linkage: two clusters are as similar as the most similar of their faces.

    The clusters at a threshold are the components of the graph of all pairs at `min_similarity` or above. The kNN graph
    misses such a pair only if both faces have k neighbours that are at least as similar. So only such faces are also
    compared with each other, and the result is exact. If there are more than `SINGLE_LIMIT` of them, only the kNN graph
    is used.

    Attributes:
        min_similarity: Where the tree is cut, a corrected cosine, see `CorpusScale`.
        adaptive: Whether to raise `min_similarity` while the largest clusters look like mixtures of people, see
            `unmixed`. Use it for data on which the backend was not tuned.
    """

    name: ClassVar[str] = "hac_single"
    untuned: ClassVar[Mapping[str, Any]] = {"adaptive": True}
    search_space: ClassVar[Mapping[str, Range]] = {"min_similarity": (0.2, 0.9)}

    min_similarity: Cosine = 0.6
    adaptive: bool = False

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph."""
        scale = CorpusScale.of(graph)
        near = graph.narrowed(self.k)
        least, labels = unmixed(
            near, lambda least: self._labels(graph, scale.cosine(least)), self.min_similarity, self.adaptive
        )
        crowded, warning = len(_crowded(graph, scale.cosine(least))), ""
        if crowded > SINGLE_LIMIT:
            warning = (
                f"{crowded:,} faces have more than {graph.k} near neighbours, too many to compare with each other "
                f"(at most {SINGLE_LIMIT:,}), so the clusters are those of the kNN graph; raise min_similarity, or "
                "give a graph of more neighbours"
            )
        return Clustering.of(labels, notes={"min_similarity": least} if self.adaptive else None, warning=warning)

    def _labels(self, graph: KnnGraph, least: float) -> np.ndarray:
        edges = Edges.of(graph, least=least)
        labels = components(len(graph), edges.i, edges.j)
        crowded = _crowded(graph, least)
        if 0 < len(crowded) <= SINGLE_LIMIT:
            faces = np.ascontiguousarray(graph.embeddings[crowded])
            labels = joined(faces, labels, crowded, least)
        return consecutive(np.where(graph.readable, labels, -1))


def _crowded(graph: KnnGraph, least: float) -> np.ndarray:
    """Int64: the faces whose lists may be too short for all neighbours at `least` or above."""
    return np.flatnonzero(graph.valid[:, -1] & (graph.similarities[:, -1] >= least))


def joined(faces: np.ndarray, labels: np.ndarray, rows: np.ndarray, least: float) -> np.ndarray:
    """Labels after joining the clusters of any two of some faces whose cosine is `least` or more.

    Args:
        faces: float32 [m, d], embeddings of the rows.
        labels: int64 [n], consecutive.
        rows: int64 [m].
        least: The threshold.
    """
    for some in row_blocks(len(faces), max(BLOCK_CELLS // len(faces), 1)):
        own = labels[rows]
        if (own == own[0]).all():
            break
        near = faces[some] @ faces.T >= least
        a, b = np.nonzero(near & (own[some, None] != own))
        if len(a):
            labels = components(int(labels.max()) + 1, own[some][a], own[b])[labels]
    return labels


@dataclass(eq=False)
class HacAverage(Clusterer):
    """Average linkage (UPGMA): two clusters are as similar as their faces are on average.

    The mean cosine between the faces of two clusters is the product of their mean vectors, so no distance matrix is
    needed. Each round merges all pairs of clusters that are each other's nearest. This gives the same tree as merging
    the best pair at a time, because average linkage is reducible: a merged cluster is no nearer to a third one than the
    nearer of its parts was. For the same reason, a cluster whose nearest is below `min_similarity` is finished.

    The time grows with the square of the number of faces. More than `AVERAGE_LIMIT` faces are refused.

    Attributes:
        min_similarity: Where the tree is cut, a corrected cosine, see `CorpusScale`.
    """

    name: ClassVar[str] = "hac_average"
    search_space: ClassVar[Mapping[str, Range]] = {"min_similarity": (0.1, 0.8)}

    min_similarity: Cosine = 0.4

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the embeddings. The first round takes its nearest neighbours from the graph.

        Raises:
            InputError: More than `AVERAGE_LIMIT` faces with a neighbour at `min_similarity` or above.
        """
        least = CorpusScale.of(graph).cosine(self.min_similarity)
        rows = graph.readable & ~(graph.valid[:, 0] & (graph.similarities[:, 0] < least))
        if rows.sum() > AVERAGE_LIMIT:
            raise InputError(
                f"hac_average compares all clusters with each other, and {rows.sum():,} faces have a neighbour at "
                f"{self.min_similarity}; it takes {AVERAGE_LIMIT:,} at most (hours, not minutes, above); "
                "use hac_single or components"
            )
        labels = np.where(graph.readable, np.arange(len(graph)), -1)
        alive = np.flatnonzero(rows)
        labels[alive] = alive[average_linkage(graph, alive, least)]
        return Clustering.of(labels)


def average_linkage(graph: KnnGraph, rows: np.ndarray, least: float) -> np.ndarray:
    """Merges faces until no two clusters have a mean cosine of `least` or more.

    Args:
        graph: Its first neighbours are taken as the nearest faces.
        rows: int64 [m]: the faces to merge. Their nearest faces must be among them.
        least: A cosine.

    Returns:
        int64 [m]: for each face, one face of its cluster, as an index into `rows`.
    """
    places = np.full(len(graph), -1, dtype=np.int64)
    places[rows] = np.arange(len(rows))
    nearest = np.where(graph.valid[rows, 0], places[graph.neighbors[rows, 0]], -1)
    value = graph.similarities[rows, 0].copy()
    sums, sizes = np.array(graph.embeddings[rows]), np.ones(len(rows), dtype=np.float32)
    found, cluster, nodes = np.arange(len(rows)), np.arange(len(rows)), np.arange(len(rows))
    while len(nodes) > 1:
        stale = np.flatnonzero(nearest < 0)
        nearest[stale], value[stale] = most_similar(sums / sizes[:, None], stale)
        alive = value >= least
        if not alive.any():
            break
        pairs = mergers(nearest, value, alive)
        merged = components(len(nodes), pairs, nearest[pairs])
        heads = np.unique(merged, return_index=True)[1]
        changed = np.bincount(merged) > 1
        there = cluster >= 0
        found[there] = nodes[heads[merged[cluster[there]]]]
        keep = alive[heads]
        number = np.where(keep, np.cumsum(keep) - 1, -1)
        cluster[there] = number[merged[cluster[there]]]
        sums, sizes = cluster_sums(sums, merged)[keep], np.bincount(merged, weights=sizes).astype(np.float32)[keep]
        target = merged[nearest[heads]]
        nearest = np.where(changed | changed[target], -1, number[target])[keep]
        value, nodes = value[heads][keep], nodes[heads][keep]
    return found


def mergers(nearest: np.ndarray, value: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Clusters that are merged with their nearest: those that are also its nearest, and duplicates of it.

    Rounding may leave a cycle of equally near clusters without such a pair. Then only the best pair is merged.
    """
    nodes = np.arange(len(nearest))
    pairs = np.flatnonzero(alive & ((nearest[nearest] == nodes) | (value >= SAME)))
    return pairs if len(pairs) else np.array([np.where(alive, value, -np.inf).argmax()])


def most_similar(means: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The other row with the greatest product, and the product: int64 [m] and float32 [m]."""
    if not len(rows):
        return rows, np.zeros(0, np.float32)
    products, ids = faiss.knn(means[rows], means, 2, metric=faiss.METRIC_INNER_PRODUCT)
    own = (ids[:, 0] == rows).astype(int)
    each = np.arange(len(rows))
    return ids[each, own], products[each, own]
