import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """Real faces for measuring, which are not part of the project."""
    default = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("FACEREC_DATA", default))
    if not folder.is_dir():
        pytest.skip("needs real faces; set FACEREC_DATA to their folder")
    return folder


@pytest.fixture
def make_faces() -> Callable[..., Path]:
    """Writes a folder of pictures: an identity is a blurred random pattern, a photograph adds noise to it."""

    def make(folder: Path, identities: int = 4, each: int = 5, size: int = 40, suffix: str = ".png") -> Path:
        generator = np.random.default_rng(identities * 1000 + each)
        for identity in range(identities):
            (folder / f"person{identity}").mkdir(parents=True)
            pattern = cv2.resize(generator.integers(0, 256, (5, 5, 3), dtype=np.uint8), (size, size))
            for photograph in range(each):
                noise = generator.integers(-12, 13, pattern.shape)
                face = np.clip(pattern.astype(int) + noise, 0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / f"person{identity}" / f"{photograph:02d}{suffix}"), face)
        return folder

    return make
