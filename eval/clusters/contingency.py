"""The contingency table of clusters and identities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from facerec.pipeline.files import InputError
from facerec.pipeline.values import as_labels

NEARLY = 0.9


@dataclass(frozen=True)
class Contingency:
    """The non-zero cells of the table clusters x identities.

    Attributes:
        cluster: int64 [cells], the row of each cell.
        identity: int64 [cells], its column.
        faces: int64 [cells], how many faces it holds (> 0).
        cluster_sizes: int64 [clusters].
        identity_sizes: int64 [identities].
        cluster_names: int64 [clusters], their labels, -1 for the clusters of one that unassigned faces are.
        identity_names: int64 [identities].
    """

    cluster: np.ndarray
    identity: np.ndarray
    faces: np.ndarray
    cluster_sizes: np.ndarray
    identity_sizes: np.ndarray
    cluster_names: np.ndarray
    identity_names: np.ndarray

    @property
    def majorities(self) -> np.ndarray:
        """Int64 [clusters]: the faces that each cluster has of its most frequent identity."""
        largest = np.zeros(len(self.cluster_sizes), dtype=np.int64)
        np.maximum.at(largest, self.cluster, self.faces)
        return largest


def known_identities(truth: Any, predicted: Any) -> tuple[np.ndarray, np.ndarray]:
    """The faces of known identity alone: the identity and the cluster of each, int64.

    Args:
        truth: int [n] identities; negative where unknown.
        predicted: int [n] clusters; negative for none.

    Raises:
        InputError: Other lengths, labels that are no integers, or no face of known identity.
    """
    truth = as_labels("identities", truth)
    predicted = as_labels("clusters", predicted, len(truth))
    known = truth >= 0
    if not known.any():
        raise InputError("every identity is -1 (unknown); nothing to score")
    return truth[known], predicted[known]


def contingency(truth: np.ndarray, predicted: np.ndarray) -> Contingency:
    """The table of known identities against clusters; each -1 in `predicted` becomes a cluster of its own, last."""
    identity_names, identity = _numbered(truth)
    assigned = predicted >= 0
    cluster = np.empty(len(predicted), dtype=np.int64)
    cluster_names, cluster[assigned] = _numbered(predicted[assigned])
    alone = np.count_nonzero(~assigned)
    cluster[~assigned] = len(cluster_names) + np.arange(alone)
    cells, faces = np.unique(cluster * len(identity_names) + identity, return_counts=True)
    rows, columns = np.divmod(cells, len(identity_names))
    names = np.r_[cluster_names, np.full(alone, -1)]
    return Contingency(
        rows, columns, faces, np.bincount(cluster), np.bincount(identity), names.astype(np.int64), identity_names
    )


def found_identities(table: Contingency) -> tuple[np.ndarray, np.ndarray]:
    """Which identities are found, and which are nearly whole, bool [identities] each.

    An identity is nearly whole if one cluster holds at least 90 % of its faces. It is found if also at least 90 % of
    that cluster's faces are its own.

    Example:
        >>> truth = np.array([1] * 10 + [2] * 10 + [3] * 4)
        >>> predicted = np.array([7] * 9 + [8] + [9] * 14)   # 1 has lost a face; 2 and 3 have become one cluster
        >>> found, whole = found_identities(contingency(truth, predicted))
        >>> found.tolist(), whole.tolist()
        ([True, False, False], [True, True, True])
    """
    are_whole = np.zeros(len(table.identity_sizes), dtype=bool)
    are_found = are_whole.copy()
    nearly_whole = table.faces >= NEARLY * table.identity_sizes[table.identity]
    nearly_pure = table.faces >= NEARLY * table.cluster_sizes[table.cluster]
    are_whole[table.identity[nearly_whole]] = True
    are_found[table.identity[nearly_whole & nearly_pure]] = True
    return are_found, are_whole


def _numbered(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct labels (none negative), rising, and for each label its place among them; int64."""
    labels = labels.astype(np.int64, copy=False)
    if not labels.size or labels.max() > 4 * len(labels) + 1024:
        distinct, number = np.unique(labels, return_inverse=True)
        return distinct, number
    seen = np.zeros(int(labels.max()) + 1, dtype=bool)  # a table does not sort
    seen[labels] = True
    return np.flatnonzero(seen), (np.cumsum(seen) - 1)[labels]
