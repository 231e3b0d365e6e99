"""Models and training states as safetensors files with JSON: reading them runs no code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facerec.artifacts import InputError, read_yaml, write_yaml
from facerec.backbones import build

MODEL, CONFIG = "model.safetensors", "config.yaml"
BUILD_OPTIONS = {"backbone": str, "width": (int, float), "input_size": int, "embedding_size": int}


def save_model(folder: Path, backbone: nn.Module, config: Mapping[str, Any]) -> None:
    """Writes a model folder.

    Args:
        folder: An existing folder.
        backbone: Made by `facerec.backbones.build`.
        config: `BUILD_OPTIONS` as given to it, and whatever else a reader may want to know.
    """
    save_file(_contiguous(backbone.state_dict()), folder / MODEL)
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


def save_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Mapping[str, Any]) -> None:
    """Writes a training's state into one file, which is whole or not there, also after a kill or on a full disk.

    Args:
        path: The file.
        model: Everything that has weights.
        optimizer: Its state's values must all be tensors.
        progress: What else is needed to go on, as JSON.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items() if value is not None}
    temporary = path.with_name(path.name + ".partial")
    save_file(_contiguous(tensors), temporary, metadata={"progress": json.dumps(progress)})
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Restores what `save_state` wrote and returns the progress.

    Raises:
        InputError: Unreadable, or of another model.
    """
    try:
        with safe_open(path, framework="pt") as file:
            progress = json.loads(file.metadata()["progress"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        model.load_state_dict({_rest(name): value for name, value in tensors.items() if name.startswith("model.")})
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not the state of this training ({reason}); delete its folder") from None
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            index, _, key = _rest(name).partition(".")
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return progress


def _rest(name: str) -> str:
    return name.partition(".")[2]


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
