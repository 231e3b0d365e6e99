"""How well clusters agree with identities: pairwise F, BCubed F, NMI, purity.

All figures are computed from one sparse contingency table: the number of faces that each cluster shares with each
identity. Faces of unknown identity (truth -1) are left out. Each unassigned face (predicted -1) is a cluster of its
own. Pairwise F and BCubed F are the Fp and Fb of Hi-LANDER (Xing et al. 2021), section 4.1.
"""

from __future__ import annotations

import numpy as np

from eval.clusters.contingency import Contingency, contingency, found_identities, known_identities


def scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Scores a clustering against the true identities.

    Args:
        truth: int [n] identities; -1 leaves a face out.
        predicted: int [n] clusters; -1 is a cluster of one face.

    Returns:
        Fractions and counts by name:

        - ``pairwise_f``, ``pairwise_precision``, ``pairwise_recall``, and the same of ``bcubed``; ``nmi``;
        - ``purity``, the share of assigned faces that have the most frequent identity of their cluster (0 if none is
          assigned);
        - ``identities_found`` and ``identities_whole``, shares of the identities, see `found_identities`;
        - ``fragmentation``, the mean number of clusters per identity;
        - ``merging``, the mean number of identities per cluster (0 if there is no cluster);
        - ``clusters`` (without unassigned faces), ``identities``, ``faces`` (scored) and ``assigned`` (scored, in a
          cluster).

    Raises:
        InputError: The lengths differ, labels are not integers, or no face has a known identity.

    Example:
        >>> figures = scores(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]))
        >>> round(figures["pairwise_f"], 3), round(figures["bcubed_f"], 3), figures["purity"]
        (0.4, 0.706, 0.75)
    """
    truth, predicted = known_identities(truth, predicted)
    table = contingency(truth, predicted)
    are_found, are_whole = found_identities(table)
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
        "identities_found": float(np.mean(are_found)),
        "identities_whole": float(np.mean(are_whole)),
        "fragmentation": float(np.mean(np.bincount(table.identity))),
        "merging": float(np.mean(np.bincount(table.cluster)[named])) if named.any() else 0.0,
        "clusters": len(table.cluster_sizes) - unassigned,
        "identities": len(table.identity_sizes),
        "faces": len(truth),
        "assigned": assigned,
    }


def pairwise(table: Contingency) -> tuple[float, float, float]:
    """F, precision and recall over pairs of faces.

    Precision is the share of the pairs in the same cluster that have the same identity. Recall is the share of the
    pairs of the same identity that are in the same cluster. If there is no such pair, the share is 1.
    """
    together = _pairs(table.faces)
    precision = _share(together, _pairs(table.cluster_sizes))
    recall = _share(together, _pairs(table.identity_sizes))
    return float(harmonic(precision, recall)), precision, recall


def bcubed(table: Contingency) -> tuple[float, float, float]:
    """F, precision and recall averaged over faces (Amigó et al. 2009).

    A face's precision is the share of its cluster (itself included) that has its identity. Its recall is the share of
    its identity that is in its cluster.
    """
    squares = table.faces.astype(np.float64) ** 2
    total = float(table.faces.sum())
    precision = float(np.sum(squares / table.cluster_sizes[table.cluster])) / total
    recall = float(np.sum(squares / table.identity_sizes[table.identity])) / total
    return float(harmonic(precision, recall)), precision, recall


def harmonic(precision: np.ndarray | float, recall: np.ndarray | float) -> np.ndarray:
    """The harmonic mean F, elementwise; 0 if both are 0."""
    total = np.asarray(precision + recall, dtype=np.float64)
    return np.divide(2 * precision * recall, total, out=np.zeros(total.shape), where=total > 0)


def nmi(table: Contingency) -> float:
    """Mutual information over the arithmetic mean of both entropies (scikit-learn's default normalisation).

    It is 1 if both sides are a single group, and 0 if only one side is.
    """
    total = table.faces.sum()
    expected = table.cluster_sizes[table.cluster] * (table.identity_sizes[table.identity] / total)
    information = float(np.sum(table.faces / total * np.log(table.faces / expected)))
    mean = (_entropy(table.cluster_sizes) + _entropy(table.identity_sizes)) / 2
    return min(max(information / mean, 0.0), 1.0) if mean > 0 else 1.0


def _purity(table: Contingency, unassigned: int) -> float:
    assigned = int(table.faces.sum()) - unassigned
    return (int(table.majorities.sum()) - unassigned) / assigned if assigned else 0.0


def _pairs(sizes: np.ndarray) -> int:
    return int(np.sum(sizes * (sizes - 1)) // 2)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _entropy(sizes: np.ndarray) -> float:
    p = sizes / sizes.sum()
    return float(-np.sum(p * np.log(p)))
