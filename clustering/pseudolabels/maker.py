"""The steps from clusters to pseudo-labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from clustering.pseudolabels import rules as r
from clustering.pseudolabels.labelled_people import Overlap
from clustering.pseudolabels.rules import Evidence, PseudoLabelRule, record
from clustering.similarity.centres import belonging
from clustering.similarity.likeness import Likeness
from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError

QUANTILES = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)
SIMILARITY_RULES = {"split": r.split, "merge": r.merge, "outliers": r.outliers}
MERGE_RATE = 0.2
MOST_LOST, MOST_LOST_OF_CLUSTERS = 0.3, 0.5


def likeness_of(graph: KnnGraph, found: np.ndarray, faces: EmbeddingSet | None) -> Likeness:
    """How alike people are: measured on labelled faces, or estimated from the clusters."""
    if faces is None:
        return Likeness.of_clusters(graph.embeddings, found)
    if faces.labels is None or faces.embeddings.shape[1] != graph.embeddings.shape[1]:
        raise InputError(
            f"{faces.path}: embeddings of length {faces.embeddings.shape[1]} "
            f"{'without' if faces.labels is None else 'with'} labels.npy; "
            f"expected labelled ones of length {graph.embeddings.shape[1]}"
        )
    known = np.where(faces.readable, faces.labels, -1)
    if len(np.unique(known[known >= 0])) < 2:
        raise InputError(f"{faces.path}: fewer than two people; nobody to be mistaken for")
    return Likeness.of_people(faces.embeddings, known).mirrored()


def mending_rules(
    wanted: Sequence[str], likeness: Likeness | None, false_match: float, among: int, most_lost: float
) -> list[PseudoLabelRule]:
    """The rules on embeddings. A wrong join costs whole clusters: it is asked to be rarer by `MERGE_RATE`.

    With a weak recogniser so few false matches would cost most of the right faces; `split` and `outliers` go no
    further than `most_lost` of them.
    """
    if likeness is None:
        return []
    strict = min(likeness.threshold(false_match, among), likeness.losing(most_lost))
    thresholds = {"split": strict, "merge": likeness.threshold(MERGE_RATE * false_match, among), "outliers": strict}
    return [PseudoLabelRule(SIMILARITY_RULES[x], thresholds[x]) for x in wanted]


def without_labelled_people(
    matched: Overlap, labels: np.ndarray, action: str, truth: np.ndarray | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Labels without the faces of labelled people, unless they are kept; and the record of it."""
    after = labels if action == "keep" else consecutive(np.where(matched.person >= 0, -1, labels))
    what = {"drop": "drops", "merge": "moves to the labelled class", "keep": "keeps"}[action]
    why = f"{what} faces of labelled people (score from {matched.threshold:.3f} on)"
    return after, record("overlap", why, labels, after, truth)


def with_labelled_people(labels: np.ndarray, person: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Labels with a class more for every labelled person found; and int64 [classes]: that person's label, or -1."""
    count = int(labels.max(initial=-1)) + 1
    if person is None:
        return labels, np.full(count, -1, dtype=np.int64)
    people, number = np.unique(person[person >= 0], return_inverse=True)
    labels = labels.copy()
    labels[person >= 0] = count + number
    return labels, np.concatenate([np.full(count, -1), people]).astype(np.int64)


def weights_of(
    evidence: Evidence, found: np.ndarray, labels: np.ndarray, likeness: Likeness | None
) -> tuple[np.ndarray, str]:
    """The backend's confidence; if it has none, the probability that a face's cosine is one with its own identity."""
    if likeness is None or np.any(evidence.confidence[found >= 0] != 1):
        return evidence.confidence, "confidence"
    weights, used = np.zeros(len(labels), dtype=np.float32), labels >= 0
    weights[used] = likeness.probability(belonging(evidence.links.embeddings, labels)[used])
    return weights, "similarity"


def summarise(found: np.ndarray, labels: np.ndarray, min_size: int, records: list[dict[str, Any]]) -> dict[str, Any]:
    """What summary.json says of the faces used, their clusters, and what each rule did."""
    used = np.bincount(labels[labels >= 0])
    return {
        "faces": len(found),
        "used": int((labels >= 0).sum()),
        "clusters": len(used),
        "min_size": min_size,
        "sizes": {f"{q:g}": float(np.quantile(used, q)) for q in QUANTILES} if len(used) else {},
        "dropped": {"unassigned": int((found < 0).sum()), **{x["rule"]: x["dropped"] for x in records}},
        "rules": records,
    }


def clusters_of_several(found: np.ndarray) -> int:
    """The number of clusters of two faces or more."""
    return int(np.count_nonzero(np.bincount(found[found >= 0], minlength=1) > 1))


def largest_cluster(found: np.ndarray) -> int:
    """The number of faces of the largest cluster."""
    return int(np.bincount(found[found >= 0], minlength=1).max())
