import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = ROOT / "recipes" / "sections.py"


def run(config: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SECTIONS), "--config", str(config), "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_section_becomes_a_file_and_settings_become_variables(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text('recipe: {backends: [a, b], teacher: "x y.onnx"}\ntrain: {steps: 3}\n')
    done = run(config, tmp_path / "out")
    assert done.returncode == 0
    assert yaml.safe_load((tmp_path / "out" / "train.yaml").read_text()) == {"steps": 3}
    assert yaml.safe_load((tmp_path / "out" / "knn.yaml").read_text()) == {}
    assert done.stdout.splitlines() == [
        "CORPUS=synth", "TEACHER='x y.onnx'", "TUNE_ON=labelled",
        "TEST_FACES=''", "PROTOCOL=''", "BACKENDS=a,b", "JOBS=1", "MODE=joint", "OVERLAP=''",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trian: {}", "unknown section 'trian'"),
        ("recipe: {techer: x}", "unknown setting of recipe 'techer'"),
        ("- 1", "expected sections"),
        ("a: [", "recipe: error:"),
    ],
)
def test_wrong_recipes_are_refused_in_one_line(tmp_path, text, message):
    config = tmp_path / "c.yaml"
    config.write_text(text)
    done = run(config, tmp_path / "out")
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("config", sorted((ROOT / "recipes" / "conf").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_recipes_open_with_purpose_command_cost_and_result(config, tmp_path):
    lines = config.read_text().splitlines()
    for word in ("# Purpose:", "# Command:", "# Cost:", "# Result:"):
        assert any(line.startswith(word) for line in lines), word
    assert run(config, tmp_path / "out").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stage", "11"], "--stage 11 is not one of 1 to 10"),
        (["--mode", "both"], "--mode both is not one of joint, two-heads, pseudo, finetune"),
        (["--overlap", "join"], "--overlap join is not one of drop, merge, keep"),
        (["--out"], "--out needs a value"),
        (["--colour", "red"], "unknown option --colour"),
        (["--jobs", "0"], "--jobs 0 is not a number"),
    ],
)
def test_wrong_options_of_the_recipe(arguments, message):
    done = subprocess.run(
        ["bash", str(ROOT / "recipes" / "run_pseudolabel.sh"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
