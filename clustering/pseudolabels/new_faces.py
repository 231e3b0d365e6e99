"""Adds new faces to an existing clustering, which stays as it is."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustering.graph.copies import COPY, SAME
from clustering.graph.knn_graph import DEFAULT_K, exact_graph
from clustering.partition import components, consecutive, own_cluster_size
from clustering.similarity.centres import centres, cosine_to_rest_of_cluster, evenly_spaced, nearest, other_centre
from clustering.similarity.doubts import FEWEST, HEAP
from clustering.similarity.likeness import Likeness
from facerec.pipeline.embeddings import readable_rows
from facerec.pipeline.files import InputError
from facerec.pipeline.values import as_labels

logger = logging.getLogger(__name__)


def assign_new_faces(
    old: np.ndarray, labels: np.ndarray, new: np.ndarray, similarity: float | None = None, min_size: int = 2
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Adds new faces to clusters: each joins a cluster, founds one with others, or stays unassigned.

    Args:
        old: float32 [n, d], unit rows: the clustered embeddings.
        labels: int64 [n], their clusters; negative for unassigned.
        new: float32 [m, d], unit rows, by the same recogniser; zero rows stay unassigned.
        similarity: Least cosine of a face with the centre of the cluster that it joins. By default it is measured on
            the old faces, see `JoiningThreshold`.
        min_size: Least faces that found a cluster.

    Returns:
        int64 [m] labels: an old cluster's, a new one counted on from their largest, or -1 for unassigned faces.
        float32 [m] confidence: the probability that a cosine is one with the face's own identity, see `Likeness`; 0
        for unassigned faces. And a summary for JSON.

    Raises:
        InputError: Labels of another number or type, or embeddings of two lengths.
    """
    labels = as_labels("labels", labels, len(old))
    if old.ndim != 2 or new.ndim != 2 or old.shape[1] != new.shape[1]:
        raise InputError(f"embeddings: old {list(old.shape)}, new {list(new.shape)}; expected [n, d] and [m, d]")
    numbers, agreement = consecutive(labels), None
    if similarity is None:
        threshold = JoiningThreshold.measured(old, numbers)
        similarity, agreement = threshold.similarity, round(threshold.agreement, 6)
    joined, cosines = assign_to_clusters(old, numbers, new, similarity)
    founded = found_clusters(new, joined < 0, similarity, min_size)
    founding = founded >= 0
    cosines = np.where(founding, cosine_to_rest_of_cluster(new, founded), cosines)
    found = np.where(founding, founded + labels.max(initial=-1) + 1, _names(labels, numbers)[joined]).astype(np.int64)
    confidence = Likeness.of_clusters(old, numbers).probability(cosines)
    largest = int(np.bincount(founded[founding], minlength=1).max())
    if largest >= FEWEST and largest > HEAP * len(new):
        logger.warning(
            "one new cluster has %s of %s new faces: unless one new person has most of them, they are by another "
            "recogniser than the old faces; embed both with one", f"{largest:,}", f"{len(new):,}",
        )  # fmt: skip
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


@dataclass(frozen=True)
class JoiningThreshold:
    """The least cosine of a face with the centre of the cluster that it joins, and how well it does on the old faces.

    Each old face is treated as a new one, twice:

    - It is taken out of its cluster. It should go back there.
    - Its whole cluster is taken away, so that it is like the first face of a new person. It should join nothing.

    The threshold is right most often over both. Without the second, a clustering in which no face is alone would show
    no stranger, and any stranger would join.

    Attributes:
        similarity: The cosine.
        agreement: Share of the old faces that would go where they are now. A face of a cluster of several should go
            into that cluster, and a face that is alone should go nowhere.
    """

    similarity: float
    agreement: float

    @classmethod
    def measured(cls, embeddings: np.ndarray, labels: np.ndarray) -> JoiningThreshold:
        """The cosine that is right most often; of equal ones the highest, but at most `SAME`, which copies reach.

        Without a cluster of several, nothing shows how alike faces of one person are: then only copies join.

        Args:
            embeddings: float32 [n, d], unit rows; zero rows do not count.
            labels: int64 [n], consecutive from 0; unassigned faces (-1) belong nowhere.
        """
        rows = evenly_spaced(np.flatnonzero(readable_rows(embeddings)))
        member = own_cluster_size(labels)[rows] > 1
        own = cosine_to_rest_of_cluster(embeddings, labels)[rows]
        other = other_centre(embeddings, labels, rows)
        found = np.sort(own[member & (own > other)])
        strangers = np.sort(other)
        if not np.any(member):
            logger.warning("no cluster has two faces, so nothing shows how alike faces of one person are: copies join")
            return cls(COPY, float(np.mean(other < COPY)) if len(rows) else 1.0)
        thresholds = np.unique(np.concatenate([found, np.nextafter(strangers, np.float32(2)), [-1]]).astype(np.float32))
        kept = len(found) - np.searchsorted(found, thresholds)
        right = kept + np.searchsorted(strangers, thresholds)
        best = len(right) - 1 - int(np.argmax(right[::-1]))  # of equal ones the highest
        alone = np.count_nonzero(other[~member] < thresholds[best])
        return cls(min(float(thresholds[best]), SAME), float(kept[best] + alone) / len(rows))


def assign_to_clusters(
    old: np.ndarray, labels: np.ndarray, new: np.ndarray, similarity: float
) -> tuple[np.ndarray, np.ndarray]:
    """The cluster that each new face joins.

    Args:
        old: float32 [n, d], the clustered embeddings.
        labels: int64 [n], consecutive from 0; -1 for unassigned.
        new: float32 [m, d].
        similarity: Least cosine with the nearest centre of a face that joins.

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
    """Clusters the free faces among themselves: components of the edges between nearest neighbours.

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
        graph = exact_graph(np.asarray(new[rows]), DEFAULT_K)
        sources, places = np.nonzero(graph.valid & (graph.similarities >= similarity))
        group = components(len(rows), sources, graph.neighbors[sources, places])
        labels[rows] = np.where(np.bincount(group)[group] >= min_size, group, -1)
    return consecutive(labels)


def _names(labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Int64 [clusters + 1]: the label of each number; the last entry is -1."""
    rows = np.flatnonzero(numbers >= 0)
    first = rows[np.unique(numbers[rows], return_index=True)[1]]
    return np.append(labels[first], -1)
