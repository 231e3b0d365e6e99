"""Training states as safetensors files with JSON: reading them runs no code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from facerec.pipeline.files import InputError, readable, whole_file
from facerec.pipeline.ranks import barrier, is_main, rank, world_size
from facerec.pipeline.safetensors_file import save_tensors

KIND = ("the state of this training", "delete its folder")
"""What a file should be, and the remedy, for messages."""


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
    with whole_file(path) as temporary:
        save_tensors(temporary, tensors, {"progress": json.dumps(progress)})
        with temporary.open("rb") as file:
            os.fsync(file.fileno())


def save_states(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Mapping[str, Any], sharded: bool
) -> None:
    """Writes the state of a training that the ranks do together; all call it.

    If all ranks have equal weights, rank 0 writes the only file. If not, the others first write files of their own,
    with the step in their names. The files of a step count once rank 0's is there. So a kill at any moment leaves the
    files of one step whole.

    Args:
        path: The file of rank 0.
        model: Everything that has weights.
        optimizer: See `save_state`.
        progress: See `save_state`; with "step".
        sharded: Whether ranks have weights of their own.
    """
    sharded = sharded and world_size() > 1
    own = _shard(path, progress["step"])
    if sharded and not is_main():
        save_state(own, model, optimizer, progress)
    barrier()
    if is_main():
        save_state(path, model, optimizer, {**progress, "shards": world_size() if sharded else 1})
    barrier()
    if sharded and not is_main():
        for file in path.parent.glob(_shard(path, "*").name):
            if file != own:
                file.unlink()


def load_states(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, sharded: bool, training: str = ""
) -> dict[str, Any]:
    """Restores what `save_states` wrote and returns the progress; nothing and {} if there is no such file.

    Args:
        path: The file of rank 0.
        model: Everything that has weights.
        optimizer: See `save_state`.
        sharded: Whether ranks have weights of their own.
        training: What tells this training from others, "training" in the progress.

    Raises:
        InputError: Unreadable, of another training or model, or of another number of ranks with weights of their own.
    """
    if not path.exists():
        return {}
    progress = read_progress(path)
    if progress.get("training", training) != training:
        raise InputError(f"{path}: the state of a training of other faces or settings; choose another folder")
    ranks = world_size() if sharded else 1
    if (there := progress.get("shards")) != ranks or "step" not in progress:
        raise InputError(f"{path}: of {there} processes with centres of their own; start as many")
    load_state(_shard(path, progress["step"]) if ranks > 1 and not is_main() else path, model, optimizer)
    return progress


def remove_states(path: Path) -> None:
    """Removes the files of all ranks, and what a kill left of one."""
    path.unlink(missing_ok=True)  # first, as the others count by it
    for file in path.parent.glob(f"{path.stem}[-.]*"):
        file.unlink()


def read_progress(path: Path) -> dict[str, Any]:
    """What `save_state` was given as progress.

    Raises:
        InputError: Unreadable.
    """
    with readable(path, *KIND), safe_open(path, framework="pt") as file:
        progress = json.loads(file.metadata()["progress"])
        if not isinstance(progress, dict) or not isinstance(progress.get("step", 0), int):
            raise TypeError(f"progress is {str(progress)[:40]}")
    return progress


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Restores what `save_state` wrote and returns the progress.

    Raises:
        InputError: Unreadable, or of another model.
    """
    progress = read_progress(path)
    with readable(path, *KIND), safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        model.load_state_dict({_rest(name): value for name, value in tensors.items() if name.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            index, _, key = _rest(name).partition(".")
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return progress


def _shard(path: Path, step: object) -> Path:
    return path.with_name(f"{path.stem}-{rank()}-{step}{path.suffix}")


def _rest(name: str) -> str:
    return name.partition(".")[2]
