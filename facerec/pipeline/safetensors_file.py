"""Networks' weights in safetensors files; PyTorch is imported when one is read or written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from facerec.pipeline.files import InputError, readable

if TYPE_CHECKING:
    from torch import Tensor


def save_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Writes tensors of any device and memory order, and text by name, see `writing`."""
    from safetensors.torch import save_file

    with writing(file):
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, file, metadata)


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Lets safetensors write a file that is as readable for others as any new file is.

    Raises:
        OSError: It cannot be written, as on a full disk.
    """
    from safetensors import SafetensorError

    file.touch()
    mode = file.stat().st_mode  # safetensors lets nobody but the owner read what it writes
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(file)) from None
    file.chmod(mode)


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
