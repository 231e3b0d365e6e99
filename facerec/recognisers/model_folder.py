"""Model folders: a safetensors file and its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facerec.backbones import build
from facerec.pipeline.files import InputError, read_yaml, write_yaml

MODEL, CONFIG = "model.safetensors", "config.yaml"
BUILD_OPTIONS = {"backbone": str, "width": (int, float), "input_size": int, "embedding_size": int}


def save_model(folder: Path, backbone: nn.Module, config: Mapping[str, Any]) -> None:
    """Writes a model folder.

    Args:
        folder: An existing folder.
        backbone: Made by `facerec.backbones.build`.
        config: `BUILD_OPTIONS` as given to it, and whatever else a reader may want to know.
    """
    save_file(contiguous(backbone.state_dict()), folder / MODEL)
    write_yaml(folder / CONFIG, dict(config))


def load_model(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Reads a model folder.

    Returns:
        The backbone in evaluation mode, on the CPU, and its configuration.

    Raises:
        InputError: Not a model folder, or one whose files are damaged or do not fit each other.
    """
    config = read_yaml(folder / CONFIG)
    for name, kind in BUILD_OPTIONS.items():
        if not isinstance(config.get(name), kind):  # type: ignore[arg-type]
            raise InputError(f"{folder / CONFIG}: {name} is {config.get(name)!r}; not the model of a face recogniser")
    with torch.device("meta"):
        backbone = build(config["backbone"], config["embedding_size"], config["input_size"], config["width"])
    try:
        tensors = load_file(folder / MODEL)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{folder / MODEL}: not readable ({error}); it may be truncated") from None
    try:
        backbone.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder / MODEL}: does not fit {CONFIG} beside it ({reason})") from None
    return backbone.eval(), config


def load_weights(folder: Path, backbone: nn.Module, config: Mapping[str, Any]) -> None:
    """Gives a backbone the weights of a model folder, to begin with.

    Args:
        folder: A model folder.
        backbone: Made by `facerec.backbones.build` with the options in `config`.
        config: `BUILD_OPTIONS`.

    Raises:
        InputError: Not a model folder, a damaged one, or one of another network.
    """
    there, options = load_model(folder)
    for name in BUILD_OPTIONS:
        if options[name] != config[name]:
            option = name.replace("_", "-")
            raise InputError(f"--init {folder}: {name} {options[name]} there; give --{option} {options[name]}")
    backbone.load_state_dict(there.state_dict())


def contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors on the CPU, as safetensors wants them."""
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
