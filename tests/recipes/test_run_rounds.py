"""When rounds end and which is chosen; what a round does is left out here and tested in test_run_pseudolabel.py."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """#!/usr/bin/env bash
# in the place of run_pseudolabel.sh: makes the folders and notes its options
while (($#)); do
  case $1 in
    --out) OUT=$2 ;;
    --teacher | --stage) NOTE="$1 $2" ;;
  esac
  shift 2
done
echo "$(basename "$OUT") ${NOTE:-}" >>calls
mkdir -p "$OUT"/rows/{labelled,supervised,hilander} "$OUT/corpus"
[[ -e no-validation ]] || mkdir -p "$OUT/corpus/validation"
"""
PYTHON = """#!{executable}
# in the place of python: runs validation.py's choice; the evaluation's figures come from the file "figures"
import json, os, pathlib, sys
words = sys.argv[1:]
out = pathlib.Path(words[words.index("--out") + 1])
if "choose" in words:
    os.execv({executable!r}, [{executable!r}, *words])
out.mkdir(parents=True, exist_ok=True)
if words[:3] == ["-m", "eval", "pairs"]:
    fnmr = json.loads(pathlib.Path("figures").read_text())[out.parent.name]
    (out / "metrics.json").write_text(json.dumps({{"fnmr_at_fmr": {{"1e-3": fnmr}}}}))
if "compare" in words:
    (out / "meta.json").write_text(json.dumps(words))
"""


@pytest.fixture
def rounds(tmp_path):
    """A function that runs rounds of which nothing but the validation figures is known: labelled, round 1, 2 ..."""
    for name in ("run_rounds.sh", "validation.py"):
        shutil.copy(ROOT / "recipes" / name, tmp_path)
    (tmp_path / "bin").mkdir()
    stand_ins = {"run_pseudolabel.sh": RECIPE, "bin/python": PYTHON.format(executable=sys.executable)}
    for name, text in stand_ins.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def run(figures: list[float], *options: str) -> subprocess.CompletedProcess[str]:
        names = ["labelled", *(f"hilander-round{number}" for number in range(1, 20))]
        (tmp_path / "figures").write_text(json.dumps(dict(zip(names, figures, strict=False))))
        (tmp_path / "calls").write_text("")
        return subprocess.run(
            ["bash", "run_rounds.sh", "--out", "out", *options],
            cwd=tmp_path,
            env=os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def compared(folder: Path) -> list[str]:
    """The rows of the report."""
    words = json.loads((folder / "out" / "report" / "meta.json").read_text())
    runs = words[words.index("--runs") + 1].strip("[]").split(",")
    assert all((folder / row).is_dir() for row in runs)
    assert {Path(row).name for row in runs} == {path.name for path in (folder / "out" / "rows").iterdir()}
    return [Path(row).name.replace("hilander-round", "") for row in runs[1:-1]]


@pytest.mark.parametrize(
    ("figures", "options", "rows"),
    [
        ([0.5, 0.4, 0.3, 0.2], (), ["1", "2", "3-chosen"]),
        ([0.5, 0.4, 0.6], ("--rounds", "2"), ["1-chosen", "2"]),
        ([0.5, 0.4, 0.4], ("--patience", "1"), ["1-chosen", "2"]),
        ([0.5, 0.4, 0.45, 0.3, 0.35, 0.3], ("--patience", "2"), ["1", "2", "3-chosen", "4", "5"]),
        ([0.5, 0.4, 0.3, 0.35], ("--patience", "1", "--rounds", "2"), ["1", "2-chosen"]),
        ([0.2, 0.4], ("--patience", "1"), ["1"]),
        ([0.2, 0.4, 0.1, 0.1, 0.1], ("--patience", "2"), ["1", "2-chosen", "3", "4"]),
        ([1 / n for n in range(1, 15)], ("--patience", "1"), [*map(str, range(1, 10)), "10-chosen"]),
    ],
)
def test_rounds_end_and_the_best_is_named(rounds, tmp_path, figures, options, rows):
    done = rounds(figures, *options)
    assert done.returncode == 0, done.stderr
    assert compared(tmp_path) == rows
    chosen = next((f"hilander-round{row.removesuffix('-chosen')}" for row in rows if "chosen" in row), "labelled")
    assert json.loads((tmp_path / "out" / "validation" / "rounds.json").read_text())["chosen"] == chosen
    assert f"best: {chosen}" in done.stderr.splitlines()[-2]


def test_every_student_is_the_next_teacher(rounds, tmp_path):
    rounds([0.5, 0.4, 0.3, 0.2])
    assert (tmp_path / "calls").read_text().splitlines() == [
        "round1 ",
        "round2 --teacher out/round1/rows/hilander/model",
        "round3 --teacher out/round2/rows/hilander/model",
    ]
    assert (tmp_path / "out" / "round3" / "rows" / "labelled").resolve() == tmp_path / "out/round1/rows/labelled"


def test_more_rounds_can_be_added_later_and_the_report_follows(rounds, tmp_path):
    figures = [0.5, 0.4, 0.45, 0.3]
    assert rounds(figures, "--patience", "1").returncode == 0
    assert compared(tmp_path) == ["1-chosen", "2"]
    assert rounds(figures, "--rounds", "3").returncode == 0
    assert compared(tmp_path) == ["1", "2", "3-chosen"]


def test_a_report_of_somebody_else_is_left_alone(rounds, tmp_path):
    (tmp_path / "out" / "report").mkdir(parents=True)
    (tmp_path / "out" / "report" / "notes.txt").write_text("mine")
    rounds([0.5, 0.4], "--rounds", "1")
    assert (tmp_path / "out" / "report" / "notes.txt").read_text() == "mine"


def test_without_validation_faces_rounds_are_counted_and_none_is_chosen(rounds, tmp_path):
    (tmp_path / "no-validation").touch()
    assert rounds([], "--rounds", "2").returncode == 0
    assert compared(tmp_path) == ["1", "2"]
    assert not (tmp_path / "out" / "validation").exists()


def test_patience_without_validation_faces_is_refused_before_any_training(rounds, tmp_path):
    (tmp_path / "no-validation").touch()
    done = rounds([], "--patience", "1")
    assert done.returncode == 2
    assert "the corpus has no validation part; give labelled faces of other people as --validation" in done.stderr
    assert (tmp_path / "calls").read_text().splitlines() == ["round1 --stage 1"]
    (tmp_path / "people").mkdir()
    assert rounds([0.5, 0.6], "--patience", "1", "--validation", "people").returncode == 0
    assert compared(tmp_path) == ["1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rounds", "0"], "--rounds 0 is not a number from 1"),
        (["--patience", "some"], "--patience some is not a number from 1"),
        (["--patience"], "--patience needs a value"),
        (["--validation", "nowhere"], "--validation nowhere: no such faces"),
        (["--colour", "red"], "unknown option --colour"),
    ],
)
def test_wrong_options_of_the_rounds(arguments, message):
    command = ["bash", str(ROOT / "recipes" / "run_rounds.sh"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""
