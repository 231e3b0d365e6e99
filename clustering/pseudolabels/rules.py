"""Rules that make pseudo-labels of clusters: each takes labels and gives labels, and says what it did.

Those that look at embeddings share one number: the cosine with a cluster's centre from which on a face may be in it
(see `clustering.similarity.likeness.Likeness.threshold`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustering.graph.knn_graph import KnnGraph
from clustering.partition import components, consecutive
from clustering.similarity.centres import belonging, centres, nearest
from eval.clusters import scores
from facerec.pipeline.files import InputError

LINKED = 0.3
LINKS = 10
STEPS, ROUNDS, MERGES = 5, 3, 20


@dataclass(frozen=True)
class Evidence:
    """What is known about the clustered faces.

    Attributes:
        confidence: float32 [n] in [0, 1], the backend's; ones where it has none.
        graph: Of the n faces, or None.
    """

    confidence: np.ndarray
    graph: KnnGraph | None = None

    @property
    def links(self) -> KnnGraph:
        """The graph, for the rules that need it.

        Raises:
            InputError: None was given.
        """
        if self.graph is None:
            raise InputError("no embeddings; give --embeddings")
        return self.graph


@dataclass(frozen=True)
class PseudoLabelRule:
    """A function of this module and its threshold.

    Attributes:
        function: Of labels (int64 [n], -1 or consecutive from 0), evidence and threshold; gives new labels. Unassigned
            faces stay unassigned.
        threshold: A cosine, a confidence or a number of faces.
    """

    function: Callable[[np.ndarray, Evidence, Any], np.ndarray]
    threshold: float

    @property
    def name(self) -> str:
        """In the report."""
        return self.function.__name__

    @property
    def why(self) -> str:
        """What it does to which faces, in words."""
        return f"{(self.function.__doc__ or '').splitlines()[0]} Threshold: {self.threshold:.6g}"


def confident(labels: np.ndarray, evidence: Evidence, threshold: float) -> np.ndarray:
    """Drops faces of which the backend is less sure."""
    return consecutive(np.where(evidence.confidence >= threshold, labels, -1))


def split(labels: np.ndarray, evidence: Evidence, threshold: float) -> np.ndarray:
    """Parts faces that are too far from their cluster's mode, and have few links with its other faces.

    They become a cluster of their own, if they are two or more; then that is looked at in the same way. See `modes`
    for where two identities that have come together are parted, and `linked` for what keeps one in one piece.
    """
    graph = evidence.links
    labels, part = labels.copy(), labels
    for _ in range(ROUNDS):
        part = consecutive(part)
        far = (part >= 0) & (modes(graph.embeddings, part) < threshold)
        moved = far & _apart(graph, part, far)[part]
        if not moved.any():
            break
        part = np.where(moved, part, -1)
        labels = np.where(moved, part + labels.max() + 1, labels)
    return consecutive(labels)


def merge(labels: np.ndarray, evidence: Evidence, threshold: float) -> np.ndarray:
    """Joins clusters whose faces are near enough to each other's centre on average, and linked.

    Always the two that are each other's nearest, again and again. Clusters of one face stay alone.
    """
    for _ in range(MERGES):
        left, right = _twins(evidence.links, labels, threshold)
        if not len(left):
            break
        number = np.arange(labels.max() + 2)  # its last entry is for unassigned faces
        number[right] = left
        number[-1] = -1
        labels = consecutive(number[labels])
    return labels


def outliers(labels: np.ndarray, evidence: Evidence, threshold: float) -> np.ndarray:
    """Drops faces that are too far from the mean of their cluster's other faces.

    Twice, because the mean moves meanwhile.
    """
    for _ in range(2):
        several = np.bincount(labels[labels >= 0], minlength=1)[labels] > 1
        cosines = belonging(evidence.links.embeddings, labels)
        labels = consecutive(np.where(several & (cosines < threshold), -1, labels))
    return labels


def duplicates(labels: np.ndarray, evidence: Evidence, threshold: float) -> np.ndarray:
    """Drops faces that are nearly the same image as an earlier one of their cluster."""
    graph = evidence.links
    rows, columns = np.nonzero(graph.valid & (graph.similarities >= threshold))
    others = graph.neighbors[rows, columns]
    same = (labels[rows] >= 0) & (labels[rows] == labels[others])
    group = components(len(labels), rows[same], others[same])
    first = np.unique(group, return_index=True)[1]
    return consecutive(np.where(first[group] == np.arange(len(labels)), labels, -1))


def max_size(labels: np.ndarray, evidence: Evidence, threshold: int) -> np.ndarray:
    """Drops clusters of more faces, as mixtures."""
    return _of_size(labels, 1, threshold)


def min_size(labels: np.ndarray, evidence: Evidence, threshold: int) -> np.ndarray:
    """Drops clusters of fewer faces."""
    return _of_size(labels, threshold, len(labels))


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
        before, labels = labels, rule.function(labels, evidence, rule.threshold)
        records.append(record(rule.name, rule.why, before, labels, truth))
    return labels, records


def record(name: str, why: str, before: np.ndarray, after: np.ndarray, truth: np.ndarray | None) -> dict[str, Any]:
    """What a rule did: ``rule``, ``why``, ``kept`` and ``dropped`` faces, ``clusters`` before and after.

    With `truth` also ``purity``, ``pairwise_f`` and ``bcubed_f`` over the faces that had and have a cluster.
    """
    kept, had = after >= 0, before >= 0
    found: dict[str, Any] = {
        "rule": name,
        "why": why,
        "kept": int(kept.sum()),
        "dropped": int((had & ~kept).sum()),
        "clusters": [int(labels.max(initial=-1)) + 1 for labels in (before, after)],
    }
    if truth is not None:
        figures = [_figures(truth, labels) for labels in (before, after)]
        found |= {name: [each.get(name) for each in figures] for name in ("purity", "pairwise_f", "bcubed_f")}
    return found


def modes(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Float32 [n]: each face's cosine with where its cluster's other faces are densest.

    The mean of all is moved: again and again a face weighs as much as it is nearer to it than the cluster's faces are
    on average, and those that are farther weigh nothing. In a mixture of two identities it settles in one.

    Args:
        embeddings: float32 [n, d].
        labels: int64 [n], consecutive from 0; -1 for unassigned.
    """
    assigned = labels >= 0
    rows, sizes = labels[assigned], np.bincount(labels[assigned])
    weights = assigned.astype(np.float32)
    for _ in range(STEPS):
        cosines = belonging(embeddings, labels, weights)[assigned]
        mean = np.bincount(rows, cosines) / sizes
        nearer = np.maximum(cosines - mean[rows], 0)
        weights[assigned] = np.where((np.bincount(rows, nearer) > 0)[rows], nearer, 1)
    return belonging(embeddings, labels, weights)


def _twins(graph: KnnGraph, labels: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of clusters to be joined, the lower number first."""
    found, tightness, sizes = centres(graph.embeddings, labels)
    several = np.flatnonzero(sizes > 1)
    other, cosine = np.full(len(found), -1), np.zeros(len(found))
    if len(several) > 1:
        near, cosines = nearest(found[several], found[several], 2)
        column = (near[:, 0] == np.arange(len(several))).astype(np.int64)  # the first that is not the cluster itself
        other[several] = several[near[np.arange(len(several)), column]]
        cosine[several] = cosines[np.arange(len(several)), column]
    left = several[other[several] > several]
    left = left[other[other[left]] == left]
    right = other[left]
    alike = cosine[left] * np.minimum(tightness[left], tightness[right]) >= threshold
    left, right = left[alike], right[alike]
    joined = linked(graph, labels, left, right)
    return left[joined], right[joined]


def _apart(graph: KnnGraph, labels: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Bool [clusters + 1]: whether its `far` faces, two at least, are others than the rest of it; the last is False."""
    count = int(labels.max(initial=-1)) + 1
    parts = np.where(far, labels + count, labels)
    sizes = np.bincount(parts[parts >= 0], minlength=2 * count)
    possible = np.flatnonzero((sizes[count:] > 1) & (sizes[:count] > 0))
    found = np.zeros(count + 1, dtype=bool)
    found[possible] = ~linked(graph, parts, possible, possible + count)
    return found


def linked(graph: KnnGraph, labels: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Bool [pairs]: whether two clusters' faces are each other's neighbours about as often as by chance.

    Of the edges of the graph among the faces of both, the share that leads from one to the other is compared with what
    it would be if neighbours were drawn from both alike; `LINKED` of that suffices. A face's first `LINKS` neighbours
    count, and of n + m faces no more than n + m - 1: as many as there would be if both were one.
    """
    count = int(labels.max(initial=-1)) + 1
    member = np.full(count + 1, -1)
    member[left], member[right] = np.arange(len(left)), np.arange(len(left))
    sizes = np.bincount(labels[labels >= 0], minlength=count)
    n, m = sizes[left], sizes[right]
    near = graph.narrowed(LINKS).neighbors
    place = np.arange(near.shape[1])
    across, within = np.zeros(len(left)), np.zeros(len(left))
    rows = np.flatnonzero(member[labels] >= 0)
    for start in range(0, len(rows), 65_536):
        some = rows[start : start + 65_536]
        pair, own = member[labels[some]][:, None], labels[some][:, None]
        other = np.where(near[some] >= 0, labels[near[some]], -1)
        together = (member[other] == pair) & (other >= 0) & (place < (n + m - 1)[pair])
        across += np.bincount(pair[:, 0], (together & (other != own)).sum(axis=1), len(left))
        within += np.bincount(pair[:, 0], (together & (other == own)).sum(axis=1), len(left))
    expected = 2 * n * m / ((n + m) * np.maximum(n + m - 1, 1))
    share = across / np.maximum(across + within, 1)
    return np.asarray(share >= LINKED * expected) & (across > 0)


def _of_size(labels: np.ndarray, low: int, high: int) -> np.ndarray:
    sizes = np.bincount(labels[labels >= 0], minlength=1)[labels]
    return consecutive(np.where((labels >= 0) & (sizes >= low) & (sizes <= high), labels, -1))


def _figures(truth: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """`scores` of the faces that have a cluster; nothing if none of them is of known identity."""
    kept = (labels >= 0) & (truth >= 0)
    return scores(truth[kept], labels[kept]) if kept.any() else {}
