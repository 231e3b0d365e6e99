"""Errors by identity and by cluster: true and found sizes, splits, merges, the worst clusters."""

from __future__ import annotations

from typing import Any

import numpy as np

from eval.clusters.contingency import Contingency, contingency, found_identities, known_identities

WORST, LISTED = 20, 5


def details(truth: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Details behind `scores`, for JSON.

    Args:
        truth: int [n] identities; -1 leaves a face out.
        predicted: int [n] clusters; -1 is a cluster of one face.

    Returns:
        By name:

        - ``sizes``: rows of `size_histogram`;
        - ``splits`` and ``merges``: how many identities have 0, 1, 2, ... of them, see `splits_and_merges`;
        - ``found_by_size``: rows of smallest size, largest size, identities, and the share of these that is found;
        - ``worst_clusters``: see `worst_clusters`.

    Raises:
        InputError: As for `scores`.
    """
    table = contingency(*known_identities(truth, predicted))
    splits, merges = splits_and_merges(table)
    are_found, _ = found_identities(table)
    size_bin = _size_bin(table.identity_sizes)
    return {
        "sizes": size_histogram(table),
        "splits": np.bincount(splits).tolist(),
        "merges": np.bincount(merges).tolist(),
        "found_by_size": [
            [*_bounds(b), int(np.count_nonzero(size_bin == b)), float(np.mean(are_found[size_bin == b]))]
            for b in np.unique(size_bin).tolist()
        ],
        "worst_clusters": worst_clusters(table),
    }


def sizes(truth: np.ndarray, predicted: np.ndarray) -> list[list[int]]:
    """Counts identities and clusters by size, see `size_histogram`. Faces of unknown identity are left out."""
    return size_histogram(contingency(*known_identities(truth, predicted)))


def splits_and_merges(table: Contingency) -> tuple[np.ndarray, np.ndarray]:
    """Counts splits and merges of each identity, int64 [identities] each.

    Splits are the clusters that hold its faces, less one. Merges are the other identities in the cluster that holds
    most of its faces (the first of several such clusters). An unassigned face is a cluster of its own, and comes last.

    Example:
        >>> table = contingency(np.array([1, 1, 1, 2, 2, 3]), np.array([0, 0, 5, 0, 0, -1]))
        >>> splits, merges = splits_and_merges(table)   # 1 lies in 0 and 5; 1 and 2 share cluster 0
        >>> splits.tolist(), merges.tolist()
        ([1, 0, 0], [1, 1, 0])
    """
    largest = np.zeros(len(table.identity_sizes), dtype=np.int64)
    np.maximum.at(largest, table.identity, table.faces)
    top = np.flatnonzero(table.faces == largest[table.identity])[::-1]
    main = np.empty(len(largest), dtype=np.int64)
    main[table.identity[top]] = table.cluster[top]  # the last one written stays: the first cluster
    return np.bincount(table.identity) - 1, np.bincount(table.cluster)[main] - 1


def size_histogram(table: Contingency) -> list[list[int]]:
    """Rows of smallest size, largest size, identities and clusters of these sizes; sizes 1, 2, 3-4, 5-8, 9-16, ...

    Unassigned faces do not count as clusters here.

    Example:
        >>> size_histogram(contingency(np.array([1, 1, 1, 2, 2, 3]), np.array([0, 0, 0, 0, 0, -1])))
        [[1, 1, 1, 0], [2, 2, 1, 0], [3, 4, 1, 0], [5, 8, 0, 1]]
    """
    true, clustered = _size_bin(table.identity_sizes), _size_bin(table.cluster_sizes[table.cluster_names >= 0])
    last = int(max(true.max(), clustered.max(initial=0)))
    counts = [np.bincount(part, minlength=last + 1) for part in (true, clustered)]
    return [[*_bounds(b), int(counts[0][b]), int(counts[1][b])] for b in range(last + 1)]


def worst_clusters(table: Contingency) -> list[dict[str, Any]]:
    """The clusters with most faces outside their majority identity: label, faces, wrong faces, and their identities.

    Example:
        >>> worst_clusters(contingency(np.array([1, 1, 1, 2, 2, 3]), np.array([0, 0, 0, 0, 0, 8])))
        [{'cluster': 0, 'faces': 5, 'wrong': 2, 'identities': 2, 'largest': [[1, 3], [2, 2]]}]
    """
    wrong = table.cluster_sizes - table.majorities
    order = np.argsort(-wrong, kind="stable")[:WORST]
    starts = np.searchsorted(table.cluster, np.arange(len(wrong) + 1))
    described = []
    for cluster in order[wrong[order] > 0]:
        cells = slice(starts[cluster], starts[cluster + 1])
        ranked = np.argsort(-table.faces[cells], kind="stable")[:LISTED]
        names = table.identity_names[table.identity[cells][ranked]]
        described.append(
            {
                "cluster": int(table.cluster_names[cluster]),
                "faces": int(table.cluster_sizes[cluster]),
                "wrong": int(wrong[cluster]),
                "identities": int(starts[cluster + 1] - starts[cluster]),
                "largest": [[int(name), int(n)] for name, n in zip(names, table.faces[cells][ranked], strict=True)],
            }
        )
    return described


def _size_bin(sizes: np.ndarray) -> np.ndarray:
    """0 for 1, 1 for 2, 2 for 3 and 4, 3 for 5 to 8, and so on."""
    return np.ceil(np.log2(sizes)).astype(np.int64)


def _bounds(index: int) -> tuple[int, int]:
    return (1, 1) if index == 0 else (2 ** (index - 1) + 1, 2**index)
