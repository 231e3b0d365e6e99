"""What README.md and the documentation show: their commands run as written, or at least have the options shown."""

import importlib
import inspect
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from facerec.pipeline.command_line import run
from facerec.pipeline.embeddings import normalize

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "lab")]
BLOCK = re.compile(r"^```(python|sh|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INSTALLS = ("python3 -m venv", ". .venv", "pip install")
"""What makes an environment, which a test cannot."""


def blocks(page: Path, kind: str) -> list[str]:
    return [text for found, text in BLOCK.findall(page.read_text(encoding="utf-8")) if found == kind]


def lines(page: Path) -> list[str]:
    return [
        line
        for block in blocks(page, "sh")
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("python -m ")
    ]


def in_shell(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Runs ``python -m PROGRAM COMMAND ...`` in this process, and returns what it prints."""
    program, *words = shlex.split(line)[2:]
    assert run(f"python -m {program}", importlib.import_module(f"{program}.__main__").COMMANDS, words) == 0
    return capsys.readouterr().out


def without_figures(text: str) -> list[str]:
    return [re.sub(r"[\d.,]+", "0", word) for word in text.split()]


def indented(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(r"^    (python -m (?:facerec|clustering|eval) .*)$", text, re.MULTILINE)


LINES = [(page, line) for page in PAGES for line in [*lines(page), *indented(page)]]


@pytest.mark.parametrize(("page", "line"), LINES, ids=[f"{page.stem}-{line[10:40]}" for page, line in LINES])
def test_commands_and_their_options_exist(page, line):
    program, command, *words = shlex.split(line, comments=True)[2:]
    module, _, function = importlib.import_module(f"{program}.__main__").COMMANDS[command].partition(":")
    known = inspect.signature(getattr(importlib.import_module(module), function)).parameters
    given = {word[2:].partition("=")[0].replace("-", "_") for word in words if word.startswith("--")}
    assert given - {"help", "config"} <= {name.rstrip("_") for name in known}
    needed = {name for name, each in known.items() if each.default is inspect.Parameter.empty}
    assert {"help", "config"} & given or needed <= given


def test_every_command_of_the_readme_is_tested():
    others = [
        line
        for block in blocks(README, "sh")
        for line in block.replace("\\\n", " ").splitlines()
        if line not in lines(README)
    ]
    assert [line for line in others if not line.startswith(INSTALLS)] == [job_line()]
    assert len(lines(README)) == 5
    assert {"demo", "test", "docs", "tables"} <= set(
        re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )


@pytest.mark.parametrize("page", [README, ROOT / "docs" / "tutorials" / "cluster-embeddings.md"], ids=lambda x: x.stem)
def test_embeddings_to_clusters(page, tmp_path, monkeypatch, capsys):
    """Python and shell blocks in the page's order; what the page shows is printed, but for figures."""
    monkeypatch.chdir(tmp_path)
    printed = ""
    for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if "photos" in text:
            break
        if kind == "python":
            exec(text, {})
            printed = capsys.readouterr().out
            shown = "".join(re.findall(r"^# (\d.*)$", text, re.MULTILINE))
        elif kind == "sh":
            printed, shown = "".join(in_shell(line, capsys) for line in text.splitlines() if line in lines(page)), ""
        else:
            shown = text
        found = list(map(without_figures, printed.splitlines()))
        assert [line for line in shown.splitlines() if without_figures(line) not in found] == []


def test_photographs_to_people(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for photograph in sorted((data / "wild").glob("*.jpg"))[:4]:
        Path("photos", photograph.name).symlink_to(photograph)
    Path("detector.onnx").symlink_to(data / "weights" / "scrfd_2.5g_bnkps.onnx")
    Path("recogniser.onnx").symlink_to(data / "weights" / "mobilefacenet_ms1m_128d.onnx")
    for line in lines(README)[2:]:
        in_shell(line, capsys)
    sorted_ones = {
        file.name for folder in ("people", "doubtful", "nobody") for file in Path("sorted", folder).rglob("*.jpg")
    }
    missing = Path("faces/missing.csv").read_text()
    assert sorted_ones == {file.name for file in Path("photos").iterdir() if file.name not in missing}


def job_line() -> str:
    return next(
        line
        for block in blocks(README, "sh")
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("recipes/")
    )


def test_the_job_is_called_as_its_own_tests_call_it():
    """tests/recipes/test_pseudolabel.py runs this very line on small data."""
    script, *words = shlex.split(job_line())
    assert os.access(ROOT / script, os.X_OK)
    assert words[::2] == ["--config", "--out"]


def faces(identities: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    y = np.repeat(np.arange(identities), 6)
    return 3 * normalize(normalize(random.normal(size=(identities, 32)))[y] + 0.1 * random.normal(size=(len(y), 32))), y


def test_python_reference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, truth = faces(30, 0)
    X_labelled, y = faces(12, 1)
    names = {"X": X, "X_new": X[::7], "X_labelled": X_labelled, "y": y}
    for block in blocks(ROOT / "docs" / "reference" / "python.md", "python"):
        exec(block, names)
    labels = names["labels"]
    assert len(np.unique(labels)) == 30
    assert len(np.unique(np.column_stack([labels, truth]), axis=0)) == 30
    assert np.array_equal(names["clusterer"].predict(X[::7]), labels[::7])
    assert np.array_equal(names["y_pseudo"] >= 0, names["weights"] > 0)
    assert names["best"].name == "dbscan"
    assert Path("tuned", "config.yaml").exists()


def test_python_of_make_pseudo_labels(capsys):
    (block,) = blocks(ROOT / "docs" / "how-to" / "make-pseudo-labels.md", "python")
    exec(block, {})
    promised = re.findall(r"print\(.*\)  # (.*)", block)
    assert capsys.readouterr().out.splitlines() == promised
