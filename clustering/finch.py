"""FINCH: clustering by first neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from clustering.base import Clustering, Plain, Range, check_number, cluster_sums, components
from clustering.knn import KnnGraph
from facerec.artifacts import normalize


@dataclass(frozen=True)
class Finch(Plain):
    """FINCH (Sarfraz et al., CVPR 2019) with a rule that picks one of its partitions.

    Every face is linked to its first neighbour, components become their mean, and so on until one cluster is left.
    The partition taken is the coarsest whose faces have a mean cosine of at least `min_similarity` with their
    cluster's mean (the finest if none has). A bound on the similarity within clusters carries over to a corpus with
    other numbers of faces per identity; a number of clusters or of faces per cluster doesn't.

    Attributes:
        min_similarity: The bound, a cosine.
    """

    name: ClassVar[str] = "finch"
    search: ClassVar[Mapping[str, Range]] = {"min_similarity": (0.4, 0.95)}

    min_similarity: float = 0.7

    def __post_init__(self) -> None:
        check_number("min_similarity", self.min_similarity, -1, 1)

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; the levels are all partitions, finest first."""
        levels = partitions(graph)
        fits = [tightness(graph.embeddings, labels) >= self.min_similarity for labels in levels]
        chosen = max((number for number, fit in enumerate(fits) if fit), default=0)
        return Clustering.of(levels[chosen], levels=[{"labels": labels} for labels in levels])


def partitions(graph: KnnGraph) -> list[np.ndarray]:
    """All partitions that first neighbours make, finest first: int64 [n] each, -1 for unreadable faces.

    Every cluster has a first neighbour, however far, so merging needs an end. Clusters whose means are farther apart
    than faces joined at first can be are not joined: faces are joined to their first neighbour, or through a shared
    one, so the bound is twice the largest angle between a face and its first neighbour. (The authors' package ends at
    the largest distance that occurs between faces so joined; at the topmost partitions the two may differ.)
    """
    labels = np.where(graph.readable, first_neighbor_components(graph, limit=-1), -1)
    angle = 2 * np.arccos(graph.similarities[graph.valid[:, 0], 0].min(initial=1))
    limit = float(np.cos(min(angle, np.pi)))
    found = [labels]
    while labels.max() > 0:
        means = normalize(cluster_sums(graph.embeddings, labels))
        merged = first_neighbor_components(KnnGraph.build(means, 1), limit)
        if merged.max() in (0, labels.max()):
            break
        labels = np.where(labels >= 0, merged[labels], -1)
        found.append(labels)
    return found


def first_neighbor_components(graph: KnnGraph, limit: float) -> np.ndarray:
    """Int64 [n]: components of the graph in which rows are joined to their first neighbour, at `limit` or above."""
    rows = np.flatnonzero(graph.valid[:, 0] & (graph.similarities[:, 0] >= limit))
    return components(len(graph), rows, graph.neighbors[rows, 0])


def tightness(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """The mean cosine of assigned faces with their cluster's mean.

    The faces of a cluster sum up to S, and so do their cosines with its direction to ``|S|``.
    """
    norms = np.linalg.norm(cluster_sums(embeddings, labels), axis=1)
    return float(norms.sum() / max(np.count_nonzero(labels >= 0), 1))
