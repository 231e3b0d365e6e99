"""A network's weights as model.safetensors, beside the config.yaml of a model folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from facerec.pipeline.files import InputError
from facerec.pipeline.safetensors_file import load_tensors, save_tensors

FILE = "model.safetensors"


def save_weights(folder: Path, model: nn.Module) -> None:
    """Writes model.safetensors into an existing folder."""
    save_tensors(folder / FILE, model.state_dict())


def load_weights(folder: Path, model: nn.Module) -> None:
    """Gives a network the weights that `save_weights` wrote.

    A network on the device ``meta`` gets memory only if the file's shapes are its own.

    Raises:
        InputError: No or an unreadable file; weights of other names or shapes; NaN or infinite ones.
    """
    file = folder / FILE
    state = load_tensors(file)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    there = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for name in sorted(wanted.keys() | there.keys()):
        if wanted.get(name) != there.get(name):
            raise InputError(
                f"{file}: {name} has shape {there.get(name)}, config.yaml asks for {wanted.get(name)}; "
                "take both files from the same training"
            )
    if any(tensor.is_meta for tensor in model.parameters()):
        model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    else:
        model.load_state_dict(state)
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise InputError(f"{file}: NaN or infinite weights; train the model again")


def default_device() -> torch.device:
    """CUDA if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds torch, and gives the caller's random numbers back afterwards: they go on as if nothing had been drawn."""
    with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else []):
        torch.manual_seed(seed)
        yield
