"""The command ``import``: a checkpoint of the public reference implementation to a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clustering.backends.hilander.climb import Features
from clustering.backends.hilander.hilander import HiLander
from clustering.backends.hilander.reference_weights import lander_of, read_state
from clustering.similarity.confidence import Confidence
from facerec.pipeline.files import InputError
from facerec.pipeline.stage import stage


@stage(
    "clustering import",
    found="encoder {encoder}, {hidden} hidden units, for embeddings of {dimension} dimensions".format_map,
    then="python -m clustering cluster --backend hilander --model {out} --embeddings EMBEDDINGS --out CLUSTERS",
)
def import_reference(
    weights: Path, out: Path, k: int = 9, p_tau: float = 0.8, features: Features = "reference"
) -> Mapping[str, Any]:
    """Makes a model of Hi-LANDER from weights that were trained with the paper's public reference.

    The defaults are the reference's for faces; its settings for species are --features identity --p-tau 0.1.

    Args:
        weights: State dict of the reference, as .pth, .pt or .ckpt (read without running code) or .safetensors.
        out: Folder to make: config.yaml and model.safetensors, for cluster's --model.
        k: Neighbours a node, itself not counted; the reference's knn_k counts it, so that its 10 are 9 here.
        p_tau: Least linkage probability of an edge.
        features: What a level sees of the clusters below it: reference (with the reference's use_cluster_feat) or
            identity (without); average and both are the paper's.
    """
    model = lander_of(read_state(weights), weights)
    if features in ("reference", "both") and model.dimension % 2:
        raise InputError(f"{weights}: an odd number of inputs, {model.dimension}; give --features identity")
    hilander = HiLander(model, k, p_tau, adaptive=False, merging="edges", features=features, confidence=Confidence())
    hilander.save_pretrained(out)
    return {"encoder": model.encoder_name, "dimension": model.dimension, "width": model.width, "hidden": model.hidden}
