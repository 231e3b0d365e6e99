"""The command ``train``: a learned backend from labelled faces, with given hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clustering.backends import registry
from clustering.learning.calibration import learn_calibrated
from clustering.learning.labelled_faces import load_labelled
from facerec.pipeline.arguments import Seed
from facerec.pipeline.counts import told
from facerec.pipeline.embeddings import Unreadable
from facerec.pipeline.files import InputError
from facerec.pipeline.same_recogniser import noted_recogniser
from facerec.pipeline.stage import stage


@stage(
    "clustering train",
    found=told("trained on {faces:face} of {identities:identity}"),
    then="python -m clustering cluster --backend {backend} --model {out} --embeddings EMBEDDINGS --out CLUSTERS",
)
def train(
    backend: str,
    embeddings: Path,
    out: Path,
    labels: Path | None = None,
    seed: Seed = 0,
    settings: dict[str, Any] | None = None,
    unreadable: Unreadable = "refuse",
) -> Mapping[str, Any]:
    """Trains a learned backend on labelled faces, with given hyper-parameters.

    Its confidence is calibrated on half the identities, after a separate training on the other half.

    Args:
        backend: A backend that learns: gcn_e, gcn_v, hilander, l2c, lander or lgcn.
        embeddings: Embedding folder, or a file of embeddings (.npy, .npz, .h5, .pt, .pkl, .parquet, .csv, .bin;
            FILE:NAME for one of several arrays in it).
        out: Folder to make: config.yaml and model.safetensors, for cluster's --model; reliability.csv.
        labels: File or folder of identities (-1 = unknown): .npy, or a number or name a line, or FILE.csv:COLUMN.
            Without it those of the embedding folder or file.
        seed: Seed of initial weights and resampling.
        settings: Hyper-parameters other than the defaults, e.g. --settings '{p_tau: 0.9, features: identity}';
            the paper's model is {inputs: features, features: identity}.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    found = registry.backend(backend)
    if not found.learns:
        raise InputError(f"{backend} has nothing to train; choose its settings with tune")
    faces = load_labelled(embeddings, labels, unreadable)
    clusterer, calibration = learn_calibrated(found, faces, seed, settings or {})
    clusterer.save_pretrained(out)
    if calibration is not None:
        calibration.save(out / "reliability.csv")
    errors = {} if calibration is None else calibration.errors
    return {
        "faces": len(faces.labels),
        "identities": len(np.unique(faces.labels)),
        "calibration_error": errors,
        **noted_recogniser([embeddings]),
    }
