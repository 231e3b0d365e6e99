"""Models of ours as ONNX recognisers, which insightface and onnxruntime run without PyTorch."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from facerec.artifacts import InputError
from facerec.checkpoint import load_model
from facerec.detect import Recogniser
from facerec.device import to_input
from facerec.stages import stage

ONNX = "model.onnx"
OPSET = 17


@stage("facerec export")
def export(model: Path, out: Path) -> dict[str, Any]:
    """Exports a model as ONNX: OUT/model.onnx.

    It takes faces, float32 [n, 3, size, size], RGB, (value - 127.5) / 127.5, and gives embeddings [n, d], not
    normalised. ``insightface.model_zoo.get_model`` loads it and prepares faces of 112x112 pixels in this way.

    Args:
        model: A folder that facerec train made.
        out: Folder to make.
    """
    network, config = load_model(model)
    size = config["input_size"]
    write_onnx(network, size, out / ONNX)
    faces = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = network(to_input(torch.from_numpy(faces), torch.device("cpu"))).numpy()
    if not np.all(np.isfinite(expected)):
        raise InputError(f"{model}: gives NaN or infinite embeddings; its weights are damaged, train it again")
    difference = np.linalg.norm(Recogniser(out / ONNX)(faces) - expected, axis=1) / np.linalg.norm(expected, axis=1)
    return {
        "input_size": size, "embedding_size": config["embedding_size"], "opset": OPSET,
        "relative_difference": float(difference.max()),
    }  # fmt: skip


def write_onnx(network: nn.Module, input_size: int, path: Path) -> None:
    """Writes a backbone as an ONNX graph from ``faces`` to ``embeddings``, for any number of faces at once.

    Nothing before the first layer subtracts or multiplies: by such nodes insightface recognises networks that take
    values from 0 to 255, and it gives all others (value - 127.5) / 127.5, which is what ours take.

    Args:
        network: In evaluation mode, on the CPU.
        input_size: Height and width of its faces, in pixels.
        path: The file.
    """
    with warnings.catch_warnings():
        # The exporter that traces is deprecated; its successor needs the package onnxscript.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network, (torch.zeros(2, 3, input_size, input_size),), path, dynamo=False, opset_version=OPSET,
            input_names=["faces"], output_names=["embeddings"],
            dynamic_axes={"faces": {0: "n"}, "embeddings": {0: "n"}},
        )  # fmt: skip
