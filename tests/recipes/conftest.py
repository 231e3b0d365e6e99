"""One finished tiny run, and the programs called in this process, so that their workers are forked from one server."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import workers

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
Call = Callable[..., tuple[int, str]]
TINY = """
recipe: {corpus: synth, tune_on: validation, backends: [dbscan, components], jobs: 2}
corpus: {labelled: 12, validation: 12, unlabelled: 12, test: 8, faces_per_identity: 6, size: 40, difficulty: 0.1,
         workers: 1}
train: {width: 0.125, input_size: 32, embedding_size: 32, steps: 40, batch_size: 16, workers: 0}
student: {steps: 18}
embed: {workers: 0}
knn: {k: 10}
tune: {trials: 4}
pseudolabel: {min_size: 2}
ijb: {bootstrap: 200}
"""


def environment() -> dict[str, str]:
    """Where the doors find this Python and the packages under test."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}


def through_the_door(name: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Runs a recipe as a user does."""
    command = ["bash", str(RECIPES / name), *map(str, words)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def call(tmp_path_factory) -> Call:
    """A function that runs a program's ``main`` here and returns its status and what it and its workers print."""
    log = tmp_path_factory.mktemp("log") / "log"
    log.touch()

    def call(main: Callable[[list[str]], None], *words: object) -> tuple[int, str]:
        start, status = log.stat().st_size, 0
        with log.open("a") as file, contextlib.redirect_stderr(file), as_a_program(file.fileno()):
            try:
                main([str(word) for word in words])
            except SystemExit as end:
                status = int(end.code or 0)
        return status, log.read_bytes()[start:].decode()

    return call


@contextlib.contextmanager
def as_a_program(output: int):
    """Sends what processes print into one file, and keeps pytest's signal handlers, environment and main module."""
    kept = {number: os.dup(number) for number in (1, 2)}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(workers, "MEASURED", ())  # memory is of no interest here, and a fresh interpreter takes seconds
        patch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))  # which each worker would import
        for number in kept:
            os.dup2(output, number)
        try:
            yield
        finally:
            for number, copy in kept.items():
                os.dup2(copy, number)
                os.close(copy)
            for number, handler in handlers.items():
                signal.signal(number, handler)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """The recipe's YAML."""
    config = tmp_path_factory.mktemp("config") / "tiny.yaml"
    config.write_text(TINY)
    return config


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, call, tiny) -> Path:
    """A finished run, which no test changes."""
    import pseudolabel

    run = tmp_path_factory.mktemp("recipe") / "run"
    status, log = call(pseudolabel.main, "--config", tiny, "--out", run)
    assert status == 0, log[-3000:]
    return run


@pytest.fixture
def finished(tmp_path, undisturbed) -> Path:
    """A copy of the finished run."""
    return shutil.copytree(undisturbed, tmp_path / "run")
