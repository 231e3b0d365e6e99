"""The engines that compute a linkage model: fixed-k neighbour arrays, or DGL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clustering.backends.hilander import native_engine
from clustering.backends.hilander.dgl_engine import DglLinkageModel
from clustering.backends.hilander.encoders import EdgeBatch, node_features
from clustering.backends.hilander.lander import LinkageModel
from clustering.backends.hilander.level import Level
from clustering.settings import check_choice
from facerec.pipeline.files import InputError

ENGINES: dict[str, type[LinkageModel]] = {"native": LinkageModel, "dgl": DglLinkageModel}


def link(model: LinkageModel, level: Level) -> np.ndarray:
    """Linkage probabilities r_ij, float32 [n, k]; 0 for missing neighbours.

    Where several processes work together each does some blocks of nodes; all must call it and get the same.
    """
    if not isinstance(model, DglLinkageModel):
        return native_engine.link(model, level)
    with torch.inference_mode():
        features = node_features(level, model.device)
        graph = EdgeBatch.of(level, features, model.inputs != "features")
        scores = model.scores(graph)
        return native_engine.probabilities(graph, scores[..., 1] - scores[..., 0])


def load_model(folder: Path, settings: Mapping[str, Any]) -> LinkageModel:
    """Reads a model whose weights `save_weights` wrote, for the engine that its settings name.

    Raises:
        InputError: Unknown engine, unusable settings, no or an unreadable file, or weights of other names or shapes.
    """
    if not isinstance(settings, Mapping):
        raise InputError(f"{folder / 'config.yaml'}: model is {str(settings)[:40]!r}; expected its sizes by name")
    engine = settings.get("engine")
    check_choice(f"{folder / 'config.yaml'}: engine", engine, list(ENGINES))
    return ENGINES[str(engine)].load(folder, settings)
