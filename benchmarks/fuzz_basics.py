"""A reader that `fuzz` tries, and what the inputs are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

ROWS, DIMENSION = 12, 8


@dataclass(frozen=True)
class Reader:
    """A reader of the project.

    Attributes:
        make: Writes what it reads into an empty folder.
        read: Reads that folder.
    """

    make: Callable[[Path], object]
    read: Callable[[Path], object]


def picture(number: int) -> np.ndarray:
    """A blurred random picture, uint8 [32, 32, 3]."""
    pattern = np.random.default_rng(number).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return cv2.resize(pattern, (32, 32))


def encoded(number: int, suffix: str) -> bytes:
    """The file of a picture."""
    return bytes(cv2.imencode(suffix, picture(number))[1])


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Unit rows, float32 [12, 8], of three identities, int64 [12]."""
    from facerec.pipeline.embeddings import normalize

    truth = np.repeat(np.arange(3), 4)
    noise = np.random.default_rng(0).normal(size=(ROWS, DIMENSION))
    return normalize(np.eye(3, DIMENSION)[truth] + 0.1 * noise), truth
