"""The command ``pseudolabel``: clusters to what retraining reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clustering.graph.build import graph_of
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive, load_confidence
from clustering.pseudolabels import rules as r
from clustering.pseudolabels.labelled_people import find
from clustering.pseudolabels.maker import (
    MOST_LOST,
    MOST_LOST_OF_CLUSTERS,
    SIMILARITY_RULES,
    clusters_of_several,
    largest_cluster,
    likeness_of,
    mending_rules,
    summarise,
    weights_of,
    with_labelled_people,
    without_labelled_people,
)
from clustering.pseudolabels.rules import LINKS, Evidence, PseudoLabelRule, apply
from clustering.review import decisions as reviewed
from clustering.settings import check_choice, check_number, check_whole
from facerec.pipeline.embeddings import load_embeddings
from facerec.pipeline.files import InputError, load_labels, write_json
from facerec.pipeline.stage import stage

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
    likeness = likeness_of(evidence.links, found, people) if wanted else None
    most_lost = MOST_LOST if calibration is not None else MOST_LOST_OF_CLUSTERS
    mending = mending_rules(wanted, likeness, false_match, clusters_of_several(found), most_lost)
    first = [PseudoLabelRule(r.confident, min_confidence)] if min_confidence > 0 else []
    labels, records = apply([*first, *mending], found, evidence, identities)
    labels = consecutive(np.where(certain, labels.max() + 1 + found, labels))
    matched = None
    if labelled is not None:
        others = None if calibration == labelled else people
        matched = find(evidence.links.embeddings, labels, load_embeddings(labelled), overlap_false_match, others)
        labels, more = without_labelled_people(matched, labels, overlap, identities)
        records.append(more)
    last = [(r.duplicates, duplicates), (r.max_size, max_size), (r.min_size, min_size)]
    final = [PseudoLabelRule(rule, value) for rule, value in last if value is not None]
    labels, more_records = apply(final, labels, evidence, identities)
    labels, same_as = with_labelled_people(
        labels, matched.person if matched is not None and overlap == "merge" else None
    )
    summary = summarise(found, labels, min_size, records + more_records)
    if not summary["used"]:
        raise InputError(
            f"{clusters}: no cluster of at least {min_size} faces (largest {largest_cluster(found)}"
            f"{' before the rules' if records else ''}); lower --min-size or cluster with other settings"
        )
    weights, source = weights_of(evidence, found, labels, likeness)
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


def _confidence(clusters: Path, rows: int) -> np.ndarray:
    """The backend's confidence if there is one, else ones."""
    confidence = load_confidence(clusters, rows)
    return np.ones(rows, dtype=np.float32) if confidence is None else confidence
