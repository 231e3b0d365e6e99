"""The command ``pseudolabel``: clusters to what retraining reads."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clustering.graph.build import graph_of
from clustering.graph.copies import COPY, Copies
from clustering.partition import consecutive, load_confidence, own_cluster_size
from clustering.pseudolabels.links import LINKS
from clustering.pseudolabels.pseudo_labeller import PseudoLabeller
from clustering.review.decisions import apply_decisions, kept_faces, load_decisions
from clustering.similarity.same_faces import check_faces, check_recogniser
from facerec.pipeline.counts import told
from facerec.pipeline.embeddings import Unreadable, load_embeddings
from facerec.pipeline.files import InputError, load_labels, refuse_other_order, write_json, write_lines
from facerec.pipeline.options import flattened
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
        decisions: decisions.json of review, about exactly these clusters. They are carried out before all rules.
            Clusters that were kept weigh 1, and --min-confidence and --rules leave them as they are.
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
        clusters: Folder made by cluster, or a .npy file of labels.
        out: Folder to make: labels.npy (-1 = not used), weights.npy, keys.txt where the embeddings have one,
            same_as.npy and same_as_keys.txt (with --overlap merge), summary.json.
        labeller: See `PseudoLabeller`.
        files: See `Files`.
    """
    _check_embeddings(labeller, files)
    labels, kept = load_labels(clusters), None
    confidence = load_confidence(clusters, len(labels))
    faces = None if files.embeddings is None else load_embeddings(files.embeddings, None, len(labels), files.unreadable)
    if faces is not None:
        check_faces(clusters, labels, faces)
    if files.decisions is not None:
        decisions = load_decisions(files.decisions, labels)
        labels, kept = apply_decisions(labels, decisions), kept_faces(labels, decisions)
    graph = copies = None
    if faces is not None:
        graph = graph_of(faces, files.knn, LINKS.neighbors, out)
        copies = Copies.of(graph)
        if copies.count and labeller.duplicates is None:
            logger.info("%s; --duplicates %s keeps one of each", copies.say(), COPY)
    truth = None if files.truth is None else load_labels(files.truth, len(labels))
    if files.truth is not None:
        refuse_other_order(files.truth, clusters)
        if faces is not None:
            refuse_other_order(files.truth, faces.path, faces.keys)
    people = {
        path: load_embeddings(path, unreadable=files.unreadable)
        for path in (files.calibration, files.labelled)
        if path is not None
    }
    if faces is not None:
        for known in people.values():
            check_recogniser(faces, known)
    calibration, labelled = (None if x is None else people[x] for x in (files.calibration, files.labelled))
    y, w = labeller.fit_transform(graph, labels, confidence, calibration, labelled, kept, truth)
    if not labeller.summary_["used"]:
        largest = own_cluster_size(consecutive(labels)).max()
        raise InputError(
            f"{clusters}: no cluster of at least {labeller.min_size} faces is left; the largest had {largest}; "
            f"lower --min-size or cluster with other settings"
        )
    np.save(out / "labels.npy", y, allow_pickle=False)
    np.save(out / "weights.npy", w, allow_pickle=False)
    if faces is not None and faces.keys is not None:
        write_lines(out / "keys.txt", faces.keys)
    if labelled is not None and labeller.overlap == "merge":
        np.save(out / "same_as.npy", labeller.same_as_, allow_pickle=False)
        if labelled.keys is not None and labelled.labels is not None:
            named = _one_face_each(labelled.keys, labelled.labels, labeller.same_as_)
            write_lines(out / "same_as_keys.txt", named)
    summary = labeller.summary_ | ({} if copies is None else {"copies": copies.count})
    write_json(out / "summary.json", summary)
    return summary


def _one_face_each(keys: Sequence[str], labels: np.ndarray, people: np.ndarray) -> list[str]:
    """The key of a face of each labelled person, nothing for nobody (-1): by it, train knows whom a number means."""
    numbers, first = np.unique(labels, return_index=True)
    rows = first[np.searchsorted(numbers, np.maximum(people, numbers[0]))].tolist()
    return ["" if person < 0 else keys[row] for person, row in zip(people.tolist(), rows, strict=True)]


def _check_embeddings(labeller: PseudoLabeller, files: Files) -> None:
    """Refuses options that need embeddings, without embeddings."""
    options = {"--knn": files.knn, "--calibration": files.calibration, "--duplicates": labeller.duplicates,
               "--labelled": files.labelled}  # fmt: skip
    needy = [*(labeller.rules or []), *(option for option, value in options.items() if value is not None)]
    if files.embeddings is None and needy:
        raise InputError(f"{', '.join(needy)}: nothing to measure on; give the faces' embeddings with --embeddings")
