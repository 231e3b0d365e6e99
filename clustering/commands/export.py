"""The command ``export``: clusters as people, in folders and tables."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clustering.backends.model_confidence import own_or_estimated
from clustering.backends.registry import load_clusterer
from clustering.partition import load_confidence
from clustering.people.export import Pictures, photographs_of, put_pictures
from clustering.people.owners import Earlier, People
from clustering.people.tables import CHANGES, Export, read_earlier
from clustering.review.decision_files import load_decisions
from clustering.review.decisions import apply_decisions, kept_faces, names_of, split_faces
from clustering.settings import check_number
from clustering.similarity.same_faces import check_faces
from facerec.pipeline.counts import told
from facerec.pipeline.embeddings import Unreadable, load_embeddings
from facerec.pipeline.files import InputError, write_table
from facerec.pipeline.label_files import keys_beside, load_labels
from facerec.pipeline.options import flattened
from facerec.pipeline.stage import stage
from facerec.pipeline.values import refuse_repeated, whole

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Doubt:
    """Which faces are set apart.

    Attributes:
        min_confidence: A face of lower confidence is doubtful, and goes into the folder doubtful.
        min_size: Least faces of a cluster that is a person; faces of smaller ones are nobody's.
    """

    min_confidence: float = 0.5
    min_size: int = 2

    def __post_init__(self) -> None:
        check_number("min_confidence", self.min_confidence, 0, 1)
        whole("min_size", self.min_size, 1)


def _found(results: Mapping[str, Any]) -> str:
    text = "{people:person} ({named:,} with a name) of {faces:face}; {doubtful:,} doubtful, {nobody:,} nobody's"
    text += "; {changes:,} with another owner, see changes.csv" if results.get("changes") else ""
    text += "; {missing:picture} not there or not readable" if results["missing"] else ""
    return told(text)(results)


@stage(
    "clustering export",
    found=_found,
    then="for names: python -m clustering review, then export with --decisions decisions.json --previous {out}",
)
@flattened
def export(
    out: Path,
    pictures: Pictures,
    doubt: Doubt,
    clusters: Path | None = None,
    embeddings: Path | None = None,
    decisions: Path | None = None,
    previous: Path | None = None,
    unreadable: Unreadable = "refuse",
) -> Mapping[str, Any]:
    """Makes people of clusters: folders of their pictures, or tables.

    OUT has ``faces.csv`` (key, person, cluster, confidence, doubtful, file, photograph) and ``people.csv``, whatever
    else is asked for.

    Args:
        out: Folder to make: people/NAME, doubtful/NAME and nobody with the pictures; faces.csv, people.csv,
            changes.csv (with --previous).
        pictures: See `Pictures`.
        doubt: See `Doubt`.
        clusters: Folder made by cluster, or a file of labels. Without it the packaged Hi-LANDER clusters the
            embeddings first.
        embeddings: The embeddings that were clustered. Their keys.txt names the faces if the clusters have none. They
            also serve to estimate a confidence if the backend has none.
        decisions: decisions.json of review, about exactly these clusters. Names, merges, splits and all others are
            applied. Faces of clusters that were kept, and of parts that were split off, are not doubtful.
        previous: Folder made by an earlier export. Its names go to the clusters that have most of the same faces.
            changes.csv lists each face that has another owner since.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    pictures.check(out)
    if clusters is None:
        labels, keys, confidence = _clustered(embeddings, unreadable)
    else:
        labels, keys, confidence = _read(clusters, embeddings, out, unreadable)
    refuse_repeated(embeddings or clusters, keys)
    names: dict[int, str] = {}
    if decisions is not None:
        made = load_decisions(decisions, labels, keys)
        confidence = np.where(kept_faces(labels, made) | split_faces(labels, made), 1, confidence)
        names, labels = names_of(made), apply_decisions(labels, made)
    earlier = None if previous is None else read_earlier(previous)
    if earlier is not None:
        names = earlier.carried(keys, labels, names)
    people = People.of(labels, names, doubt.min_size)
    doubtful = (confidence < doubt.min_confidence) & (people.person >= 0)
    found = Export(keys, labels, people, confidence, doubtful, photographs_of(pictures, keys))
    files, missing = put_pictures(found, pictures, out)
    found.write(out, files)
    results = {
        "faces": len(keys), "people": len(people.names), "named": int(people.given.sum()),
        "doubtful": int(doubtful.sum()), "nobody": int((people.person < 0).sum()), "missing": missing,
    }  # fmt: skip
    return results | ({} if earlier is None else _changes(earlier, keys, people, out))


def _clustered(embeddings: Path | None, unreadable: Unreadable) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Labels, keys and confidence by the packaged Hi-LANDER."""
    if embeddings is None:
        raise InputError("--clusters or --embeddings: give one of them, or both")
    faces = load_embeddings(embeddings, unreadable=unreadable)
    if faces.keys is None:
        raise InputError(f"{embeddings}: no keys.txt with the faces' names; give a folder made by facerec embed")
    clusterer = load_clusterer("hilander").fit(faces.embeddings)
    return clusterer.labels_, faces.keys, clusterer.confidence_


def _read(
    clusters: Path, embeddings: Path | None, out: Path, unreadable: Unreadable
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Labels, keys and confidence."""
    labels = load_labels(clusters)
    confidence, keys = load_confidence(clusters, len(labels)), None
    if embeddings is not None:
        faces = load_embeddings(embeddings, rows=len(labels), unreadable=unreadable)
        check_faces(clusters, labels, faces)
        keys, confidence = faces.keys, own_or_estimated(clusters, labels, faces, None, out)
    keys = keys_beside(clusters, len(labels)) if keys is None else keys
    if keys is None:
        raise InputError(f"{clusters}: no keys.txt with the faces' names; give the --embeddings that have one")
    if embeddings is None and (confidence is None or np.all(confidence[labels >= 0] == 1)):
        logger.warning("%s: no confidence of its own, so no face is doubtful; --embeddings estimates it", clusters)
    return labels, keys, np.ones(len(labels), np.float32) if confidence is None else confidence


def _changes(earlier: Earlier, keys: list[str], people: People, out: Path) -> dict[str, Any]:
    rows, lost = earlier.changes(keys, people), earlier.lost(people)
    write_table(out / CHANGES, ("key", "before", "after"), rows)
    if lost:
        logger.warning("%d name(s) of the earlier export have no cluster now: %s", len(lost), ", ".join(lost)[:150])
    return {"changes": len(rows), "lost_names": lost}
