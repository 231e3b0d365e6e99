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


@dataclass(frozen=True)
class Contingency:
    """The non-zero cells of the table clusters x identities.

    Attributes:
        cluster: int64 [cells], the row of each cell.
        identity: int64 [cells], its column.
        faces: int64 [cells], how many faces it holds (> 0).
        cluster_sizes: int64 [clusters].
        identity_sizes: int64 [identities].
    """

    cluster: np.ndarray
    identity: np.ndarray
    faces: np.ndarray
    cluster_sizes: np.ndarray
    identity_sizes: np.ndarray


def clusters(truth: Path, predicted: Path, json: Path | None = None) -> None:
    """Scores clusters against true identities: pairwise F, BCubed F, NMI, purity.

    Args:
        truth: Identities: a .npy file of integers, or a folder with labels.npy; -1 leaves a face out.
        predicted: Clusters: a clustering folder or a .npy file of integers; -1 is a cluster of one face.
        json: Also write the figures into this file.
    """
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
        if json.is_dir():
            raise InputError(f"{json}: a folder; --json wants a file name")
        write_json(json, figures)
    print(format_scores(figures))


def scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """All figures of a clustering, as fractions and counts.

    Args:
        truth: int [n] identities; -1 leaves a face out.
        predicted: int [n] clusters; -1 is a cluster of one face.

    Returns:
        ``pairwise_*``, ``bcubed_*``, ``nmi``; ``purity``, the share of assigned faces whose identity is the most
        frequent one of their cluster (0 if none is assigned); ``clusters`` (without the unassigned faces),
        ``identities``, ``faces`` (scored) and ``assigned`` (scored, with a cluster).

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
    figures: dict[str, float] = {}
    for name, (f, precision, recall) in [("pairwise", pairwise(table)), ("bcubed", bcubed(table))]:
        figures |= {f"{name}_f": f, f"{name}_precision": precision, f"{name}_recall": recall}
    assigned = int(np.count_nonzero(predicted >= 0))
    unassigned = len(predicted) - assigned
    return {
        **figures,
        "nmi": nmi(table),
        "purity": _purity(table, unassigned),
        "clusters": len(table.cluster_sizes) - unassigned,
        "identities": len(table.identity_sizes),
        "faces": len(truth),
        "assigned": assigned,
    }


def contingency(truth: np.ndarray, predicted: np.ndarray) -> Contingency:
    """The table of known identities against clusters; each -1 in `predicted` becomes a cluster of its own, last."""
    _, identity = np.unique(truth, return_inverse=True)
    cluster = np.empty(len(predicted), dtype=np.int64)
    assigned = predicted >= 0
    found, cluster[assigned] = np.unique(predicted[assigned], return_inverse=True)
    cluster[~assigned] = len(found) + np.arange(np.count_nonzero(~assigned))
    identity_sizes = np.bincount(identity)
    cells, faces = np.unique(cluster * len(identity_sizes) + identity, return_counts=True)
    rows, columns = np.divmod(cells, len(identity_sizes))
    return Contingency(rows, columns, faces, np.bincount(cluster), identity_sizes)


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


def format_scores(figures: dict[str, float]) -> str:
    """A small table for the terminal."""
    lines = [f"{'':10}{'F':>9}{'precision':>11}{'recall':>9}"]
    for name, title in [("pairwise", "pairwise"), ("bcubed", "BCubed")]:
        f, precision, recall = (figures[f"{name}_{part}"] for part in ("f", "precision", "recall"))
        lines.append(f"{title:10}{f:9.4f}{precision:11.4f}{recall:9.4f}")
    lines += [f"{'NMI':10}{figures['nmi']:9.4f}", f"{'purity':10}{figures['purity']:9.4f}"]
    lines.append(
        f"{figures['clusters']:,} clusters for {figures['identities']:,} identities; "
        f"{figures['assigned']:,} of {figures['faces']:,} faces assigned"
    )
    return "\n".join(lines)


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
