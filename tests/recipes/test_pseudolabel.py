"""The whole recipe on a tiny rendered corpus: finished, repeated, killed, and with other options."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import door
import numpy as np
import pseudolabel
import pytest
import recipe
import rounds

from .conftest import RECIPES, TINY, environment

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def run_recipe(call, tiny):
    """A function that runs the recipe with options to its end and returns what was printed."""

    def run(out: Path, *options: str, config: Path = tiny, main=pseudolabel.main) -> str:
        status, log = call(main, "--config", config, "--out", out, *options)
        assert status == 0, log[-3000:]
        return log

    return run


def start(config: Path, out: Path, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["bash", str(RECIPES / "run_pseudolabel.sh"), "--config", str(config), "--out", str(out), *options],
        cwd=config.parent,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_for(place: Path, process: subprocess.Popen[bytes]) -> None:
    while not place.exists():
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.02)


def artefacts(run: Path) -> dict[str, bytes]:
    """The contents of everything that decides the outcome."""
    patterns = ("rows/*/model/model.safetensors", "rows/*/*/labels.npy", "rows/*/*/embeddings.npy", "rows/*/ijb/*.json")
    return {
        str(path.relative_to(run)): path.read_bytes()
        for pattern in patterns
        for path in sorted(run.glob(pattern))
        if path.name != "meta.json"
    }


def times(run: Path) -> dict[Path, int]:
    """When every stage was finished."""
    return {path: path.stat().st_mtime_ns for path in run.rglob("meta.json")}


def test_report_has_every_row_and_all_figures(undisturbed):
    page = (undisturbed / "report" / "report.html").read_text()
    for row in ("labelled", "hilander", "lander", "supervised"):
        metrics = json.loads((undisturbed / "rows" / row / "ijb" / "metrics.json").read_text())
        assert 0 <= metrics["fnmr_at_fmr"]["1e-2"] <= 1
        assert 0 <= metrics["fnir_at_fpir"]["1e-1"] <= 1
        assert row in page
    assert not list(undisturbed.rglob("*.partial"))
    truth = np.load(undisturbed / "corpus" / "unlabelled_truth.npy")
    for row in ("hilander", "lander"):
        assert len(np.load(undisturbed / "rows" / row / "clusters" / "labels.npy")) == len(truth)


def test_finished_stages_are_not_repeated(run_recipe, undisturbed):
    before = times(undisturbed)
    log = run_recipe(undisturbed, "--stage", "5", "--stop-stage", "8")
    assert log.count("already done") == 2 + 2 + 2 + 2
    assert times(undisturbed) == before


def test_killed_at_any_moment_it_goes_on_to_the_same_result(run_recipe, undisturbed, tiny, tmp_path):
    moments, run = random.Random(0), tmp_path / "killed"
    process = start(tiny, run, "--backends", "hilander")
    wait_for(run / "rows/supervised/model.partial", process)
    time.sleep(moments.uniform(0, 1))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    process = start(tiny, run, "--backends", "hilander")
    wait_for(run / "rows/hilander/tuned.partial", process)
    time.sleep(moments.uniform(0, 1))
    process.terminate()
    process.communicate()  # returns when no worker has the pipe any more
    assert process.returncode == 128 + signal.SIGTERM
    assert not (run / "rows/hilander/tuned").exists()
    run_recipe(run, "--backends", "hilander")
    expected, found = artefacts(undisturbed), artefacts(run)
    expected = {name: content for name, content in expected.items() if not name.startswith("rows/lander/")}
    assert expected.keys() == found.keys()
    assert [name for name in expected if expected[name] != found[name]] == []


def test_other_backends_into_the_same_folder_make_the_report_anew(run_recipe, finished):
    log = run_recipe(finished, "--backends", "lander", "--stage", "9")
    assert "report was about labelled hilander lander supervised: it is made anew" in log
    rows = [line.split(",")[0] for line in (finished / "report" / "comparison.csv").read_text().splitlines()]
    assert rows == ["row", "labelled", "lander", "supervised"]
    assert (finished / "rows" / "hilander" / "ijb").is_dir()


def test_other_work_into_the_same_folder_is_refused(call, undisturbed, tmp_path):
    config = tmp_path / "other.yaml"
    config.write_text(TINY.replace("k: 10", "k: 6"))
    before = (undisturbed / "config" / "knn.yaml").read_text()
    words = ("--config", config, "--out", undisturbed, "--stage", "4", "--stop-stage", "4")
    status, log = call(pseudolabel.main, *words)
    assert status == 2
    assert "knn.k 10 there, 6 asked" in log
    assert log.count("\n") == 1
    assert (undisturbed / "config" / "knn.yaml").read_text() == before
    (finished := tmp_path / "run").mkdir()
    shutil.copytree(undisturbed / "corpus", finished / "corpus")
    shutil.copytree(undisturbed / "embeddings", finished / "embeddings")
    shutil.copytree(undisturbed / "knn", finished / "knn")  # no config: the stage itself notices
    status, log = call(pseudolabel.main, *words[:3], finished, *words[4:])
    assert status == 2
    assert "config.k 10 there, 6 asked" in log


def test_settings_that_change_no_result_may_differ(run_recipe, finished, tmp_path):
    config = tmp_path / "other.yaml"
    config.write_text(TINY.replace("embed: {workers: 0}", "embed: {workers: 1}"))
    log = run_recipe(finished, "--stage", "3", "--stop-stage", "3", config=config)
    assert log.count("already done") == 2
    assert (finished / "config" / "embed.yaml").read_text() == "workers: 1\n"


def hold(run: Path, begun, ended) -> None:
    """A run that is in its folder until it is told to end."""
    with door.locked(run):
        begun.set()
        ended.wait(60)


def test_a_second_run_into_the_same_folder_is_refused(call, tiny, tmp_path):
    run, fork = tmp_path / "run", multiprocessing.get_context("fork")
    begun, ended = fork.Event(), fork.Event()
    first = fork.Process(target=hold, args=(run, begun, ended))
    first.start()
    assert begun.wait(60)
    status, log = call(pseudolabel.main, "--config", tiny, "--out", run)
    ended.set()
    first.join(60)
    assert (status, first.exitcode) == (2, 0)
    assert log == f"recipe: error: {run}: another run is working there; wait or choose another --out\n"
    assert [path.name for path in run.iterdir()] == [".lock"]


def test_a_job_that_fails_beside_others_ends_the_recipe_with_its_status(call, finished, tiny):
    shutil.rmtree(finished / "rows" / "lander" / "tuned")
    status, log = call(
        pseudolabel.main, "--config", tiny, "--out", finished, "--backends", "nosuch,lander", "--stage", "5"
    )
    assert status == 2
    assert "nosuch" in log
    assert "== stage 6" not in log
    assert (finished / "rows" / "lander" / "tuned" / "meta.json").exists()


@pytest.fixture(scope="module")
def two_rounds(tmp_path_factory, undisturbed, call, tiny):
    out = tmp_path_factory.mktemp("rounds") / "rounds"
    shutil.copytree(undisturbed, out / "round1", ignore=shutil.ignore_patterns("report", "lander"))
    status, log = call(rounds.main, "--config", tiny, "--out", out, "--rounds", "2", "--jobs", "2")
    assert status == 0, log[-3000:]
    return out


def test_rounds_take_the_student_as_the_next_teacher(run_recipe, two_rounds):
    out = two_rounds
    second = json.loads((out / "round2" / "embeddings" / "unlabelled" / "meta.json").read_text())
    student = json.loads((out / "round1" / "embeddings" / "unlabelled" / "meta.json").read_text())
    assert second["inputs"]["faces"]["hash"] == student["inputs"]["faces"]["hash"]
    assert second["inputs"]["model"]["hash"] != student["inputs"]["model"]["hash"]
    assert second["inputs"]["model"]["path"].endswith("round1/rows/hilander/model")
    page = (out / "report" / "report.html").read_text()
    assert all(row in page for row in ("labelled", "hilander-round1", "hilander-round2", "supervised"))
    models = [path.stat().st_mtime_ns for path in sorted(out.glob("round*/rows/*/model/meta.json"))]
    log = run_recipe(out, "--rounds", "2", "--jobs", "2", main=rounds.main)
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
def test_modes_of_training_students(run_recipe, finished, mode, options):
    shutil.rmtree(finished / "rows" / "hilander" / "model")
    run_recipe(finished, "--stage", "8", "--stop-stage", "8", "--backends", "hilander", "--mode", mode)
    meta = json.loads((finished / "rows" / "hilander" / "model" / "meta.json").read_text())
    assert options.items() <= meta["config"].items()
    assert ("faces" in meta["inputs"]) == (mode != "pseudo")
    assert ("init" in meta["inputs"]) == (mode == "finetune")


def test_people_who_are_labelled_already_are_looked_for(run_recipe, finished, tmp_path):
    run = finished
    known = sorted((run / "corpus/labelled/id00003").iterdir())
    for number, photograph in enumerate(known):
        shutil.copy(photograph, run / f"corpus/unlabelled/again{number:03d}.jpg")
    truth = np.load(run / "corpus/unlabelled_truth.npy")
    np.save(run / "corpus/unlabelled_truth.npy", np.append(truth, np.full(len(known), truth.max() + 1)))
    for stale in (run / "knn", run / "embeddings/unlabelled", run / "rows/hilander", run / "rows/lander"):
        shutil.rmtree(stale)
    lenient = tmp_path / "lenient.yaml"  # among so few people fewer false matches cannot be measured
    lenient.write_text(TINY.replace("min_size: 2", "min_size: 2, overlap_false_match: 0.4"))
    options = ("--stage", "3", "--stop-stage", "8", "--backends", "hilander", "--overlap", "merge")
    run_recipe(run, *options, config=lenient)
    pseudo = run / "rows/hilander/pseudo"
    assert json.loads((pseudo / "summary.json").read_text())["overlap"]["action"] == "merge"
    labels, same_as = np.load(pseudo / "labels.npy"), np.load(pseudo / "same_as.npy")
    again = labels[len(truth) :]
    assert (same_as[again[again >= 0]] == 3).sum() > len(known) / 2
    assert (run / "rows/hilander/model/meta.json").exists()


def test_every_command_is_there_and_reads_its_section(tiny):
    settings, sections = recipe.load_recipe(tiny)
    run = pseudolabel.Run(Path("out"), str(tiny), settings, 1, 10)
    read = {word for chains_of in pseudolabel.STAGES.values() for chain in chains_of(run) for words in chain
            for word in words if word.startswith("out/config/")}  # fmt: skip
    assert read == {f"out/config/{name}.yaml" for name in sections}


def test_the_recipe_refuses_before_it_makes_a_folder(call, tmp_path):
    (tmp_path / "c.yaml").write_text("recipe: {backends: [hilander]}\nijb: {boostrap: 3}\n")
    status, log = call(pseudolabel.main, "--config", tmp_path / "c.yaml", "--out", tmp_path / "out")
    assert (status, log.count("\n")) == (2, 1)
    assert "c.yaml: section ijb: unknown setting 'boostrap'; did you mean bootstrap?" in log
    assert not (tmp_path / "out").exists()
