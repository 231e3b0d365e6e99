"""How well clusters agree with identities: pairwise F, BCubed F, NMI, purity.

All figures come from one sparse contingency table: how many faces each pair (cluster, identity) shares. Faces of
unknown identity (truth -1) are left out of the scoring; unassigned faces (predicted -1) are a cluster of one each.
Hi-LANDER (Xing et al. 2021), section 4.1, names the first two Fp and Fb.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facerec.artifacts import InputError, load_labels, write_json

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


def clusters(truth: Path, predicted: Path, json: Path | None = None, detail: Path | None = None) -> None:
    """Scores clusters against true identities: pairwise F, BCubed F, NMI, purity, identities found.

    Args:
        truth: Identities: a .npy file of integers, or a folder with labels.npy; -1 leaves a face out.
        predicted: Clusters: a clustering folder or a .npy file of integers; -1 is a cluster of one face.
        json: Also write the figures into this file.
        detail: Also write sizes true and found, splits, merges and the worst clusters into this file.
    """
    for name, file in [("json", json), ("detail", detail)]:
        if file is not None and file.is_dir():
            raise InputError(f"{file}: a folder; --{name} wants a file name")
    identities = load_labels(truth)
    labels = load_labels(predicted)
    if len(labels) != len(identities):
        raise InputError(
            f"{predicted}: {len(labels)} cluster labels, but {truth} has {len(identities)} identities; "
            "both must be of the same faces in the same order"
        )
    if identities.max() < 0:
        raise InputError(f"{truth}: every identity is -1 (unknown); nothing to score")
    figures = scores(identities, labels)
    if json is not None:
        write_json(json, figures)
    if detail is not None:
        from eval.identities import details

        write_json(detail, details(identities, labels))
    print(format_scores(figures))


def scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """All figures of a clustering, as fractions and counts.

    Args:
        truth: int [n] identities; -1 leaves a face out.
        predicted: int [n] clusters; -1 is a cluster of one face.

    Returns:
        ``pairwise_*``, ``bcubed_*``, ``nmi``; ``purity``, the share of assigned faces whose identity is the most
        frequent one of their cluster (0 if none is assigned); ``identities_found`` and ``identities_whole``, shares of
        the identities (see `found_identities`); ``fragmentation``, the clusters that an identity is spread over, mean
        of the identities; ``merging``, the identities in a cluster, mean of the clusters (0 if there is none);
        ``clusters`` (without the unassigned faces), ``identities``, ``faces`` (scored) and ``assigned`` (scored, with a
        cluster).

    Raises:
        InputError: Other lengths, or no face of known identity.

    Example:
        >>> figures = scores(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]))
        >>> round(figures["pairwise_f"], 3), round(figures["bcubed_f"], 3), figures["purity"]
        (0.4, 0.706, 0.75)
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.ndim != 1 or truth.shape != predicted.shape:
        raise InputError(
            f"identities of shape {truth.shape} and clusters of shape {predicted.shape}; expected one each"
        )
    known = truth >= 0
    if not known.any():
        raise InputError("every identity is -1 (unknown); nothing to score")
    truth, predicted = truth[known], predicted[known]
    table = contingency(truth, predicted)
    found, whole = found_identities(table)
    named = table.cluster_names >= 0
    figures: dict[str, float] = {}
    for name, (f, precision, recall) in [("pairwise", pairwise(table)), ("bcubed", bcubed(table))]:
        figures |= {f"{name}_f": f, f"{name}_precision": precision, f"{name}_recall": recall}
    assigned = int(np.count_nonzero(predicted >= 0))
    unassigned = len(predicted) - assigned
    return {
        **figures,
        "nmi": nmi(table),
        "purity": _purity(table, unassigned),
        "identities_found": float(np.mean(found)),
        "identities_whole": float(np.mean(whole)),
        "fragmentation": float(np.mean(np.bincount(table.identity))),
        "merging": float(np.mean(np.bincount(table.cluster)[named])) if named.any() else 0.0,
        "clusters": len(table.cluster_sizes) - unassigned,
        "identities": len(table.identity_sizes),
        "faces": len(truth),
        "assigned": assigned,
    }


def contingency(truth: np.ndarray, predicted: np.ndarray) -> Contingency:
    """The table of known identities against clusters; each -1 in `predicted` becomes a cluster of its own, last."""
    identity_names, identity = _numbered(truth)
    assigned = predicted >= 0
    cluster = np.empty(len(predicted), dtype=np.int64)
    found, cluster[assigned] = _numbered(predicted[assigned])
    alone = np.count_nonzero(~assigned)
    cluster[~assigned] = len(found) + np.arange(alone)
    cells, faces = np.unique(cluster * len(identity_names) + identity, return_counts=True)
    rows, columns = np.divmod(cells, len(identity_names))
    names = np.r_[found, np.full(alone, -1)]
    return Contingency(
        rows, columns, faces, np.bincount(cluster), np.bincount(identity), names.astype(np.int64), identity_names
    )


def found_identities(table: Contingency) -> tuple[np.ndarray, np.ndarray]:
    """Which identities are found, and which are nearly whole, bool [identities] each.

    An identity is nearly whole if one cluster holds at least 90 % of its faces; it is found if besides at least 90 % of
    that cluster's faces are its own: then the cluster can stand for it.

    Example:
        >>> truth = np.array([1] * 10 + [2] * 10 + [3] * 4)
        >>> predicted = np.array([7] * 9 + [8] + [9] * 14)   # 1 has lost a face; 2 and 3 have become one cluster
        >>> found, whole = found_identities(contingency(truth, predicted))
        >>> found.tolist(), whole.tolist()
        ([True, False, False], [True, True, True])
    """
    whole = np.zeros(len(table.identity_sizes), dtype=bool)
    found = whole.copy()
    nearly_whole = table.faces >= NEARLY * table.identity_sizes[table.identity]
    nearly_pure = table.faces >= NEARLY * table.cluster_sizes[table.cluster]
    whole[table.identity[nearly_whole]] = True
    found[table.identity[nearly_whole & nearly_pure]] = True
    return found, whole


def pairwise(table: Contingency) -> tuple[float, float, float]:
    """F, precision and recall over pairs of faces.

    Precision is the share of the pairs in one cluster that are of one identity, recall the share of the pairs of one
    identity that are in one cluster. Where there is no pair, the share is 1: nothing was claimed, nothing missed.
    """
    together = _pairs(table.faces)
    precision = _share(together, _pairs(table.cluster_sizes))
    recall = _share(together, _pairs(table.identity_sizes))
    return _harmonic(precision, recall), precision, recall


def bcubed(table: Contingency) -> tuple[float, float, float]:
    """F, precision and recall averaged over faces (Amigó et al. 2009).

    A face's precision is the share of its cluster (itself included) that has its identity, its recall the share of its
    identity that is in its cluster.
    """
    squares = table.faces.astype(np.float64) ** 2
    total = float(table.faces.sum())
    precision = float(np.sum(squares / table.cluster_sizes[table.cluster])) / total
    recall = float(np.sum(squares / table.identity_sizes[table.identity])) / total
    return _harmonic(precision, recall), precision, recall


def nmi(table: Contingency) -> float:
    """Mutual information over the arithmetic mean of both entropies (scikit-learn's default normalisation).

    1 where both sides are a single group; 0 where only one side is.
    """
    total = table.faces.sum()
    expected = table.cluster_sizes[table.cluster] * (table.identity_sizes[table.identity] / total)
    information = float(np.sum(table.faces / total * np.log(table.faces / expected)))
    mean = (_entropy(table.cluster_sizes) + _entropy(table.identity_sizes)) / 2
    return min(max(information / mean, 0.0), 1.0) if mean > 0 else 1.0


def in_majority(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Bool [n]: whether a face has the most frequent identity of its cluster; of equally frequent ones the lowest.

    Args:
        truth: int [n] identities; faces of unknown identity (-1) have no vote, and are never in the majority.
        predicted: int [n] clusters; -1 is a cluster of one face.

    Example:
        >>> in_majority(np.array([5, 7, 7, 2, 2]), np.array([0, 0, 0, 1, -1])).tolist()
        [False, True, True, True, True]
    """
    found = truth >= 0
    rows = np.flatnonzero(found & (predicted >= 0))
    identities, identity = np.unique(truth[rows], return_inverse=True)
    cells, cell, faces = np.unique(
        predicted[rows] * max(len(identities), 1) + identity, return_inverse=True, return_counts=True
    )
    cluster = cells // max(len(identities), 1)
    order = np.lexsort((cells, -faces, cluster))
    largest = np.zeros(len(cells), dtype=bool)
    largest[order[np.unique(cluster[order], return_index=True)[1]]] = True
    found[rows] = largest[cell]
    return found


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> np.ndarray:
    """How often what was claimed with some confidence is right: a reliability diagram as a table.

    Args:
        confidence: float [n] in [0, 1].
        right: Bool [n].
        bins: Of equally many faces each, as far as equal confidences, which share a bin, allow.

    Returns:
        float64 [bins or fewer, 5]: lowest and highest confidence, faces, mean confidence, share that is right.

    Example:
        >>> reliability(np.array([0.2, 0.4, 0.8, 0.8]), np.array([False, True, True, True]), bins=2).tolist()
        [[0.2, 0.4, 2.0, 0.30000000000000004, 0.5], [0.8, 0.8, 2.0, 0.8, 1.0]]
    """
    if not len(confidence):
        return np.zeros((0, 5))
    order = np.argsort(confidence, kind="stable")
    values, hits = np.asarray(confidence, dtype=np.float64)[order], np.asarray(right, dtype=np.float64)[order]
    starts = np.unique(np.searchsorted(values, values[np.arange(bins) * len(values) // bins]))
    faces = np.diff(np.append(starts, len(values)))
    means = [np.add.reduceat(column, starts) / faces for column in (values, hits)]
    return np.stack([values[starts], values[starts + faces - 1], faces, *means], axis=1)


def calibration_error(table: np.ndarray) -> float:
    """Expected calibration error (Naeini et al. 2015) of a `reliability` table; 0 for an empty one.

    The mean over faces of the distance between their bin's mean confidence and its share that is right.
    """
    faces = table[:, 2]
    return float(faces @ np.abs(table[:, 3] - table[:, 4]) / max(faces.sum(), 1))


def format_scores(figures: dict[str, float]) -> str:
    """A small table for the terminal."""
    lines = [f"{'':10}{'F':>9}{'precision':>11}{'recall':>9}"]
    for name, title in [("pairwise", "pairwise"), ("bcubed", "BCubed")]:
        f, precision, recall = (figures[f"{name}_{part}"] for part in ("f", "precision", "recall"))
        lines.append(f"{title:10}{f:9.4f}{precision:11.4f}{recall:9.4f}")
    lines += [f"{'NMI':10}{figures['nmi']:9.4f}", f"{'purity':10}{figures['purity']:9.4f}"]
    lines.append(
        f"{figures['clusters']:,} clusters for {figures['identities']:,} identities; "
        f"{figures['assigned']:,} of {figures['faces']:,} faces assigned; "
        f"{100 * figures['identities_found']:.1f} % of the identities found"
    )
    return "\n".join(lines)


def _numbered(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct labels (none negative), rising, and for each label its place among them; int64."""
    labels = labels.astype(np.int64, copy=False)
    if not labels.size or labels.max() > 4 * len(labels) + 1024:
        distinct, number = np.unique(labels, return_inverse=True)
        return distinct, number
    seen = np.zeros(int(labels.max()) + 1, dtype=bool)  # a table does not sort
    seen[labels] = True
    return np.flatnonzero(seen), (np.cumsum(seen) - 1)[labels]


def _purity(table: Contingency, unassigned: int) -> float:
    largest = np.zeros(len(table.cluster_sizes), dtype=np.int64)
    np.maximum.at(largest, table.cluster, table.faces)
    assigned = int(table.faces.sum()) - unassigned
    return (int(largest.sum()) - unassigned) / assigned if assigned else 0.0


def _pairs(sizes: np.ndarray) -> int:
    return int(np.sum(sizes * (sizes - 1)) // 2)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _harmonic(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _entropy(sizes: np.ndarray) -> float:
    p = sizes / sizes.sum()
    return float(-np.sum(p * np.log(p)))
