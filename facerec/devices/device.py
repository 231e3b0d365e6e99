"""Where and in which precision a network runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import cv2
import torch

from facerec.pipeline.files import InputError
from facerec.pipeline.values import shown

DEVICES = ("auto", "cpu", "cuda")
NAMES = re.compile(r"auto|(cpu|cuda)(:(0|[1-9]\d?))?")
PRECISIONS = ("auto", "fp32", "bf16")


def choose_device(name: str) -> torch.device:
    """The device of a name: ``"auto"`` is CUDA where there is one.

    Args:
        name: One of `DEVICES`, or one of several GPUs, as ``"cuda:1"``.

    Raises:
        InputError: Unknown, or CUDA where there is none, or no such GPU.
    """
    text = str(name)
    if not NAMES.fullmatch(text):
        raise InputError(f"--device {shown(name)}; choose one of {', '.join(DEVICES)}")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = torch.device(text if text != "auto" else "cuda" if count else "cpu")
    if device.type == "cuda" and (device.index or 0) >= count:
        found, other = (f"only {count}", "cuda:0") if count else ("no CUDA device", "cpu")
        raise InputError(f"--device {text}, but PyTorch finds {found} here; use --device {other}")
    return device


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


@contextmanager
def as_a_worker() -> Iterator[None]:
    """A context with `prepare_worker`; afterwards OpenCV has its threads again."""
    threads = cv2.getNumThreads()
    prepare_worker()
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


# A forked process has none of its parent's threads: OpenMP would wait for them.
os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))
