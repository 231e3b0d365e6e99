from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from clustering.__main__ import COMMANDS
from clustering.backends.hilander.hilander import HiLander
from facerec.pipeline.command_line import run
from facerec.pipeline.embeddings import normalize

torch.set_num_threads(1)
faiss.omp_set_num_threads(1)

Blobs = Callable[..., tuple[NDArray[np.float32], NDArray[np.int64]]]


def make_blobs(
    identities: int = 12, faces: int = 8, dimension: int = 16, spread: float = 0.25, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    centres = normalize(random.normal(size=(identities, dimension)))
    labels = np.repeat(np.arange(identities), faces)
    noise = normalize(random.normal(size=(len(labels), dimension))) * spread
    return normalize(centres[labels] + noise), labels


@pytest.fixture(scope="session")
def blobs() -> Blobs:
    """Faces around random centres: (embeddings, labels), rows in order of identity."""
    return make_blobs


@pytest.fixture(scope="session")
def command() -> Callable[..., int]:
    """A function that runs ``python -m clustering`` here and returns its status."""
    return lambda *words: run("clustering", COMMANDS, [str(word) for word in words])


@pytest.fixture(scope="session")
def hilander():
    """A small trained model; it takes embeddings of any dimension."""
    embeddings, labels = make_blobs(identities=20, faces=10, dimension=32, spread=0.6)
    return HiLander.learn(
        embeddings, labels, seed=0, epochs=10, hidden=16, k=5, p_tau=0.5, own_levels=False, simulated=0, adaptive=False
    )


@pytest.fixture(scope="session")
def real(data: Path) -> Callable[[str], tuple[np.ndarray, np.ndarray]]:
    """Embeddings and labels of ``celeba299`` or ``lfw112``."""

    def read(name: str) -> tuple[np.ndarray, np.ndarray]:
        with np.load(data / f"embeddings_{name}_mobilefacenet128.npz", allow_pickle=False) as arrays:
            return arrays["embeddings"], arrays["labels"]

    return read
