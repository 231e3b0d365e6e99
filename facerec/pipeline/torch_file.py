"""Files that ``torch.save`` wrote, read without running code."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from facerec.pipeline.files import InputError, check_file


def load_torch(file: Path, kind: str, remedy: str) -> Any:
    """What a file holds, on the CPU: tensors and plain data.

    Args:
        file: The file.
        kind: What it should be, for the message: ``a state dict``.
        remedy: How to make such a file.

    Raises:
        InputError: Missing, unreadable, or with more in it than tensors and plain data.
    """
    check_file(file)
    import torch  # slow to import, and most readers do without

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other kinds of files, which are refused anyway
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # an unpickler raises whatever its input says
        raise InputError(
            f"{file}: not readable as {kind}; it may be truncated, or hold more than tensors: {remedy}"
        ) from None


def is_dense(value: Any) -> bool:
    """Whether a value is a tensor with a number in memory for each of its entries."""
    import torch

    dense = isinstance(value, torch.Tensor) and value.layout == torch.strided
    return dense and not (value.is_meta or value.is_quantized)
