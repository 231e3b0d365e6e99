"""The command ``review``: clusters to a page on which a person decides about them."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clustering.answers.file import UNSURE, WORDS, answers_of, as_items
from clustering.backends.model_confidence import own_or_estimated
from clustering.graph.knn_graph import KnnGraph
from clustering.hierarchy import Hierarchy
from clustering.review.page import LARGEST, Frame, write_page
from clustering.similarity.same_faces import check_faces
from facerec.pipeline.counts import told
from facerec.pipeline.embeddings import EmbeddingSet, Unreadable, load_embeddings
from facerec.pipeline.files import InputError
from facerec.pipeline.label_files import load_labels
from facerec.pipeline.stage import stage
from facerec.pipeline.thumbnails import thumbnails_of

logger = logging.getLogger(__name__)


@stage(
    "clustering review",
    found=told("{clusters:cluster} of {faces:face} to look through"),
    then=(
        "open {out}/review.html, then "
        "python -m clustering pseudolabel --clusters {clusters} --decisions decisions.json --out PSEUDO"
    ),
)
def review(
    clusters: Path,
    embeddings: Path,
    thumbnails: Path,
    out: Path,
    hierarchy: Path | None = None,
    knn: Path | None = None,
    title: str = "Cluster review",
    unreadable: Unreadable = "refuse",
) -> Mapping[str, Any]:
    """Writes a page to look through clusters, keep, split, merge and drop them: open OUT/review.html in a browser.

    What it saves, decisions.json, is applied by `pseudolabel --decisions` and `export --decisions`.

    Args:
        clusters: Folder made by cluster or cut, or a file of labels.
        embeddings: What was clustered: embedding folder, or a file of embeddings, see knn.
        thumbnails: Folder made by python -m facerec thumbnails from the same faces.
        out: Folder to make: review.html and what it shows.
        hierarchy: Folder made by cluster with a hierarchical backend, of which the clusters are a level. Without it
            the clusters' own levels are shown, if there are any.
        knn: Graph of the embeddings, a folder made by knn; without it the graph is built here. It serves to estimate a
            confidence if the backend has none.
        title: The page's heading.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    labels = load_labels(clusters)
    faces = load_embeddings(embeddings, rows=len(labels), unreadable=unreadable)
    pictures = thumbnails_of(thumbnails, faces)
    if knn is not None:
        KnnGraph.load(knn, faces.embeddings)  # refuses a wrong one, even if the confidence needs none
    if labels.max() < 0:
        raise InputError(f"{clusters}: every face is unassigned (-1); there is no cluster to review")
    if labels.max() >= LARGEST:
        raise InputError(f"{clusters}: cluster {labels.max()}; number clusters from 0, below 2^30")
    check_faces(clusters, labels, faces)
    levels = _levels(clusters, hierarchy, labels)
    if hierarchy is not None:
        check_faces(hierarchy, levels[0], faces)
    confidence = own_or_estimated(clusters, labels, faces, knn, out)
    frame = Frame(title, _commands(clusters, embeddings), earlier=_earlier(clusters, faces))
    found = write_page(out, frame, faces.embeddings, labels, confidence, levels, pictures)
    return {"clusters": len(found.names), "faces": len(found.rows), "levels": len(levels)}


def _earlier(clusters: Path, faces: EmbeddingSet) -> list[dict[str, Any]]:
    """The answers that the clusters were made with, without those that are unsure."""
    found = as_items(answers_of(clusters, len(faces), faces.keys), None)
    return [{"faces": item["faces"], "answer": item["answer"]} for item in found if item["answer"] != WORDS[UNSURE]]


def _commands(clusters: Path, embeddings: Path) -> list[str]:
    """The commands that use decisions about these clusters."""
    made = {"pseudolabel": ["--out", "pseudo"], "export": ["--as", "csv", "--out", "named"]}
    inputs = ["--clusters", str(clusters), "--embeddings", str(embeddings), "--decisions", "decisions.json"]
    return [shlex.join(["python", "-m", "clustering", name, *inputs, *rest]) for name, rest in made.items()]


def _levels(clusters: Path, hierarchy: Path | None, labels: np.ndarray) -> list[np.ndarray]:
    """The labels of each level, finest first; none if there is no hierarchy."""
    if hierarchy is None and not (clusters / "levels").is_dir():
        return []
    found = Hierarchy.load(hierarchy or clusters)
    levels = [np.asarray(level["labels"]) for level in found.levels]
    if len(levels[0]) != len(labels):
        raise InputError(f"{hierarchy}: a hierarchy of {len(levels[0])} faces, but {len(labels)} in {clusters}")
    if hierarchy is not None and not found.has(labels):
        logger.warning("%s: no level of %s; is this hierarchy of the same faces?", clusters, hierarchy)
    return levels
