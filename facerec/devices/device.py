"""Where and in which precision a network runs."""

from __future__ import annotations

import cv2
import torch

from facerec.pipeline.files import InputError
from facerec.pipeline.values import shown

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16")


def choose_device(name: str) -> torch.device:
    """The device of a name: ``"auto"`` is CUDA where there is one.

    Raises:
        InputError: Unknown, or CUDA where there is none.
    """
    if str(name).partition(":")[0] not in DEVICES:
        raise InputError(f"--device {shown(name)}; choose one of {', '.join(DEVICES)}")
    name = str(name)
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"--device {name}, but PyTorch finds no CUDA device here; use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def autocast(device: torch.device, precision: str = "auto") -> torch.autocast:
    """The context of a forward pass: bfloat16 where asked, and with ``"auto"`` where it is faster, which is on CUDA.

    Raises:
        InputError: Unknown precision.
    """
    if not isinstance(precision, str) or precision not in PRECISIONS:
        raise InputError(f"--precision {shown(precision)}; choose one of {', '.join(PRECISIONS)}")
    enabled = precision == "bf16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def to_input(faces: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Faces as networks take them.

    Args:
        faces: uint8 RGB [n, size, size, 3].
        device: Where to.

    Returns:
        float32 [n, 3, size, size] in memory order ``channels_last``, (value - 127.5) / 127.5.
    """
    return faces.to(device, non_blocking=True).permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)


def prepare_worker() -> None:
    """Keeps OpenCV from threads of its own beside those of a loader."""
    cv2.setNumThreads(0)
