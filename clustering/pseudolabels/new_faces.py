"""New faces joined to the clusters of old ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from clustering.graph.knn_graph import DEFAULT_K, KnnGraph
from clustering.partition import components, consecutive
from clustering.similarity.centres import belonging, centres, nearest, other_centre, sample
from clustering.similarity.likeness import Likeness
from facerec.pipeline.embeddings import readable_rows


def assign_new_faces(
    old: np.ndarray, labels: np.ndarray, new: np.ndarray, similarity: float | None = None, min_size: int = 2
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Adds new faces to clusters, which stay as they are: each joins one, founds one with others, or stays unassigned.

    Args:
        old: float32 [n, d], unit rows: the clustered embeddings.
        labels: int64 [n], their clusters; negative for unassigned.
        new: float32 [m, d], unit rows, by the same recogniser; zero rows stay unassigned.
        similarity: Cosine with a cluster's centre from which on a face joins it; by default measured, see `Joining`.
        min_size: Faces that found a cluster.

    Returns:
        int64 [m]: labels of the old clusters, new ones counted on from their largest, or -1; float32 [m]: the
        confidence, see `Likeness.probability`, 0 for unassigned faces; and a summary for JSON.
    """
    numbers, agreement = consecutive(labels), None
    if similarity is None:
        joining = Joining.measured(old, numbers)
        similarity, agreement = joining.similarity, round(joining.agreement, 6)
    joined, cosines = assign_to_clusters(old, numbers, new, similarity)
    founded = found_clusters(new, joined < 0, similarity, min_size)
    founding = founded >= 0
    found = np.where(founding, founded + labels.max(initial=-1) + 1, _names(labels, numbers)[joined]).astype(np.int64)
    cosines = np.where(founding, belonging(new, founded), cosines)
    confidence = Likeness.of_clusters(old, numbers).probability(cosines)
    summary = {
        "faces": len(new),
        "joined": int(np.count_nonzero(joined >= 0)),
        "founding": int(np.count_nonzero(founding)),
        "unassigned": int(np.count_nonzero(found < 0)),
        "new_clusters": int(founded.max(initial=-1)) + 1,
        "similarity": round(similarity, 6),
        "agreement_of_old_faces": agreement,
    }
    return found, np.where(found < 0, 0, confidence).astype(np.float32), summary


def _names(labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Int64 [clusters + 1]: the label of each number; the last entry is -1."""
    rows = np.flatnonzero(numbers >= 0)
    first = rows[np.unique(numbers[rows], return_index=True)[1]]
    return np.append(labels[first], -1)


@dataclass(frozen=True)
class Joining:
    """From which cosine with a cluster's centre on a face joins it, and how well that does on the old faces.

    Attributes:
        similarity: The cosine.
        agreement: Share of the old faces that would be put where they are, had they come later: those of clusters
            of several into theirs, the others nowhere.
    """

    similarity: float
    agreement: float

    @classmethod
    def measured(cls, embeddings: np.ndarray, labels: np.ndarray) -> Joining:
        """The cosine with the best agreement, each old face being taken out of its cluster and looked at as new.

        Args:
            embeddings: float32 [n, d], unit rows; zero rows do not count.
            labels: int64 [n], consecutive from 0; unassigned faces (-1) belong nowhere.
        """
        rows = sample(np.flatnonzero(readable_rows(embeddings)))
        sizes = np.bincount(labels[labels >= 0], minlength=1)
        member = (labels[rows] >= 0) & (sizes[labels[rows]] > 1)
        own = belonging(embeddings, labels)[rows]
        other = other_centre(embeddings, labels, rows)
        found = np.sort(own[member & (own > other)])[::-1]
        stray = np.sort(other[~member])[::-1]
        if not len(rows):
            return cls(1.0, 1.0)
        thresholds = np.unique(np.concatenate([found, np.nextafter(stray, np.float32(2)), [-1]]).astype(np.float32))
        right = np.searchsorted(-found, -thresholds, side="right") + len(stray)
        right = right - np.searchsorted(-stray, -thresholds, side="right")
        best = len(right) - 1 - int(np.argmax(right[::-1]))  # of equal ones the highest
        return cls(float(thresholds[best]), float(right[best]) / len(rows))


def assign_to_clusters(
    old: np.ndarray, labels: np.ndarray, new: np.ndarray, similarity: float
) -> tuple[np.ndarray, np.ndarray]:
    """The cluster that each new face joins.

    Args:
        old: float32 [n, d], the clustered embeddings.
        labels: int64 [n], consecutive from 0; -1 for unassigned.
        new: float32 [m, d].
        similarity: Cosine with the nearest centre from which on a face joins.

    Returns:
        int64 [m], -1 for none; and float32 [m], the cosine with the nearest centre, -1 without one.
    """
    found, _, _ = centres(old, labels)
    if not len(found):
        return np.full(len(new), -1, dtype=np.int64), np.full(len(new), -1, dtype=np.float32)
    ids, cosines = nearest(new, found, 1)
    joins = readable_rows(new) & (cosines[:, 0] >= similarity)
    return np.where(joins, ids[:, 0], -1), cosines[:, 0]


def found_clusters(new: np.ndarray, free: np.ndarray, similarity: float, min_size: int) -> np.ndarray:
    """Clusters of the free faces among themselves: components of the edges between nearest neighbours.

    Args:
        new: float32 [m, d].
        free: Bool [m]: which faces have joined no cluster.
        similarity: Cosine of an edge, at least.
        min_size: Faces of a cluster, at least.

    Returns:
        int64 [m], consecutive from 0; -1 for faces of smaller components, and for those that are not free.
    """
    labels = np.full(len(new), -1, dtype=np.int64)
    rows = np.flatnonzero(free & readable_rows(new))
    if len(rows):
        graph = KnnGraph.build(np.asarray(new[rows]), max(min(DEFAULT_K, len(rows) - 1), 1))
        sources, places = np.nonzero(graph.valid & (graph.similarities >= similarity))
        group = components(len(rows), sources, graph.neighbors[sources, places])
        labels[rows] = np.where(np.bincount(group)[group] >= min_size, group, -1)
    return consecutive(labels)
