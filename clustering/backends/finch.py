"""FINCH: clustering by first neighbours, with a rule that picks clusters from its partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from clustering.clusterer import Clusterer
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import cluster_sums, components, consecutive
from clustering.result import Clustering
from clustering.settings import Cosine, Range
from clustering.similarity.centres import mean_pair_cosine
from facerec.pipeline.embeddings import normalize


@dataclass(eq=False)
class Finch(Clusterer):
    """FINCH (Sarfraz et al., CVPR 2019) with a rule that picks clusters from its partitions.

    Every face is linked to its nearest neighbour, and each connected component is replaced by its mean. This repeats
    until one cluster is left. FINCH does not say which of these nested partitions to take. For faces none of them is
    good, because some people have one face and others hundreds. So here each branch is cut by itself: the cluster of a
    face is the coarsest one around it whose mean pairwise cosine is at least `min_similarity`, or the face alone. Such
    a threshold also suits a corpus with other numbers of faces per identity; a number of clusters would not.

    Attributes:
        min_similarity: The threshold, a corrected cosine, see `CorpusScale`.
    """

    name: ClassVar[str] = "finch"
    search_space: ClassVar[Mapping[str, Range]] = {"min_similarity": (0.2, 0.8)}

    min_similarity: Cosine = 0.45

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; the levels are all partitions, finest first."""
        levels = partitions(graph)
        least = CorpusScale.of(graph).cosine(self.min_similarity)
        return Clustering.of(cut(graph.embeddings, levels, least), levels=[{"labels": labels} for labels in levels])


def cut(embeddings: np.ndarray, levels: Sequence[np.ndarray], least: float) -> np.ndarray:
    """Int64 [n]: the coarsest cluster of each face whose `cohesion` is at least `least`; else the face alone."""
    chosen = np.where(levels[0] >= 0, np.arange(len(embeddings)), -1)
    for labels in levels:
        fits = np.append(cohesion(embeddings, labels) >= least, False)  # the last for those without a cluster, -1
        offset = chosen.max(initial=0) + 1
        chosen = np.where(fits[labels], offset + labels, chosen)
    return consecutive(chosen)


def cohesion(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Float64 [clusters]: the mean cosine of all pairs of a cluster's faces, 1 for a face alone."""
    sums = cluster_sums(embeddings, labels)
    return mean_pair_cosine(sums, np.bincount(labels[labels >= 0], minlength=len(sums)))


def partitions(graph: KnnGraph) -> list[np.ndarray]:
    """All partitions made by first neighbours, finest first: int64 [n] each, -1 for unreadable faces.

    Every cluster has a first neighbour, however far away, so merging needs a limit. Clusters are not joined if the
    angle between their means is more than twice the largest angle between a face and its first neighbour. Two faces
    that join in the first step are never farther apart, because they are first neighbours or share one. The authors'
    package stops at the largest distance between such faces, so the topmost partitions may differ. It also leaves out
    a partition of one cluster. Here that is the last one, as all faces may be of one person.
    """
    labels = consecutive(np.where(graph.readable, first_neighbor_components(graph, limit=-1), -1))
    angle = 2 * np.arccos(graph.similarities[graph.valid[:, 0], 0].min(initial=1))
    limit = float(np.cos(min(angle, np.pi)))
    found = [labels]
    while labels.max() > 0:
        means = normalize(cluster_sums(graph.embeddings, labels))
        merged = first_neighbor_components(KnnGraph.build(means, 1), limit)
        if merged.max() == labels.max():
            break
        labels = np.where(labels >= 0, merged[labels], -1)
        found.append(labels)
    return found


def first_neighbor_components(graph: KnnGraph, limit: float) -> np.ndarray:
    """Int64 [n]: components of the graph that joins each row to its first neighbour, if that is at `limit` or above."""
    rows = np.flatnonzero(graph.valid[:, 0] & (graph.similarities[:, 0] >= limit))
    return components(len(graph), rows, graph.neighbors[rows, 0])
