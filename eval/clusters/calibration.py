"""Calibration of a confidence: reliability diagram and expected calibration error."""

from __future__ import annotations

import numpy as np

from facerec.pipeline.files import InputError
from facerec.pipeline.values import as_array, as_labels, shown, whole


def in_majority(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Bool [n]: whether a face has the most frequent identity of its cluster (the lowest of equally frequent ones).

    Args:
        truth: int [n] identities. Faces of unknown identity (-1) have no vote, and are never in the majority.
        predicted: int [n] clusters; -1 is a cluster of one face.

    Raises:
        InputError: The lengths differ, or labels are not integers.

    Example:
        >>> in_majority(np.array([5, 7, 7, 2, 2]), np.array([0, 0, 0, 1, -1])).tolist()
        [False, True, True, True, True]
    """
    truth = as_labels("identities", truth)
    predicted = as_labels("clusters", predicted, len(truth))
    majority = truth >= 0
    rows = np.flatnonzero(majority & (predicted >= 0))
    identities, identity = np.unique(truth[rows], return_inverse=True)
    number = np.unique(predicted[rows], return_inverse=True)[1]  # whose product does not overflow
    cells, cell, faces = np.unique(number * max(len(identities), 1) + identity, return_inverse=True, return_counts=True)
    cluster = cells // max(len(identities), 1)
    order = np.lexsort((cells, -faces, cluster))
    largest = np.zeros(len(cells), dtype=bool)
    largest[order[np.unique(cluster[order], return_index=True)[1]]] = True
    majority[rows] = largest[cell]
    return majority


def rows_in_company(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Rows of faces of known identity that share their cluster with another such face, int64, ascending.

    Args:
        truth: int [n] identities, -1 for unknown.
        predicted: int [n] clusters, -1 for none.
    """
    known = np.flatnonzero((truth >= 0) & (predicted >= 0))
    _, cluster, sizes = np.unique(predicted[known], return_inverse=True, return_counts=True)
    return known[sizes[cluster] > 1]


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> np.ndarray:
    """A reliability diagram as a table: how often faces of a given confidence are right.

    Args:
        confidence: float [n] in [0, 1].
        right: Bool [n].
        bins: Number of bins. They have equally many faces, except that equal confidences share a bin.

    Returns:
        float64 [bins or fewer, 5]: lowest and highest confidence, faces, mean confidence, share that is right.

    Raises:
        InputError: The arrays have other shapes or types, a confidence is not in [0, 1], or the number of bins is not a
            whole number from 1 on.

    Example:
        >>> reliability(np.array([0.2, 0.4, 0.8, 0.8]), np.array([False, True, True, True]), bins=2).tolist()
        [[0.2, 0.4, 2.0, 0.30000000000000004, 0.5], [0.8, 0.8, 2.0, 0.8, 1.0]]
    """
    bins = whole("bins", bins, 1)
    values, hits = as_array("confidence", confidence), as_array("right", right)
    if values.ndim != 1 or values.dtype.kind not in "fiu" or not np.all((values >= 0) & (values <= 1)):
        raise InputError(f"confidence: {values.dtype} of shape {list(values.shape)}; expected numbers [n] from 0 to 1")
    if hits.shape != values.shape or hits.dtype.kind != "b":
        raise InputError(f"right: {hits.dtype} of shape {list(hits.shape)} for {len(values)} faces; expected bool [n]")
    if not len(values):
        return np.zeros((0, 5))
    order = np.argsort(values, kind="stable")
    values, hits = values[order].astype(np.float64), hits[order].astype(np.float64)
    bins = min(bins, len(values))
    starts = np.unique(np.searchsorted(values, values[np.arange(bins) * len(values) // bins]))
    faces = np.diff(np.append(starts, len(values)))
    means = [np.add.reduceat(column, starts) / faces for column in (values, hits)]
    return np.stack([values[starts], values[starts + faces - 1], faces, *means], axis=1)


def calibration_error(table: np.ndarray) -> float:
    """Expected calibration error (Naeini et al. 2015) of a `reliability` table; 0 for an empty one.

    It is the mean over faces of the difference between the mean confidence of their bin and its share that is right.

    Raises:
        InputError: The table is not one of `reliability`.
    """
    rows = as_array("table", table)
    if rows.shape[1:] != (5,) or rows.dtype.kind not in "fiu" or not np.isfinite(rows).all():
        raise InputError(f"table is {shown(table)}; expected what reliability gives, finite numbers [bins, 5]")
    faces = rows[:, 2]
    return float(faces @ np.abs(rows[:, 3] - rows[:, 4]) / max(faces.sum(), 1))


def lowest_tenth(confidence: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Calibration of the tenth of the faces with the lowest confidence, which a mean over all faces hides.

    Args:
        confidence: float [n] in [0, 1], n > 0.
        right: Bool [n].

    Returns:
        ``faces``, including all that have the same confidence as the last; their mean ``confidence``; the share that is
        ``right``; and ``error``, the difference of both.
    """
    faces, claimed, found = (float(x) for x in reliability(confidence, right, 10)[0, 2:])
    return {"faces": int(faces), "confidence": claimed, "right": found, "error": abs(claimed - found)}
