"""Networks' weights in safetensors files; PyTorch is imported when one is read or written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from facerec.pipeline.files import InputError, readable

if TYPE_CHECKING:
    from torch import Tensor


def save_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors of any device and memory order."""
    from safetensors.torch import save_file

    save_file(contiguous(tensors), file)


def contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors on the CPU, as safetensors wants them."""
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def load_tensors(file: Path) -> dict[str, Tensor]:
    """Reads tensors to the CPU.

    Raises:
        InputError: Missing, not safetensors, or truncated.
    """
    from safetensors.torch import load_file

    if not file.is_file():
        raise InputError(f"{file}: no such file; train the model again")
    with readable(file, "safetensors"):
        return load_file(file)
