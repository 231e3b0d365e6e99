"""The command ``pseudolabel``: clusters to what retraining reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clustering import decisions as reviewed
from clustering import rules as r
from clustering.base import check_choice, check_number, check_whole, consecutive, load_confidence
from clustering.centres import Likeness, belonging
from clustering.cluster import graph_of
from clustering.knn import KnnGraph
from clustering.overlap import Overlap, find
from clustering.rules import LINKS, Evidence, PseudoLabelRule, apply, record
from facerec.artifacts import EmbeddingSet, InputError, load_embeddings, load_labels, write_json
from facerec.stages import stage

QUANTILES = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)
SIMILARITY_RULES = {"split": r.split, "merge": r.merge, "outliers": r.outliers}
MERGE_RATE = 0.2
MOST_LOST, MOST_LOST_OF_CLUSTERS = 0.3, 0.5
ACTIONS = ("drop", "merge", "keep")


@stage("clustering pseudolabel")
def pseudolabel(
    clusters: Path,
    out: Path,
    min_size: int = 2,
    max_size: int | None = None,
    min_confidence: float = 0.0,
    embeddings: Path | None = None,
    knn: Path | None = None,
    rules: list[str] | None = None,
    false_match: float = 0.05,
    calibration: Path | None = None,
    duplicates: float | None = None,
    labelled: Path | None = None,
    overlap: str = "drop",
    overlap_false_match: float = 0.01,
    decisions: Path | None = None,
    truth: Path | None = None,
) -> Mapping[str, Any]:
    """Makes pseudo-labels of clusters: mends them, drops what is doubtful, numbers the rest from 0.

    Args:
        clusters: Folder made by cluster, or a .npy file of labels.
        out: Folder to make: labels.npy (-1 = not used), weights.npy, same_as.npy (with --overlap merge), summary.json.
        min_size: Faces that a cluster must have to be used.
        max_size: Faces that a cluster may have at most; larger ones are dropped as mixtures.
        min_confidence: Faces of which the backend is less sure are dropped.
        embeddings: The embeddings that were clustered; with them clusters are mended by the rules below.
        knn: Folder made by knn from the same embeddings; without it the graph is built here.
        rules: Those of split, merge, outliers that are wanted; all with embeddings, none without.
        false_match: How many of the faces may be as near to another identity's centre as the rules ask of members; more
            if this would cost 30 % of the right faces of the calibration, or half of the clusters' without one.
        calibration: Labelled faces on which that is measured (embeddings with labels.npy), best of people whom the
            recogniser has not seen; without them it is estimated from the clusters.
        duplicates: Of faces of a cluster that reach this cosine with each other only the first is kept.
        labelled: Embeddings with labels.npy of the labelled faces, by the same recogniser: unlabelled faces of the
            same people are looked for.
        overlap: What becomes of them: drop; merge (into the labelled class, see same_as.npy); or keep.
        overlap_false_match: How many of other people's faces may be taken for a labelled person's; measured on the
            calibration, of whom then none may be labelled, or among the labelled people themselves.
        decisions: decisions.json of review, about exactly these clusters; they are carried out before all rules, and
            clusters that were kept stay as they are, with weight 1.
        truth: True identities, for the report alone: what each rule did to purity.
    """
    check_whole("min_size", min_size, 1)
    for name, value, low, high in [
        ("max_size", max_size, min_size, np.inf),
        ("min_confidence", min_confidence, 0, 1),
        ("false_match", false_match, 0, 1),
        ("overlap_false_match", overlap_false_match, 0, 1),
        ("duplicates", duplicates, -1, 1),
    ]:
        if value is not None:
            check_number(name, value, low, high)
    check_choice("overlap", overlap, ACTIONS)
    needy = {"--knn": knn, "--calibration": calibration, "--duplicates": duplicates, "--labelled": labelled}
    wanted = _wanted(rules, embeddings, [option for option, value in needy.items() if value is not None])
    found, certain = _reviewed(load_labels(clusters), decisions)
    evidence = Evidence(_confidence(clusters, len(found)), _graph(embeddings, knn, len(found), out))
    identities = None if truth is None else load_labels(truth, len(found))
    people = None if calibration is None else load_embeddings(calibration)
    likeness = _likeness(evidence.links, found, people) if wanted else None
    most_lost = MOST_LOST if calibration is not None else MOST_LOST_OF_CLUSTERS
    mending = _mending(wanted, likeness, false_match, _several(found), most_lost)
    first = [PseudoLabelRule(r.confident, min_confidence)] if min_confidence > 0 else []
    labels, records = apply([*first, *mending], found, evidence, identities)
    labels = consecutive(np.where(certain, labels.max() + 1 + found, labels))
    matched = None
    if labelled is not None:
        others = None if calibration == labelled else people
        matched = find(evidence.links.embeddings, labels, load_embeddings(labelled), overlap_false_match, others)
        labels, more = _without(matched, labels, overlap, identities)
        records.append(more)
    last = [(r.duplicates, duplicates), (r.max_size, max_size), (r.min_size, min_size)]
    final = [PseudoLabelRule(rule, value) for rule, value in last if value is not None]
    labels, more_records = apply(final, labels, evidence, identities)
    labels, same_as = _joined(labels, matched.person if matched is not None and overlap == "merge" else None)
    summary = _summary(found, labels, min_size, records + more_records)
    if not summary["used"]:
        raise InputError(
            f"{clusters}: no cluster of at least {min_size} faces (largest {_largest(found)}"
            f"{' before the rules' if records else ''}); lower --min-size or cluster with other settings"
        )
    weights, source = _weights(evidence, found, labels, likeness)
    weights = np.where(labels < 0, 0, np.where(certain | (same_as[labels] >= 0), 1, weights))
    np.save(out / "labels.npy", labels, allow_pickle=False)
    np.save(out / "weights.npy", weights.astype(np.float32), allow_pickle=False)
    if matched is not None and overlap == "merge":
        np.save(out / "same_as.npy", same_as, allow_pickle=False)
    summary |= {"weights": source, "overlap": None if matched is None else {"action": overlap, **matched.summary()}}
    write_json(out / "summary.json", summary)
    return summary


def _reviewed(labels: np.ndarray, decisions: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Labels after a person's decisions, consecutive; and bool [n]: faces of clusters that they kept."""
    if decisions is None:
        return consecutive(labels), np.zeros(len(labels), dtype=bool)
    chosen = reviewed.load_decisions(decisions, labels)
    return consecutive(reviewed.apply(labels, chosen)), reviewed.kept(labels, chosen)


def _wanted(rules: Sequence[str] | None, embeddings: Path | None, options: Sequence[str]) -> list[str]:
    """The rules on embeddings that are to be used, in their order.

    Raises:
        InputError: An unknown rule; or no embeddings, and rules or options that need them.
    """
    for rule in rules or []:
        check_choice("a rule", rule, list(SIMILARITY_RULES))
    needy = [*(rules or []), *options]
    if embeddings is None and needy:
        raise InputError(f"{', '.join(needy)}: nothing to measure on; give the faces' embeddings with --embeddings")
    asked = SIMILARITY_RULES if rules is None and embeddings is not None else rules or []
    return [rule for rule in SIMILARITY_RULES if rule in asked]


def _graph(embeddings: Path | None, knn: Path | None, rows: int, out: Path) -> KnnGraph | None:
    if embeddings is None:
        return None
    return graph_of(load_embeddings(embeddings, rows=rows), knn, LINKS, out)


def _likeness(graph: KnnGraph, found: np.ndarray, faces: EmbeddingSet | None) -> Likeness:
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


def _mending(
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


def _without(
    matched: Overlap, labels: np.ndarray, action: str, truth: np.ndarray | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Labels without the faces of labelled people, unless they are kept; and the record of it."""
    after = labels if action == "keep" else consecutive(np.where(matched.person >= 0, -1, labels))
    what = {"drop": "drops", "merge": "moves to the labelled class", "keep": "keeps"}[action]
    why = f"{what} faces of labelled people (score from {matched.threshold:.3f} on)"
    return after, record("overlap", why, labels, after, truth)


def _joined(labels: np.ndarray, person: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Labels with a class more for every labelled person found; and int64 [classes]: that person's label, or -1."""
    count = int(labels.max(initial=-1)) + 1
    if person is None:
        return labels, np.full(count, -1, dtype=np.int64)
    people, number = np.unique(person[person >= 0], return_inverse=True)
    labels = labels.copy()
    labels[person >= 0] = count + number
    return labels, np.concatenate([np.full(count, -1), people]).astype(np.int64)


def _weights(
    evidence: Evidence, found: np.ndarray, labels: np.ndarray, likeness: Likeness | None
) -> tuple[np.ndarray, str]:
    """The backend's confidence; if it has none, the probability that a face's cosine is one with its own identity."""
    if likeness is None or np.any(evidence.confidence[found >= 0] != 1):
        return evidence.confidence, "confidence"
    weights, used = np.zeros(len(labels), dtype=np.float32), labels >= 0
    weights[used] = likeness.probability(belonging(evidence.links.embeddings, labels)[used])
    return weights, "similarity"


def _summary(found: np.ndarray, labels: np.ndarray, min_size: int, records: list[dict[str, Any]]) -> dict[str, Any]:
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


def _confidence(clusters: Path, rows: int) -> np.ndarray:
    """The backend's confidence if there is one, else ones."""
    confidence = load_confidence(clusters, rows)
    return np.ones(rows, dtype=np.float32) if confidence is None else confidence


def _several(found: np.ndarray) -> int:
    """The number of clusters of two faces or more."""
    return int(np.count_nonzero(np.bincount(found[found >= 0], minlength=1) > 1))


def _largest(found: np.ndarray) -> int:
    return int(np.bincount(found[found >= 0], minlength=1).max())
