import csv
import gc
import importlib
import multiprocessing
import os
import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# One thread a process, that sleeps while it waits: two workers share two cores. Before anything imports NumPy.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
os.environ |= {"OMP_WAIT_POLICY": "PASSIVE"}
# The tests compare bits, which is a promise for the CPU alone; `make test-cuda` shows GPUs to some of them.
if os.environ.get("FACEREC_CUDA") != "1":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

import hypothesis
import pytest

# The same examples every time, so that a rare one cannot fail an unrelated change; `make fuzz` looks for new ones.
# Nor can a busy machine.
untimed = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("test", derandomize=True, database=None, **untimed)
hypothesis.settings.register_profile("fuzz", print_blob=True, **untimed)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))

SLOWEST = (
    "recipes/test_pseudolabel", "recipes", "test_commands", "facerec/training/test_ranks", "clustering/backends",
    "clustering/commands", "facerec/training", "clustering", "benchmarks", "facerec",
)  # fmt: skip
"""Files and folders whose tests begin first, so that no worker is left alone with a long one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the files by `SLOWEST`; each stays on one worker (``--dist loadfile``), as its fixtures are made once."""
    root = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        file = item.path.relative_to(root).as_posix()
        return next((number for number, name in enumerate(SLOWEST) if file.startswith(name)), len(SLOWEST))

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def _collected_at_the_end():
    """What is frozen below would be told as leaked at the end."""
    yield
    gc.unfreeze()


@pytest.fixture(scope="module", autouse=True)
def _what_is_imported_stays(_collected_at_the_end) -> None:
    """The garbage collector need not walk through a million objects of other packages again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real faces for measuring, which are not part of the project; a skip without it."""
    default = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("FACEREC_DATA") or default)
    if not folder.is_dir():
        pytest.skip(f"no real faces at {folder}; set FACEREC_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def read_csv() -> Callable[[Path], list[dict[str, str]]]:
    """A function: the lines of a CSV file by their columns, as they are written."""

    def read(path: Path) -> list[dict[str, str]]:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture(scope="session", autouse=True)
def _small_pictures() -> None:
    """Plots have a twentieth of their pixels, as tests draw a hundred."""
    importlib.import_module("eval.report.plots").DPI = 45


@pytest.fixture(scope="session")
def in_processes() -> Callable[..., None]:
    """Runs a script as ranks, forked from this process, so that none has to import PyTorch again.

    The function takes a folder for what they say, the script, its arguments, and how each must end; two by default.
    """
    importlib.import_module("torch._dynamo")  # which every optimiser imports: seconds
    fork = multiprocessing.get_context("fork")

    def run(folder: Path, script: str, *arguments: object, ends: Sequence[int] = (0, 0)) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        place |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(len(ends)))
        logs = [folder / f"errors{rank}" for rank in range(len(ends))]
        ranks = [
            fork.Process(target=as_rank, args=(rank, place, log, script, [*map(str, arguments)]))
            for rank, log in enumerate(logs)
        ]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(240)
        errors = "".join(log.read_text()[-2000:] for log in logs)
        assert [process.exitcode for process in ranks] == [*ends], errors

    return run


def as_rank(rank: int, place: dict[str, str], log: Path, script: str, arguments: list[str]) -> None:
    """What a process does: the script, as a program of its own."""
    os.environ |= place | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), 2)
    sys.argv = ["-c", *arguments]
    exec(script, {"__name__": "__main__"})


@pytest.fixture
def gpu() -> None:
    """A GPU that this run may use; a skip without it."""
    if os.environ.get("FACEREC_CUDA") != "1":
        pytest.skip("the tests use the CPU; make test-cuda uses the GPU")
    import torch  # slow to import, and not needed by most tests

    if not torch.cuda.is_available():
        pytest.skip("PyTorch finds no CUDA device")


@pytest.fixture(scope="session")
def browser():
    """A browser without a window, shared by all tests of pages; a skip without one."""
    api = pytest.importorskip("playwright.sync_api", reason="pages are tested with playwright")
    # The first has no window at all and needs half of the time.
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    program = next((found for found in map(shutil.which, names) if found), None)
    if program is None:
        pytest.skip(f"no browser on PATH ({', '.join(names)}); pages are not tested")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"], timeout=60_000)
        yield browser
        browser.close()
