"""Model folders: a safetensors file and its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from facerec.backbones import build
from facerec.devices.device import autocast, to_input
from facerec.pipeline.files import InputError, read_yaml, write_yaml
from facerec.pipeline.safetensors_file import load_tensors, save_tensors
from facerec.recognisers.arcface_weights import is_weights, load_arcface

MODEL, CONFIG = "model.safetensors", "config.yaml"
BUILD_OPTIONS = {"backbone": str, "width": (int, float), "input_size": int, "embedding_size": int}


class FolderRecogniser:
    """A network of ours, as `facerec.recognisers.recogniser.Recogniser` uses it.

    Args:
        folder: A model folder, or arcface_torch's weights (``backbone.pth``).
        device: Where it runs.
        precision: See `facerec.devices.device.autocast`.

    Attributes:
        input_size: Height and width of the faces it takes, in pixels.
        embedding_size: Length of an embedding.

    Raises:
        InputError: See `load_model`.
    """

    def __init__(self, folder: Path, device: torch.device, precision: str = "auto"):
        network, config = load_arcface(folder) if is_weights(folder) else load_model(folder)
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.device, self.precision = device, precision
        self.input_size: int = config["input_size"]
        self.embedding_size: int = config["embedding_size"]

    @torch.inference_mode()
    def __call__(self, faces: np.ndarray) -> np.ndarray:
        """Embeds uint8 RGB [n, size, size, 3] as float32 [n, d], not normalised."""
        images = to_input(torch.from_numpy(np.ascontiguousarray(faces)), self.device)
        with autocast(self.device, self.precision):
            return self.network(images).float().cpu().numpy()


def save_model(
    folder: Path, backbone: nn.Module, config: Mapping[str, Any], about: Mapping[str, Any] | None = None
) -> None:
    """Writes a model folder.

    Args:
        folder: An existing folder.
        backbone: Made by `facerec.backbones.build`.
        config: `BUILD_OPTIONS` as given to it, and the other options of its training.
        about: What a reader may want to know, too; it becomes comments.
    """
    save_tensors(folder / MODEL, backbone.state_dict())
    write_yaml(folder / CONFIG, dict(config))
    with (folder / CONFIG).open("a", encoding="utf-8") as file:
        file.writelines(f"# {name}: {value}\n" for name, value in (about or {}).items())


def load_model(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Reads a model folder.

    Returns:
        The backbone in evaluation mode, on the CPU, and its configuration.

    Raises:
        InputError: Not a model folder, or one whose files are damaged or do not fit each other.
    """
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder / CONFIG}: no such file; give a folder that facerec train made{_in_onnx(folder)}")
    config = read_yaml(folder / CONFIG)
    for name, kind in BUILD_OPTIONS.items():
        if isinstance(config.get(name), bool) or not isinstance(config.get(name), kind):  # type: ignore[arg-type]
            raise InputError(f"{folder / CONFIG}: {name} is {config.get(name)!r}; not the model of a face recogniser")
    if not (config["input_size"] <= 4096 and config["embedding_size"] <= 1 << 16):
        raise InputError(f"{folder / CONFIG}: input_size or embedding_size is larger than any recogniser's")
    with torch.device("meta"):
        backbone = build(config["backbone"], config["embedding_size"], config["input_size"], config["width"])
    tensors = {name: x.float() if x.is_floating_point() else x for name, x in load_tensors(folder / MODEL).items()}
    try:
        backbone.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder / MODEL}: does not fit {CONFIG} beside it ({reason})") from None
    return backbone.eval(), config


def _in_onnx(folder: Path) -> str:
    """Which file to give instead of a folder of ONNX files, as packs of insightface are: the recogniser among them."""
    files = sorted(folder.glob("*.onnx"))
    found = files if len(files) == 1 else [file for file in files if _is_of_insightface(file)]
    several = ", or the recogniser among the .onnx files in it" if files else ""
    return f", or {found[0]}" if len(found) == 1 else several


def _is_of_insightface(file: Path) -> bool:
    """Whether a network has one output and takes faces of 112 pixels, as insightface's recognisers do."""
    import onnx  # slow to import

    try:
        graph = onnx.load(file, load_external_data=False).graph
        shape = [side.dim_value for side in graph.input[0].type.tensor_type.shape.dim]
    except Exception:  # a damaged one is none
        return False
    return len(graph.output) == 1 and shape[1:] == [3, 112, 112]


def load_weights(folder: Path, backbone: nn.Module, config: Mapping[str, Any]) -> None:
    """Gives a backbone the weights of a trained model, to begin with.

    Args:
        folder: A model folder, arcface_torch's weights (``backbone.pth``), or a model that ``facerec export`` wrote.
        backbone: Made by `facerec.backbones.build` with the options in `config`.
        config: `BUILD_OPTIONS`.

    Raises:
        InputError: Not such a model, a damaged one, or one of another network.
    """
    if folder.suffix == ".onnx" and folder.is_file():
        from facerec.recognisers.onnx_weights import load_exported  # slow to import

        there, options = load_exported(folder)
    else:
        there, options = load_arcface(folder) if is_weights(folder) else load_model(folder)
    for name in BUILD_OPTIONS:
        if options[name] != config[name]:
            option = name.replace("_", "-")
            raise InputError(f"--init {folder}: {name} {options[name]} there; give --{option} {options[name]}")
    backbone.load_state_dict(there.state_dict())
