"""The command ``train``: a learned backend from labelled faces, with given hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clustering import base
from clustering.base import Clusterer
from clustering.hilander.confidence import calibrate, split
from clustering.resample import LabelledFaces
from facerec.artifacts import InputError, load_embeddings, load_labels
from facerec.stages import stage

HELD_BACK = 0.5


@stage("clustering train")
def train(
    backend: str,
    embeddings: Path,
    out: Path,
    labels: Path | None = None,
    seed: int = 0,
    settings: dict[str, Any] | None = None,
) -> Mapping[str, Any]:
    """Trains a learned backend on labelled faces, with given hyper-parameters.

    How sure it may be of a face's place is measured first, on half the identities after training on the others.

    Args:
        backend: A backend that learns: hilander, lander.
        embeddings: Folder with embeddings.npy, or such a file.
        out: Folder to make: config.yaml and model.safetensors, for cluster's --model; reliability.csv.
        labels: File or folder of identities (-1 = unknown); without it labels.npy of the embedding folder.
        seed: Of initial weights and resampling.
        settings: Hyper-parameters other than the defaults, e.g. --settings '{p_tau: 0.9, features: identity}';
            the paper's model is {inputs: features, features: identity}.
    """
    found = base.backend(backend)
    if not found.learns:
        raise InputError(f"{backend} has nothing to train; choose its settings with tune")
    faces = load_labelled(embeddings, labels)
    chosen = settings or {}
    learned = found.fit(faces.embeddings, faces.labels, seed, **chosen)
    measured: dict[str, Any] = {}
    errors: dict[str, float] = {}
    held, rest = split(faces, HELD_BACK, seed)
    if hasattr(learned, "confidence") and len(np.unique(held.labels)) > 1:
        measured, errors = measure(found.fit(rest.embeddings, rest.labels, seed, **chosen), held, seed, out)
    learned.with_settings(**measured).save(out)
    return {"faces": len(faces.labels), "identities": len(np.unique(faces.labels)), "calibration_error": errors}


def measure(clusterer: Clusterer, held: LabelledFaces, seed: int, out: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Measures a confidence on faces that the clusterer has not learned from, and writes reliability.csv.

    Returns:
        The setting ``confidence`` and the calibration error of each version; nothing for clusterers without it.
    """
    if not hasattr(clusterer, "confidence"):
        return {}, {}
    calibration = calibrate(clusterer, held, seed)
    calibration.save(out / "reliability.csv")
    return {"confidence": calibration.confidence}, calibration.errors


def load_labelled(embeddings: Path, labels: Path | None) -> LabelledFaces:
    """Reads faces with their identities, and leaves out those that are unreadable or unknown.

    Raises:
        InputError: No labels, of another length, or fewer than two identities with two faces or more.
    """
    faces = load_embeddings(embeddings)
    known = faces.labels if labels is None else load_labels(labels, len(faces))
    if known is None:
        raise InputError(f"{embeddings}: no labels.npy beside the embeddings; give the identities as --labels")
    rows = np.flatnonzero((known >= 0) & faces.readable)
    repeated = np.count_nonzero(np.bincount(known[rows], minlength=1) > 1) if len(rows) else 0
    if repeated < 2:
        raise InputError(
            f"{labels or embeddings}: {repeated} identities with two faces or more; at least two are needed"
        )
    return LabelledFaces(np.ascontiguousarray(faces.embeddings[rows]), known[rows])
