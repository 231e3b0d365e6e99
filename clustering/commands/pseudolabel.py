"""The command ``pseudolabel``: clusters to what retraining reads."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clustering.answers.file import ANSWERS, Answers, folder_of, load_answers
from clustering.graph.build import graph_of
from clustering.graph.constraints import Constraints
from clustering.graph.copies import COPY, Copies
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive, load_confidence, own_cluster_size
from clustering.pseudolabels.links import NEIGHBORS
from clustering.pseudolabels.pseudo_labeller import PseudoLabeller
from clustering.review.decision_files import load_decisions
from clustering.review.decisions import (
    Decisions,
    apply_decisions,
    as_constraints,
    joined_by_name,
    kept_faces,
    split_faces,
)
from clustering.similarity.centres import cosine_to_rest_of_cluster
from clustering.similarity.same_faces import check_faces, say_if_unlike
from facerec.pipeline.counts import counted, told
from facerec.pipeline.embeddings import EmbeddingSet, Unreadable, load_embeddings, save_names
from facerec.pipeline.files import InputError, write_json, write_lines
from facerec.pipeline.label_files import keys_beside, load_labels, refuse_other_order
from facerec.pipeline.options import flattened
from facerec.pipeline.same_recogniser import check_recogniser
from facerec.pipeline.stage import stage

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Files:
    """What is known about the clustered faces.

    Attributes:
        embeddings: The embeddings that were clustered. With them clusters are mended by the rules.
        knn: Folder made by knn from the same embeddings, or learn-to-cluster's .npz; without it the graph is built
            here.
        calibration: Labelled faces on which the thresholds of the rules are measured (embeddings with labels.npy),
            best of people whom the recogniser has not seen. Without them thresholds are estimated from the clusters.
        labelled: Embeddings with labels.npy of the labelled faces, by the same recogniser. Unlabelled faces of the
            same people are looked for.
        decisions: decisions.json of review, about exactly these clusters. They are carried out before all rules, and
            no rule undoes them. Clusters that were kept stay as they are, with weight 1. Clusters of one name become
            one.
        truth: True identities, for the report alone: what each rule did to purity.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """

    embeddings: Path | None = None
    knn: Path | None = None
    calibration: Path | None = None
    labelled: Path | None = None
    decisions: Path | None = None
    truth: Path | None = None
    unreadable: Unreadable = "refuse"


@stage(
    "clustering pseudolabel",
    found=told("{used:,} of {faces:face} have a pseudo-label, of {clusters:cluster}"),
    then="python -m facerec train --faces LABELLED --unlabelled FACES --pseudo-labels {out} --out STUDENT",
)
@flattened
def pseudolabel(clusters: Path, out: Path, labeller: PseudoLabeller, files: Files) -> Mapping[str, Any]:
    """Makes pseudo-labels of clusters: mends them, drops what is doubtful, numbers the rest from 0.

    Args:
        clusters: Folder made by cluster, or a file of labels. No rule undoes the answers that they were made with.
        out: Folder to make: labels.npy (-1 = not used), weights.npy, keys.txt where the embeddings have one,
            same_as.npy and same_as_keys.txt (with --overlap merge), summary.json.
        labeller: See `PseudoLabeller`.
        files: See `Files`.
    """
    _check_embeddings(labeller, files)
    labels = load_labels(clusters)
    confidence = load_confidence(clusters, len(labels))
    sure = confidence is None or bool(np.all(confidence[labels >= 0] == 1))
    _say_without_effect(labeller, files, f"{clusters} has no confidence of its own" if sure else "")
    faces = None
    if files.embeddings is not None:
        faces = load_embeddings(files.embeddings, rows=len(labels), unreadable=files.unreadable)
        check_faces(clusters, labels, faces)
    decisions = Decisions()
    if files.decisions is not None:
        keys = keys_beside(folder_of(clusters), len(labels)) if faces is None or faces.keys is None else faces.keys
        decisions = joined_by_name(load_decisions(files.decisions, labels, keys))
    graph = None if faces is None else graph_of(faces, files.knn, NEIGHBORS, out)
    copies = None if graph is None else Copies.of(graph)
    if copies is not None and copies.count and labeller.duplicates is None:
        logger.info("%s; --duplicates %s keeps one of each", copies.say(), COPY)
    truth, (calibration, labelled) = _truth(files.truth, clusters, len(labels), faces), _people(files, faces)
    decided = apply_decisions(labels, decisions)
    known = _known(clusters, labels, decided)
    if files.decisions is not None:
        known = known.and_these(as_constraints(labels, decisions, _likeness(graph, labels)))
    if confidence is not None:  # that of a part is about the cluster that it was split off
        confidence = np.where(split_faces(labels, decisions), 1, confidence).astype(np.float32)
    y, w = labeller.fit_transform(
        graph, decided, confidence, calibration, labelled,
        kept=kept_faces(labels, decisions), truth=truth, known=known, dropped=(labels >= 0) & (decided < 0),
    )  # fmt: skip
    _refuse_empty(clusters, labeller, decided)
    _tell_decided(labeller.summary_["rules"])
    save_names(out, None if faces is None else faces.keys, y)
    np.save(out / "weights.npy", w, allow_pickle=False)
    if labelled is not None and labeller.overlap == "merge":
        _write_same_as(out, labeller.same_as_, labelled)
    summary = labeller.summary_ | ({} if copies is None else {"copies": copies.count})
    write_json(out / "summary.json", summary)
    return summary


def _truth(file: Path | None, clusters: Path, rows: int, faces: EmbeddingSet | None) -> np.ndarray | None:
    """True identities, int64 [n], of the clustered faces in their order; None without a file."""
    if file is None:
        return None
    truth = load_labels(file, rows)
    refuse_other_order(file, clusters)
    if faces is not None:
        refuse_other_order(file, faces.path, faces.keys)
    return truth


def _people(files: Files, faces: EmbeddingSet | None) -> list[EmbeddingSet | None]:
    """The faces of `calibration` and those of `labelled`; a set that is both is read once."""
    paths = (files.calibration, files.labelled)
    people = {path: load_embeddings(path, unreadable=files.unreadable) for path in paths if path is not None}
    for path, each in people.items():
        if each.labels is not None:
            say_if_unlike(path, each.labels, each)
    if faces is not None:
        for each in people.values():
            check_recogniser(faces, each)
    return [None if path is None else people[path] for path in paths]


def _known(clusters: Path, labels: np.ndarray, decided: np.ndarray) -> Constraints:
    """The answers that the clusters were made with, without those that a later decision takes back.

    Args:
        clusters: The folder of the clustering.
        labels: int64 [n], its clusters.
        decided: int64 [n], the same after all decisions.
    """
    folder = folder_of(clusters)
    file = folder / ANSWERS
    if not file.is_file():
        return Answers.none().constraints(len(labels))
    keys = keys_beside(folder, len(labels))
    known = load_answers(file, len(labels), keys).constraints(len(labels), keys or ())
    before, after = ((one[known.pairs[:, 0]] == one[known.pairs[:, 1]]) == known.same for one in (labels, decided))
    held = after | ~before
    if taken := int(np.count_nonzero(~held & (decided[known.pairs] >= 0).all(axis=1))):
        logger.warning("%s: decisions take back %s", file, counted(taken, "answer"))
    return Constraints(known.rows, known.pairs[held], known.same[held], known.names)


def _likeness(graph: KnnGraph | None, labels: np.ndarray) -> np.ndarray:
    """Float32 [n]: how like a face is to the others of its cluster; without embeddings all are alike."""
    if graph is None:
        return np.zeros(len(labels), np.float32)
    return cosine_to_rest_of_cluster(graph.embeddings, consecutive(labels))


def _refuse_empty(clusters: Path, labeller: PseudoLabeller, decided: np.ndarray) -> None:
    """Refuses a result without any pseudo-label, and says which rule dropped how many faces."""
    if labeller.summary_["used"]:
        return
    largest = own_cluster_size(consecutive(decided)).max()
    dropped = ", ".join(f"{rule} {faces:,}" for rule, faces in labeller.summary_["dropped"].items() if faces)
    raise InputError(
        f"{clusters}: no cluster of at least {labeller.min_size} faces is left; the largest had {largest}; "
        f"faces that were dropped: {dropped}; loosen what drops most (see --help), or cluster with other settings"
    )


def _tell_decided(rules: Sequence[Mapping[str, Any]]) -> None:
    """Says how many faces the rules drop that a person has decided about."""
    dropped = {rule["rule"]: rule["decided"] for rule in rules if rule["decided"]}
    if dropped:
        each = ", ".join(f"{rule} {number:,}" for rule, number in dropped.items())
        faces = counted(sum(dropped.values()), "face")
        logger.warning("%s that a person kept, or answered 'same' about, are dropped by rules: %s", faces, each)


def _write_same_as(out: Path, people: np.ndarray, labelled: EmbeddingSet) -> None:
    """Writes the labelled person of each class, int64 [classes], -1 for nobody, and the key of a face of each.

    By the key train knows whom a number means.
    """
    np.save(out / "same_as.npy", people, allow_pickle=False)
    if labelled.keys is None or labelled.labels is None:
        return
    numbers, first = np.unique(labelled.labels, return_index=True)
    rows: np.ndarray = first[np.searchsorted(numbers, np.maximum(people, numbers[0]))]
    known = zip(people.tolist(), rows.tolist(), strict=True)
    keys = ["" if person < 0 else labelled.keys[row] for person, row in known]
    write_lines(out / "same_as_keys.txt", keys)


def _check_embeddings(labeller: PseudoLabeller, files: Files) -> None:
    """Refuses options that need embeddings, without embeddings."""
    options = {"--knn": files.knn, "--calibration": files.calibration, "--duplicates": labeller.duplicates,
               "--labelled": files.labelled}  # fmt: skip
    needy = [*(labeller.rules or []), *(option for option, value in options.items() if value is not None)]
    if files.embeddings is None and needy:
        raise InputError(f"{', '.join(needy)}: nothing to measure on; give the faces' embeddings with --embeddings")


def _say_without_effect(labeller: PseudoLabeller, files: Files, all_sure: str) -> None:
    """Warns of options that nothing reads; `all_sure` is why no face has a low confidence, or empty."""
    mends = files.embeddings is not None and labeller.rules != []
    unmended = "" if mends else "none of split, merge and outliers is used"
    unlabelled = "" if files.labelled is not None else "there is no --labelled"
    options = [
        ("min_confidence", labeller, all_sure),
        ("false_match", labeller, unmended),
        ("overlap_false_match", labeller, unlabelled),
        ("calibration", files, unmended and unlabelled and f"{unlabelled}, and {unmended}"),
    ]
    for name, given, reason in options:
        if reason and getattr(given, name) != getattr(type(given), name):
            logger.warning("--%s has no effect: %s", name.replace("_", "-"), reason)
