"""The command ``cut``: a clustering of one level of a hierarchy."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clustering.answers.file import ANSWERS
from clustering.backends.model_confidence import confidence_by_model
from clustering.hierarchy import Hierarchy
from clustering.partition import load_confidence, own_cluster_size
from clustering.similarity.same_faces import FILE, check_faces
from facerec.pipeline.counts import told
from facerec.pipeline.embeddings import Unreadable, load_embeddings, save_names
from facerec.pipeline.files import InputError
from facerec.pipeline.label_files import keys_beside
from facerec.pipeline.stage import stage


@stage(
    "clustering cut",
    found=told("{faces:face} in {clusters:cluster} on level {level}"),
    then="python -m clustering pseudolabel --clusters {out} --embeddings {embeddings} --out PSEUDO_LABELS",
)
def cut(
    clusters: Path,
    level: int,
    out: Path,
    embeddings: Path | None = None,
    knn: Path | None = None,
    unreadable: Unreadable = "refuse",
) -> Mapping[str, Any]:
    """Makes a clustering of one level of a hierarchy.

    Faces keep the confidence that they have in the whole clustering; a face alone on this level has 1. With
    --embeddings the confidence is estimated for this level, by the function in the clustering's config.yaml.

    Args:
        clusters: Folder made by cluster with a hierarchical backend.
        level: Number of the level, 0 is the finest.
        out: Folder to make: labels.npy, confidence.npy, cosines.npy.
        embeddings: What was clustered: embedding folder, or a file of embeddings, see knn. With them the confidence
            is estimated for this level; only hilander and lander can.
        knn: Graph of the embeddings, a folder made by knn; without it the graph is built here.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    if knn is not None and embeddings is None:
        raise InputError("--knn without --embeddings; give both, or neither")
    labels = Hierarchy.load(clusters).cut(level)
    if embeddings is None:
        confidence = _carried(clusters, labels)
    else:
        faces = load_embeddings(embeddings, rows=len(labels), unreadable=unreadable)
        check_faces(clusters, labels, faces)
        confidence = confidence_by_model(clusters, labels, faces, knn, out)
    save_names(out, keys_beside(clusters, len(labels)), labels)
    np.save(out / "confidence.npy", confidence.astype(np.float32), allow_pickle=False)
    for name in (FILE, ANSWERS):
        if (clusters / name).is_file():
            shutil.copyfile(clusters / name, out / name)
    return {"level": level, "faces": len(labels), "clusters": int(labels.max()) + 1}


def _carried(clusters: Path, labels: np.ndarray) -> np.ndarray:
    confidence = load_confidence(clusters, len(labels))
    if confidence is None:
        raise InputError(
            f"{clusters / 'confidence.npy'}: no such file; give --embeddings to estimate it, or cluster again"
        )
    return np.where(own_cluster_size(labels) == 1, 1, np.where(labels < 0, 0, confidence))
