"""The confidence of any clusters by the function that a model was saved with."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from clustering.backends.hilander import PRETRAINED
from clustering.graph.build import graph_of
from clustering.partition import consecutive, load_confidence
from clustering.similarity.confidence import Confidence
from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError, read_yaml

logger = logging.getLogger(__name__)


def confidence_by_model(
    model: Path, labels: np.ndarray, faces: EmbeddingSet, knn: Path | None, out: Path
) -> np.ndarray:
    """Estimates how sure it is that each face belongs to its cluster.

    Args:
        model: Folder with a config.yaml whose ``confidence`` was measured on graphs of ``k`` neighbours.
        labels: int64 [n], clusters, consecutive from 0; -1 for unassigned.
        faces: The n faces.
        knn: Folder of their graph; without it the graph is built below `out`.
        out: An existing folder.

    Returns:
        float32 [n] in [0, 1], see `Confidence.of_faces`.

    Raises:
        InputError: The model has no such function, or an unusable graph.
    """
    file = model / "config.yaml"
    settings = read_yaml(file)
    if "confidence" not in settings:
        raise InputError(f"{file}: {settings.get('backend')} estimates no confidence; leave --embeddings out")
    function = Confidence.of_settings(file, settings["confidence"])
    k = int(settings["k"])
    return function.of_faces(graph_of(faces, knn, k, out).narrowed(k), labels)


def own_or_estimated(
    clusters: Path, labels: np.ndarray, faces: EmbeddingSet, knn: Path | None, out: Path
) -> np.ndarray:
    """The clustering's own confidence, float [n]; if it has no opinion, the estimate by the packaged model's function.

    Args:
        clusters: Folder or file of the clustering.
        labels: int64 [n], its clusters; -1 for unassigned.
        faces: The n faces.
        knn: Folder of their graph; without it the graph is built below `out`.
        out: An existing folder.
    """
    confidence = load_confidence(clusters, len(labels))
    if confidence is not None and np.any(confidence[labels >= 0] < 1):
        return confidence
    logger.info("%s: no confidence of its own; estimating it", clusters)
    return confidence_by_model(PRETRAINED, consecutive(labels), faces, knn, out)
