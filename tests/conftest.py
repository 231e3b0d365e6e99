import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real faces for measuring, which are not part of the project; a skip without it."""
    default = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("FACEREC_DATA") or default)
    if not folder.is_dir():
        pytest.skip(f"no real faces at {folder}; set FACEREC_DATA to their folder")
    return folder
