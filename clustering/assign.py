"""The command ``assign``: new faces to an existing clustering, which stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clustering.base import check_number, check_whole, components, consecutive
from clustering.centres import Likeness, belonging, centres, nearest, other_centre, sample
from clustering.knn import DEFAULT_K, KnnGraph
from facerec.artifacts import InputError, load_embeddings, load_labels, readable_rows, write_json
from facerec.stages import stage


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


@stage("clustering assign")
def assign(
    clusters: Path,
    embeddings: Path,
    new: Path,
    out: Path,
    similarity: float | None = None,
    min_size: int = 2,
) -> Mapping[str, Any]:
    """Adds new faces to an existing clustering: each joins a cluster, founds one with others, or stays unassigned.

    Args:
        clusters: Folder made by cluster, or a .npy file of labels; it stays as it is.
        embeddings: The embeddings that were clustered.
        new: Embeddings of the new faces, by the same recogniser.
        out: Folder to make, of the new faces: labels.npy (those of the old clusters; new clusters are numbered after
            them; -1 = unassigned), confidence.npy, summary.json.
        similarity: Cosine with a cluster's centre from which on a face joins it; by default the one at which most of
            the old faces, taken out and looked at as new, would be put where they are.
        min_size: Faces that found a cluster.
    """
    check_whole("min_size", min_size, 1)
    if similarity is not None:
        check_number("similarity", similarity, -1, 1)
    old, faces = load_embeddings(embeddings), load_embeddings(new)
    labels = load_labels(clusters, len(old))
    if faces.embeddings.shape[1] != old.embeddings.shape[1]:
        raise InputError(
            f"{new}: embeddings of length {faces.embeddings.shape[1]}, those of {embeddings} of "
            f"{old.embeddings.shape[1]}; embed both with the same model"
        )
    numbers, joining = consecutive(labels), None
    if similarity is None:
        joining = Joining.measured(old.embeddings, numbers)
        similarity = joining.similarity
    found, cosines = join(old.embeddings, numbers, faces.embeddings, similarity)
    joined = found >= 0
    names = _names(labels, numbers)
    result = np.where(joined, names[found], -1)
    founded = found_clusters(faces.embeddings, ~joined, similarity, min_size)
    fresh = founded >= 0
    result[fresh] = founded[fresh] + labels.max(initial=-1) + 1
    cosines = np.where(fresh, belonging(faces.embeddings, founded), cosines)
    confidence = Likeness.of_clusters(old.embeddings, numbers).probability(cosines)
    np.save(out / "labels.npy", result.astype(np.int64), allow_pickle=False)
    np.save(out / "confidence.npy", np.where(result < 0, 0, confidence).astype(np.float32), allow_pickle=False)
    summary = {
        "faces": len(faces),
        "joined": int(joined.sum()),
        "founding": int(fresh.sum()),
        "unassigned": int((result < 0).sum()),
        "new_clusters": int(founded.max(initial=-1)) + 1,
        "similarity": round(similarity, 6),
        "agreement_of_old_faces": None if joining is None else round(joining.agreement, 6),
    }
    write_json(out / "summary.json", summary)
    return summary


def join(old: np.ndarray, labels: np.ndarray, new: np.ndarray, similarity: float) -> tuple[np.ndarray, np.ndarray]:
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


def _names(labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Int64 [clusters + 1]: the label of each number; the last entry is -1."""
    rows = np.flatnonzero(numbers >= 0)
    first = rows[np.unique(numbers[rows], return_index=True)[1]]
    return np.append(labels[first], -1)
