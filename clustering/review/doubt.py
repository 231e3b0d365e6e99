"""Where a clustering is doubtful: faces, clusters, pairs of clusters that may be one, merges that may be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clustering.graph.knn_graph import KnnGraph
from clustering.partition import cluster_sums, consecutive, own_cluster_size, places_in_groups
from clustering.similarity.centres import cosine_to_rest_of_cluster, mean_cosine_between, mean_pair_cosine
from facerec.pipeline.embeddings import normalize

NEAREST = 4
"""Nearest clusters of each that are looked at."""


@dataclass(frozen=True)
class Arrangement:
    """Clusters, those with most faces expected wrong first, and their faces, the worst first.

    Attributes:
        names: int64 [c]: the clusters' labels.
        sizes: int64 [c]: their faces.
        confidence: float64 [c]: mean over their faces.
        cohesion: float64 [c]: mean cosine of two of their faces; 1 for a face alone.
        rows: int64 [m]: the assigned faces, cluster by cluster.
        fit: float32 [m]: cosine of each with the mean of its cluster's other faces; 1 for a face alone.
        sums: float32 [c, d]: of their embeddings.
    """

    names: np.ndarray
    sizes: np.ndarray
    confidence: np.ndarray
    cohesion: np.ndarray
    rows: np.ndarray
    fit: np.ndarray
    sums: np.ndarray

    @property
    def places(self) -> np.ndarray:
        """Int64 [m]: for each of `rows` the place of its cluster in `names`."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def between(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Float64 [p]: mean cosine of a face of cluster i and one of cluster j, by their places in `names`."""
        return mean_cosine_between(self.sums[i], self.sizes[i], self.sums[j], self.sizes[j])


class NearestClusters(NamedTuple):
    """The clusters nearest to each cluster.

    Attributes:
        places: int64 [c, k], the most similar first; -1 where there are no more.
        similarity: float64 [c, k]: mean cosine of a face of one and a face of the other; 0 where there are no more.
    """

    places: np.ndarray
    similarity: np.ndarray


class Merges(NamedTuple):
    """Parts of clusters, from the level below, that may not belong to the rest; the most doubtful first.

    Attributes:
        places: int64 [p]: the cluster.
        level: int64 [p]: the coarsest level that divides it.
        part: int64 [p]: which of its parts on that level; never 0, which is the largest.
        sizes: int64 [p]: faces of the part.
        similarity: float64 [p]: mean cosine of a face of the part and one of the rest.
    """

    places: np.ndarray
    level: np.ndarray
    part: np.ndarray
    sizes: np.ndarray
    similarity: np.ndarray


def arrange(embeddings: np.ndarray, labels: np.ndarray, confidence: np.ndarray) -> Arrangement:
    """Orders clusters by the faces expected wrong, size * (1 - mean confidence), then by cohesion; their faces by fit.

    Args:
        embeddings: float32 [n, d], unit or zero rows.
        labels: int64 [n], -1 for unassigned; at least one is assigned.
        confidence: float32 [n] in [0, 1].
    """
    numbers = consecutive(labels)
    fit = cosine_to_rest_of_cluster(embeddings, numbers)
    fit[own_cluster_size(numbers) <= 1] = 1
    assigned = np.flatnonzero(numbers >= 0)
    own = numbers[assigned]
    sizes = np.bincount(own)
    sums = cluster_sums(embeddings, numbers)
    cohesion = mean_pair_cosine(sums, sizes)
    mean = np.bincount(own, confidence[assigned]) / sizes
    order = np.lexsort((cohesion, -sizes * (1 - mean)))
    place = np.argsort(order)
    rows = assigned[np.lexsort((fit[assigned], place[own]))]
    names = np.empty(len(sizes), np.int64)
    names[own] = labels[assigned]
    return Arrangement(
        names[order], sizes[order], mean[order], cohesion[order], rows, fit[rows], sums[order]
    )  # fmt: skip


def nearest_clusters(clusters: Arrangement, k: int = NEAREST) -> NearestClusters:
    """The clusters whose centres are nearest to each one's, by the mean cosine of their faces."""
    count = len(clusters.sizes)
    k = min(k, count - 1)
    if k < 1:
        return NearestClusters(np.full((count, 0), -1), np.zeros((count, 0)))
    near = KnnGraph.build(normalize(clusters.sums), k).neighbors.astype(np.int64)
    similarity = np.stack([clusters.between(np.arange(count), column) for column in near.T], axis=1)
    similarity[near < 0] = -np.inf
    order = np.argsort(-similarity, axis=1, kind="stable")
    near, similarity = np.take_along_axis(near, order, 1), np.take_along_axis(similarity, order, 1)
    return NearestClusters(near, np.where(near < 0, 0, similarity))


def duplicates(found: NearestClusters, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of clusters that may be the same person, the likeliest first; no pairs of single faces.

    Two faces that no cluster took are no likely duplicates, and there are many of them.

    Args:
        found: The nearest clusters of each.
        sizes: int64 [c]: their faces.

    Returns:
        int64 [p, 2] places, the lower first, every pair once; float64 [p] similarity, descending.
    """
    places, column = np.nonzero(found.places >= 0)
    other = found.places[places, column]
    several = (sizes[places] > 1) | (sizes[other] > 1)
    places, column, other = places[several], column[several], other[several]
    pairs = np.sort(np.stack([places, other], axis=1), axis=1)
    pairs, first = np.unique(pairs, axis=0, return_index=True)
    similarity = found.similarity[places, column][first]
    order = np.argsort(-similarity, kind="stable")
    return pairs[order], similarity[order]


def parts(clusters: Arrangement, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How a level of a hierarchy divides the clusters.

    Args:
        clusters: Of n faces.
        level: int64 [n], the level's labels.

    Returns:
        int64 [m]: for each of the arrangement's rows the part of its cluster, 0 the largest; int64 [c]: parts of each.
    """
    places, groups = clusters.places, level[clusters.rows]
    keys, inverse, sizes = np.unique(
        places * (groups.max() + 2) + groups + 1, return_inverse=True, return_counts=True
    )  # fmt: skip
    owner = keys // (groups.max() + 2)
    order = np.lexsort((keys, -sizes, owner))
    count = np.bincount(owner, minlength=len(clusters.sizes))
    number = np.empty(len(keys), np.int64)
    number[order] = places_in_groups(count)
    return number[inverse], count


def merges(embeddings: np.ndarray, clusters: Arrangement, divisions: Sequence[tuple[np.ndarray, np.ndarray]]) -> Merges:
    """Compares each part of each cluster with the rest of it, on the coarsest level that divides the cluster.

    Args:
        embeddings: float32 [n, d].
        clusters: Of those faces.
        divisions: What `parts` says of each level, finest first.
    """
    found = [Merges(*(np.zeros(0, kind) for kind in (int, int, int, int, float)))]
    divided = np.zeros(len(clusters.sizes), bool)
    for number in reversed(range(len(divisions))):
        part, count = divisions[number]
        found.append(_compared(embeddings, clusters, number, part, (count > 1) & ~divided))
        divided |= count > 1
    joined = Merges(*(np.concatenate(column) for column in zip(*found, strict=True)))
    order = np.argsort(joined.similarity, kind="stable")
    return Merges(*(column[order] for column in joined))


def _compared(
    embeddings: np.ndarray, clusters: Arrangement, level: int, part: np.ndarray, wanted: np.ndarray
) -> Merges:
    """The parts of the wanted clusters but the largest of each, against the rest of their clusters."""
    places = clusters.places
    chosen = wanted[places] & (part > 0)
    keys, inverse, sizes = np.unique(
        np.stack([places[chosen], part[chosen]], axis=1), axis=0, return_inverse=True, return_counts=True
    )  # fmt: skip
    numbers = np.full(len(embeddings), -1)
    numbers[clusters.rows[chosen]] = inverse.ravel()
    sums = cluster_sums(embeddings, numbers) if len(keys) else clusters.sums[:0]
    owner = keys[:, 0]
    similarity = mean_cosine_between(sums, sizes, clusters.sums[owner] - sums, clusters.sizes[owner] - sizes)
    return Merges(owner, np.full(len(keys), level), keys[:, 1], sizes, similarity)
