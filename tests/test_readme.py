"""What the README shows runs: its Python as it stands, and options that the commands have."""

import importlib
import inspect
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from facerec.pipeline.embeddings import normalize

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
LINES = re.findall(r"^    python -m (facerec|clustering|eval) (\w+)(.*)$", README, re.MULTILINE)


def faces(identities: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    y = np.repeat(np.arange(identities), 6)
    return 3 * normalize(normalize(random.normal(size=(identities, 32)))[y] + 0.1 * random.normal(size=(len(y), 32))), y


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_python_runs_as_it_stands(block):
    X, truth = faces(30, 0)
    X_labelled, y = faces(12, 1)
    names = {"X": X, "X_new": X[::7], "X_labelled": X_labelled, "y": y}
    exec(block, names)
    labels = names["labels"]
    assert len(np.unique(labels)) == 30
    assert len(np.unique(np.column_stack([labels, truth]), axis=0)) == 30
    assert np.array_equal(names["clusterer"].predict(X[::7]), labels[::7])
    assert np.array_equal(names["y_pseudo"] >= 0, names["weights"] > 0)
    assert names["best"].name == "dbscan"


def test_there_are_commands():
    assert len(LINES) > 10
    assert {package for package, _, _ in LINES} == {"facerec", "clustering", "eval"}


@pytest.mark.parametrize(("package", "command", "words"), LINES)
def test_commands_and_their_options_exist(package, command, words):
    commands = importlib.import_module(f"{package}.__main__").COMMANDS
    module, _, function = commands[command].partition(":")
    known = inspect.signature(getattr(importlib.import_module(module), function)).parameters
    options = [word[2:] for word in shlex.split(words, comments=True) if word.startswith("--")]
    given = {option.partition("=")[0].replace("-", "_") for option in options}
    assert given - {"help", "config"} <= set(known)
    needed = {name for name, each in known.items() if each.default is inspect.Parameter.empty}
    assert "help" in given or "config" in given or needed <= given
