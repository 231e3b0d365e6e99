"""Rules that make pseudo-labels of clusters: each takes labels, gives labels, and has a record of what it did.

The rules that look at embeddings share one number: the least cosine of a face with its cluster's centre (see
`clustering.similarity.likeness.Likeness.threshold`). What a person has said about faces outranks all rules but
``duplicates`` and ``min_size``, see `Evidence`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustering.partition import components, consecutive, own_cluster_size
from clustering.pseudolabels.evidence import Evidence
from clustering.pseudolabels.merge import merge
from clustering.pseudolabels.split import split
from clustering.similarity.centres import cosine_to_rest_of_cluster
from eval.clusters import scores

OUTLIER_PASSES = 2
"""The first pass moves the mean, so that the second finds more. On LFW later passes drop .2 % of the faces or less
(2 % of K-means' clusters)."""


def confident(labels: np.ndarray, evidence: Evidence, threshold: float) -> np.ndarray:
    """Drops faces of lower confidence."""
    return consecutive(np.where((evidence.confidence >= threshold) | evidence.held(labels), labels, -1))


def outliers(labels: np.ndarray, evidence: Evidence, threshold: float) -> np.ndarray:
    """Drops faces of a lower cosine with the mean of their cluster's other faces."""
    for _ in range(OUTLIER_PASSES):
        cosines = cosine_to_rest_of_cluster(evidence.links.embeddings, labels)
        far = (own_cluster_size(labels) > 1) & (cosines < threshold)
        labels = consecutive(np.where(far & ~evidence.held(labels), -1, labels))
    return labels


def duplicates(labels: np.ndarray, evidence: Evidence, threshold: float) -> np.ndarray:
    """Keeps the first of the faces of a cluster that reach this cosine with each other."""
    graph = evidence.links
    rows, columns = np.nonzero(graph.valid & (graph.similarities >= threshold))
    others = graph.neighbors[rows, columns]
    same = (labels[rows] >= 0) & (labels[rows] == labels[others])
    group = components(len(labels), rows[same], others[same])
    first = np.unique(group, return_index=True)[1]
    return consecutive(np.where(first[group] == np.arange(len(labels)), labels, -1))


def max_size(labels: np.ndarray, evidence: Evidence, threshold: int) -> np.ndarray:
    """Drops clusters of more faces, of which a person has confirmed none."""
    spared = (own_cluster_size(labels) <= threshold) | np.isin(labels, labels[evidence.confirmed])
    return consecutive(np.where(spared, labels, -1))


def min_size(labels: np.ndarray, evidence: Evidence, threshold: int) -> np.ndarray:
    """Drops clusters of fewer faces."""
    return consecutive(np.where(own_cluster_size(labels) >= threshold, labels, -1))


Function = Callable[[np.ndarray, Evidence, Any], np.ndarray]
RULES: Mapping[str, tuple[Function, str]] = {
    "confident": (confident, "Drops faces of which the backend is less sure."),
    "split": (
        split,
        "Parts faces that are too far from their cluster's mode, and have few links with its other faces.",
    ),
    "merge": (
        merge,
        "Joins clusters whose faces are near enough to each other's centre on average, and linked.",
    ),
    "outliers": (outliers, "Drops faces that are too far from the mean of their cluster's other faces."),
    "duplicates": (duplicates, "Drops faces that are nearly the same image as an earlier one of their cluster."),
    "max_size": (max_size, "Drops clusters of more faces, as mixtures."),
    "min_size": (min_size, "Drops clusters of fewer faces."),
}
"""By name: the function of labels (int64 [n], -1 or consecutive from 0), evidence and threshold, which gives new labels
and leaves unassigned faces unassigned; and what it does, for the report."""


@dataclass(frozen=True)
class PseudoLabelRule:
    """A rule with its threshold.

    Attributes:
        name: One of `RULES`.
        threshold: A cosine, a confidence or a number of faces.
    """

    name: str
    threshold: float

    def __call__(self, labels: np.ndarray, evidence: Evidence) -> np.ndarray:
        """The new labels, int64 [n]."""
        return RULES[self.name][0](labels, evidence, self.threshold)

    @property
    def why(self) -> str:
        """What it does to which faces, in words."""
        return f"{RULES[self.name][1]} Threshold: {self.threshold:.6g}"


def apply(
    rules: Sequence[PseudoLabelRule], labels: np.ndarray, evidence: Evidence, truth: np.ndarray | None = None
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Applies rules one after the other.

    Args:
        rules: In this order.
        labels: int64 [n], -1 for unassigned.
        evidence: Of the same faces.
        truth: int64 [n] identities, -1 where unknown, for the report alone.

    Returns:
        int64 [n], -1 or consecutive from 0; and a record a rule, see `record`.
    """
    labels, records = consecutive(labels), []
    for rule in rules:
        before, labels = labels, rule(labels, evidence)
        records.append(record(rule.name, rule.why, before, labels, truth, evidence.decided))
    return labels, records


def record(
    name: str, why: str, before: np.ndarray, after: np.ndarray, truth: np.ndarray | None, decided: np.ndarray
) -> dict[str, Any]:
    """What a rule did: ``rule``, ``why``, ``kept`` and ``dropped`` faces, ``clusters`` before and after.

    ``decided`` counts the dropped faces that a person has decided about, see `Evidence.decided`. With `truth` there are
    also ``purity``, ``pairwise_f`` and ``bcubed_f`` before and after, over the faces that have a cluster.
    """
    kept, had = after >= 0, before >= 0
    found: dict[str, Any] = {
        "rule": name,
        "why": why,
        "kept": int(kept.sum()),
        "dropped": int((had & ~kept).sum()),
        "decided": int((had & ~kept & decided).sum()),
        "clusters": [int(labels.max(initial=-1)) + 1 for labels in (before, after)],
    }
    if truth is not None:
        figures = [_figures(truth, labels) for labels in (before, after)]
        found |= {name: [each.get(name) for each in figures] for name in ("purity", "pairwise_f", "bcubed_f")}
    return found


def _figures(truth: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """`scores` of the faces that have a cluster; nothing if none of them is of known identity."""
    kept = (labels >= 0) & (truth >= 0)
    return scores(truth[kept], labels[kept]) if kept.any() else {}
