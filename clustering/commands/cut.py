"""The command ``cut``: a clustering of one level of a hierarchy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clustering.graph.build import graph_of
from clustering.hierarchy import Hierarchy
from clustering.partition import load_confidence
from clustering.similarity.confidence import Confidence
from facerec.pipeline.embeddings import load_embeddings
from facerec.pipeline.files import InputError, read_yaml
from facerec.pipeline.stage import stage


@stage("clustering cut")
def cut(
    clusters: Path, level: int, out: Path, embeddings: Path | None = None, knn: Path | None = None
) -> Mapping[str, Any]:
    """Makes a clustering of one level of a hierarchy.

    Its confidence is that of the whole clustering, and 1 for faces that are alone on this level. With the embeddings it
    is estimated anew, for the clusters of this level, by the function in the clustering's config.yaml.

    Args:
        clusters: Folder made by cluster with a hierarchical backend.
        level: Number of the level, 0 is the finest.
        out: Folder to make: labels.npy, confidence.npy.
        embeddings: What was clustered: folder with embeddings.npy, or such a file.
        knn: Its graph, a folder made by knn; without it the graph is built here.
    """
    labels = Hierarchy.load(clusters).cut(level)
    if embeddings is None:
        confidence = _carried(clusters, labels)
    else:
        confidence = _estimated(clusters, labels, embeddings, knn, out)
    np.save(out / "labels.npy", labels, allow_pickle=False)
    np.save(out / "confidence.npy", confidence.astype(np.float32), allow_pickle=False)
    return {"level": level, "faces": len(labels), "clusters": int(labels.max()) + 1}


def _carried(clusters: Path, labels: np.ndarray) -> np.ndarray:
    confidence = load_confidence(clusters, len(labels))
    if confidence is None:
        raise InputError(
            f"{clusters / 'confidence.npy'}: no such file; give --embeddings to estimate it, or cluster again"
        )
    alone = (labels >= 0) & (np.bincount(labels[labels >= 0], minlength=1)[labels] == 1)
    return np.where(alone, 1, np.where(labels < 0, 0, confidence))


def _estimated(clusters: Path, labels: np.ndarray, embeddings: Path, knn: Path | None, out: Path) -> np.ndarray:
    file = clusters / "config.yaml"
    settings = read_yaml(file)
    if "confidence" not in settings:
        raise InputError(f"{file}: {settings.get('backend')} estimates no confidence; leave --embeddings out")
    function = Confidence.of_settings(file, settings["confidence"])
    faces = load_embeddings(embeddings, rows=len(labels))
    k = int(settings["k"])
    return function.of_faces(graph_of(faces, knn, k, out).narrowed(k), labels)
