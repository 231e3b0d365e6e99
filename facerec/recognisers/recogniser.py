"""A recogniser of either kind, as a function from faces to embeddings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from facerec.devices.device import autocast, to_input
from facerec.pipeline.files import InputError
from facerec.recognisers.model_folder import load_model

Embedder = Callable[[torch.Tensor], np.ndarray]


def load_embedder(model: Path, device: torch.device, precision: str = "auto") -> tuple[Embedder, int, int]:
    """Loads a model folder or an ONNX recogniser.

    Args:
        model: See `embed`.
        device: Where it runs.
        precision: See `facerec.devices.device.autocast`; of a model folder.

    Returns:
        A function from uint8 RGB faces [n, size, size, 3] to float32 [n, d], not normalised; size; d.

    Raises:
        InputError: Neither, or a damaged one.
    """
    if model.suffix == ".onnx" and model.is_file():
        from facerec.recognisers.onnx import Recogniser  # slow to import, and not needed for our own models

        recogniser = Recogniser(model, device.type)
        return lambda faces: recogniser(faces.numpy()), recogniser.input_size, recogniser.embedding_size
    if not model.is_dir():
        raise InputError(f"{model}: no such model; give a folder made by facerec train, or an .onnx file")
    network, config = load_model(model)
    network.to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def embedder(faces: torch.Tensor) -> np.ndarray:
        with autocast(device, precision):
            return network(to_input(faces, device)).float().cpu().numpy()

    return embedder, config["input_size"], config["embedding_size"]
