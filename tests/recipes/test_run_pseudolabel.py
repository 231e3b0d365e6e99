"""The whole recipe on a tiny rendered corpus: finished, repeated, and killed again and again."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes" / "run_pseudolabel.sh"
ROUNDS = RECIPE.with_name("run_rounds.sh")
TINY = """
recipe: {corpus: synth, tune_on: validation, backends: [hilander, kmeans], jobs: 2}
corpus: {labelled: 24, validation: 40, unlabelled: 20, test: 12, size: 48, difficulty: 0.1}
train: {width: 0.25, input_size: 32, embedding_size: 32, steps: 120, batch_size: 32, workers: 1}
knn: {k: 10}
tune: {trials: 4}
pseudolabel: {min_size: 2}
"""

pytestmark = pytest.mark.timeout(900)


def start(config: Path, out: Path, *options: str, recipe: Path = RECIPE) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        ["bash", str(recipe), "--config", str(config), "--out", str(out), *options],
        cwd=config.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[bytes]) -> str:
    log = process.communicate()[0].decode()
    assert process.returncode == 0, log[-3000:]
    return log


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    config = folder / "tiny.yaml"
    config.write_text(TINY)
    finish(start(config, folder / "run"))
    return folder


def artefacts(run: Path) -> dict[str, bytes]:
    """The contents of everything that decides the outcome."""
    patterns = ("rows/*/model/model.safetensors", "rows/*/*/labels.npy", "rows/*/*/embeddings.npy", "rows/*/ijb/*.json")
    return {
        str(path.relative_to(run)): path.read_bytes()
        for pattern in patterns
        for path in sorted(run.glob(pattern))
        if path.name != "meta.json"
    }


def test_report_has_every_row_and_all_figures(undisturbed):
    run = undisturbed / "run"
    page = (run / "report" / "report.html").read_text()
    for row in ("labelled", "hilander", "kmeans", "supervised"):
        metrics = json.loads((run / "rows" / row / "ijb" / "metrics.json").read_text())
        assert 0 <= metrics["fnmr_at_fmr"]["1e-2"] <= 1
        assert 0 <= metrics["fnir_at_fpir"]["1e-1"] <= 1
        assert row in page
    assert not list(run.rglob("*.partial"))
    truth = np.load(run / "corpus" / "unlabelled_truth.npy")
    for row in ("hilander", "kmeans"):
        assert len(np.load(run / "rows" / row / "clusters" / "labels.npy")) == len(truth)


def test_finished_stages_are_not_repeated(undisturbed):
    run = undisturbed / "run"
    before = {path: path.stat().st_mtime_ns for path in run.rglob("meta.json")}
    log = finish(start(undisturbed / "tiny.yaml", run, "--stage", "5", "--stop-stage", "8"))
    assert log.count("already done") == 2 + 2 + 2 + 2
    assert {path: path.stat().st_mtime_ns for path in run.rglob("meta.json")} == before


def test_killed_at_any_moment_it_goes_on_to_the_same_result(undisturbed):
    moments = random.Random(0)
    run = undisturbed / "killed"
    for _ in range(6):
        process = start(undisturbed / "tiny.yaml", run)
        time.sleep(moments.uniform(2, 15))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    finish(start(undisturbed / "tiny.yaml", run))
    expected, found = artefacts(undisturbed / "run"), artefacts(run)
    assert expected.keys() == found.keys()
    assert [name for name in expected if expected[name] != found[name]] == []


def test_other_backends_into_the_same_folder_make_the_report_anew(undisturbed, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(undisturbed / "run", run)
    log = finish(start(undisturbed / "tiny.yaml", run, "--backends", "kmeans", "--stage", "9"))
    assert "report was about labelled hilander kmeans supervised: it is made anew" in log
    rows = [line.split(",")[0] for line in (run / "report" / "comparison.csv").read_text().splitlines()]
    assert rows == ["row", "labelled", "kmeans", "supervised"]
    assert (run / "rows" / "hilander" / "ijb").is_dir()


def test_other_work_into_the_same_folder_is_refused(undisturbed, tmp_path):
    config = tmp_path / "other.yaml"
    config.write_text(TINY.replace("k: 10", "k: 6"))
    process = start(config, undisturbed / "run", "--stage", "4", "--stop-stage", "4")
    log = process.communicate()[0].decode()
    assert process.returncode == 2
    assert "config.k 10 there, 6 asked" in log


def test_a_job_that_fails_beside_others_ends_the_recipe_with_its_status(undisturbed):
    process = start(undisturbed / "tiny.yaml", undisturbed / "run", "--backends", "nosuch,kmeans", "--stage", "5")
    log = process.communicate()[0].decode()
    assert process.returncode == 2
    assert "nosuch" in log
    assert "== stage 6" not in log


@pytest.fixture(scope="module")
def two_rounds(undisturbed):
    out = undisturbed / "rounds"
    shutil.copytree(undisturbed / "run", out / "round1", ignore=shutil.ignore_patterns("report", "kmeans"))
    finish(start(undisturbed / "tiny.yaml", out, "--rounds", "2", "--jobs", "2", recipe=ROUNDS))
    return out


def test_rounds_take_the_student_as_the_next_teacher(undisturbed, two_rounds):
    out = two_rounds
    second = json.loads((out / "round2" / "embeddings" / "unlabelled" / "meta.json").read_text())
    student = json.loads((out / "round1" / "embeddings" / "unlabelled" / "meta.json").read_text())
    assert second["inputs"]["faces"]["hash"] == student["inputs"]["faces"]["hash"]
    assert second["inputs"]["model"]["hash"] != student["inputs"]["model"]["hash"]
    assert second["inputs"]["model"]["path"].endswith("round1/rows/hilander/model")
    page = (out / "report" / "report.html").read_text()
    assert all(row in page for row in ("labelled", "hilander-round1", "hilander-round2", "supervised"))
    models = [path.stat().st_mtime_ns for path in sorted(out.glob("round*/rows/*/model/meta.json"))]
    log = finish(start(undisturbed / "tiny.yaml", out, "--rounds", "2", "--jobs", "2", recipe=ROUNDS))
    assert log.count("== stage") == 20
    assert models == [path.stat().st_mtime_ns for path in sorted(out.glob("round*/rows/*/model/meta.json"))]


def test_rounds_are_validated_on_people_of_no_training_set(two_rounds):
    found = json.loads((two_rounds / "validation" / "rounds.json").read_text())
    figures = found["fnmr@1e-3"]
    assert list(figures) == ["labelled", "hilander-round1", "hilander-round2"]
    assert found["chosen"] == min(figures, key=lambda name: figures[name])
    for name, row in [("labelled", "round1/rows/labelled"), ("hilander-round2", "round2/rows/hilander")]:
        inputs = json.loads((two_rounds / "validation" / name / "faces" / "meta.json").read_text())["inputs"]
        assert inputs["faces"]["path"].endswith("round1/corpus/validation")
        assert inputs["model"]["path"].endswith(f"{row}/model")
        counts = json.loads((two_rounds / "validation" / name / "pairs" / "metrics.json").read_text())["counts"]
        assert counts["verification"]["1e-3"]["supported"]


@pytest.mark.parametrize(("mode", "options"), [
    ("two-heads", {"heads": 2, "pseudo_share": 0.5}), ("pseudo", {"heads": 1}), ("finetune", {"heads": 1}),
])  # fmt: skip
def test_modes_of_training_students(undisturbed, tmp_path, mode, options):
    run = tmp_path / "run"
    shutil.copytree(undisturbed / "run", run, ignore=shutil.ignore_patterns("report", "kmeans"))
    shutil.rmtree(run / "rows" / "hilander" / "model")
    stages = ("--stage", "8", "--stop-stage", "8", "--backends", "hilander", "--mode", mode)
    finish(start(undisturbed / "tiny.yaml", run, *stages))
    meta = json.loads((run / "rows" / "hilander" / "model" / "meta.json").read_text())
    assert options.items() <= meta["config"].items()
    assert ("faces" in meta["inputs"]) == (mode != "pseudo")
    assert ("init" in meta["inputs"]) == (mode == "finetune")


def test_people_who_are_labelled_already_are_looked_for(undisturbed, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(undisturbed / "run", run, ignore=shutil.ignore_patterns("report", "kmeans"))
    known = sorted((run / "corpus/labelled/id00003").iterdir())
    for number, photograph in enumerate(known):
        shutil.copy(photograph, run / f"corpus/unlabelled/again{number:03d}.jpg")
    truth = np.load(run / "corpus/unlabelled_truth.npy")
    np.save(run / "corpus/unlabelled_truth.npy", np.append(truth, np.full(len(known), truth.max() + 1)))
    for stale in (run / "knn", run / "embeddings/unlabelled", run / "rows/hilander"):
        shutil.rmtree(stale)
    lenient = tmp_path / "lenient.yaml"  # among 24 people fewer false matches cannot be measured
    lenient.write_text(TINY.replace("min_size: 2", "min_size: 2, overlap_false_match: 0.2"))
    finish(start(lenient, run, "--stage", "3", "--stop-stage", "8", "--backends", "hilander", "--overlap", "merge"))
    pseudo = run / "rows/hilander/pseudo"
    assert json.loads((pseudo / "summary.json").read_text())["overlap"]["action"] == "merge"
    labels, same_as = np.load(pseudo / "labels.npy"), np.load(pseudo / "same_as.npy")
    again = labels[len(truth) :]
    assert (same_as[again[again >= 0]] == 3).sum() > len(known) / 2
    assert (run / "rows/hilander/model/meta.json").exists()
