"""New faces added to an existing clustering: they join a cluster, found one together, or stay alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.partition import consecutive
from clustering.pseudolabels.new_faces import Joining, assign_to_clusters, found_clusters
from clustering.similarity.centres import belonging


@dataclass(frozen=True)
class Assignment:
    """Where m new faces belong.

    Attributes:
        labels: int64 [m]: those of the old clusters; new clusters are numbered after them; -1 for none.
        cosines: float32 [m]: with the cluster's centre; in new clusters with the mean of the other faces.
        joined: Bool [m]: whether a face is in an old cluster.
        founding: Bool [m]: whether it is in a new one.
        similarity: Cosine with a centre from which on a face joins.
        agreement: How well that does on the old faces, see `Joining`; None if the similarity was given.
    """

    labels: np.ndarray
    cosines: np.ndarray
    joined: np.ndarray
    founding: np.ndarray
    similarity: float
    agreement: float | None


def assign_new_faces(
    old: np.ndarray, labels: np.ndarray, new: np.ndarray, similarity: float | None = None, min_size: int = 2
) -> Assignment:
    """Adds new faces to clusters, which stay as they are.

    Args:
        old: float32 [n, d], unit rows: the clustered embeddings.
        labels: int64 [n], their clusters; negative for unassigned.
        new: float32 [m, d], unit rows.
        similarity: Cosine with a cluster's centre from which on a face joins; by default measured, see `Joining`.
        min_size: Faces that found a cluster.
    """
    numbers, agreement = consecutive(labels), None
    if similarity is None:
        joining = Joining.measured(old, numbers)
        similarity, agreement = joining.similarity, joining.agreement
    found, cosines = assign_to_clusters(old, numbers, new, similarity)
    joined = found >= 0
    result = np.where(joined, _names(labels, numbers)[found], -1)
    founded = found_clusters(new, ~joined, similarity, min_size)
    founding = founded >= 0
    result[founding] = founded[founding] + labels.max(initial=-1) + 1
    cosines = np.where(founding, belonging(new, founded), cosines)
    return Assignment(result.astype(np.int64), cosines, joined, founding, similarity, agreement)


def _names(labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Int64 [clusters + 1]: the label of each number; the last entry is -1."""
    rows = np.flatnonzero(numbers >= 0)
    first = rows[np.unique(numbers[rows], return_index=True)[1]]
    return np.append(labels[first], -1)
