"""Models of ours as ONNX recognisers, which insightface and onnxruntime run without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from facerec.devices.device import to_input
from facerec.pipeline.files import InputError
from facerec.pipeline.stage import stage
from facerec.recognisers.model_folder import BUILD_OPTIONS, load_model
from facerec.recognisers.onnx import OPSET, OnnxRecogniser, write_onnx
from facerec.recognisers.onnx_weights import note_network

ONNX = "model.onnx"


@stage(
    "facerec export",
    found="takes {input_size} x {input_size} pixels, gives {embedding_size} dimensions".format_map,
    then="python -m facerec embed --model {out}/model.onnx --faces FACES --out EMBEDDINGS",
)
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
    note_network(out / ONNX, {name: config[name] for name in BUILD_OPTIONS})
    faces = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = network(to_input(torch.from_numpy(faces), torch.device("cpu"))).double().numpy()
    if not np.all(np.isfinite(expected)):
        raise InputError(f"{model}: gives NaN or infinite embeddings; its weights are damaged, train it again")
    difference = np.linalg.norm(OnnxRecogniser(out / ONNX)(faces) - expected, axis=1) / np.linalg.norm(expected, axis=1)
    return {
        "input_size": size, "embedding_size": config["embedding_size"], "opset": OPSET,
        "relative_difference": float(difference.max()),
    }  # fmt: skip
