import os
from pathlib import Path

# One thread a process, that sleeps while it waits: two workers share two cores. Before anything imports NumPy.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
os.environ |= {"OMP_WAIT_POLICY": "PASSIVE"}

import hypothesis
import pytest

# The same examples every time, so that a rare one cannot fail an unrelated change; `make fuzz` looks for new ones.
hypothesis.settings.register_profile("test", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("fuzz", deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))

SLOWEST = ("recipes", "benchmarks", "clustering/backends", "clustering", "facerec/training", "facerec")
"""Folders whose tests begin first, so that no worker is left alone with a long one at the end."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the tests by `SLOWEST`. A file stays on one worker, and so do all recipes, as they share fixtures."""
    root = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        file = item.path.relative_to(root).as_posix()
        return next((number for number, name in enumerate(SLOWEST) if file.startswith(f"{name}/")), len(SLOWEST))

    items.sort(key=place)
    for item in items:
        file = item.path.relative_to(root)
        item.add_marker(pytest.mark.xdist_group(file.parts[0] if file.parts[0] == "recipes" else str(file)))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real faces for measuring, which are not part of the project; a skip without it."""
    default = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("FACEREC_DATA") or default)
    if not folder.is_dir():
        pytest.skip(f"no real faces at {folder}; set FACEREC_DATA to their folder")
    return folder
