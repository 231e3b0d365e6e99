"""The whole recipe on a tiny rendered corpus: finished, repeated, killed, and with other options."""

import dataclasses
import json
import multiprocessing
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import places
import pseudolabel
import pytest
import recipe
import stages

from clustering.answers.file import load_answers
from facerec.pipeline.workplace import locked

from .conftest import RECIPES, TINY, environment

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def run_recipe(call, tiny):
    """A function that runs the recipe with options to its end and returns what was printed."""

    def run(out: Path, *options: str, config: Path = tiny) -> str:
        status, log = call(pseudolabel.main, "--config", config, "--out", out, *options)
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
    for row in ("labelled", "dbscan", "components", "supervised"):
        metrics = json.loads((undisturbed / "rows" / row / "ijb" / "metrics.json").read_text())
        assert 0 <= metrics["fnmr_at_fmr"]["1e-2"] <= 1
        assert 0 <= metrics["fnir_at_fpir"]["1e-1"] <= 1
        assert row in page
    worst = page.partition("<h2>Worst pairs</h2>")[2].partition("<h2>")[0]
    assert worst.count("data:image/jpeg") == worst.count("<span") > 0  # each face that is named is shown
    assert not list(undisturbed.rglob("*.partial"))
    truth = np.load(undisturbed / "corpus" / "unlabelled_truth.npy")
    for row in ("dbscan", "components"):
        assert len(np.load(undisturbed / "rows" / row / "clusters" / "labels.npy")) == len(truth)


def test_finished_stages_are_not_repeated(run_recipe, undisturbed):
    before = times(undisturbed)
    log = run_recipe(undisturbed, "--stage", "5", "--stop-stage", "8")
    assert log.count("already done") == 2 + 2 + 2 + 2
    assert times(undisturbed) == before


def test_ended_at_any_moment_it_goes_on_to_the_same_result(run_recipe, undisturbed, tiny, tmp_path):
    run = tmp_path / "ended"
    shutil.copytree(undisturbed, run, ignore=shutil.ignore_patterns("supervised", "dbscan", "report"))
    for made_later in ("model", "test", "ijb"):
        shutil.rmtree(run / "rows" / "components" / made_later)
    process = start(tiny, run, "--backends", "components")
    wait_for(run / "rows/components/model.partial", process)
    time.sleep(random.Random(0).uniform(0, 0.5))  # on an idle machine the student learns for 0.7 s
    process.terminate()
    process.communicate()  # returns when no worker has the pipe any more
    assert process.returncode == 128 + signal.SIGTERM
    assert not (run / "rows/components/model").exists()
    run_recipe(run, "--backends", "components", "--stop-stage", "9")
    expected, found = artefacts(undisturbed), artefacts(run)
    expected = {name: content for name, content in expected.items() if not name.startswith("rows/dbscan/")}
    assert expected.keys() == found.keys()
    assert [name for name in expected if expected[name] != found[name]] == []


def test_other_backends_into_the_same_folder_make_the_report_anew(run_recipe, finished):
    log = run_recipe(finished, "--backends", "components", "--stage", "9")
    assert "report was about labelled dbscan components supervised: it is made anew" in log
    rows = [line.split(",")[0] for line in (finished / "report" / "comparison.csv").read_text().splitlines()]
    assert rows == ["row", "labelled", "components", "supervised"]
    assert (finished / "rows" / "dbscan" / "ijb").is_dir()


def test_fewer_trainings_than_there_are_are_not_reported(call, tiny, finished):
    (finished / "rows" / "dbscan" / "seeds" / "2").mkdir(parents=True)
    words = ("--config", tiny, "--out", finished, "--seeds", "2")
    status, log = call(pseudolabel.main, *words)
    assert status == 2
    assert log == (
        f"recipe: error: {finished}/rows/dbscan/seeds/2: a training beyond --seeds 2, which the report would count; "
        "ask for --seeds 3, or remove such folders\n"
    )
    assert call(pseudolabel.main, *words, "--stop-stage", "1")[0] == 0


def test_the_picture_of_clusters_that_were_removed_is_drawn_anew(run_recipe, finished):
    row = finished / "rows" / "dbscan"
    shutil.rmtree(row / "clusters")
    (row / "sheet.png").write_bytes(b"of other clusters")
    kept = finished / "rows" / "components" / "sheet.png"
    kept.write_bytes(b"mine")
    run_recipe(finished, "--stage", "6", "--stop-stage", "6")
    assert (row / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert kept.read_bytes() == b"mine"


def test_other_work_into_the_same_folder_is_refused(call, undisturbed, tmp_path):
    config = tmp_path / "other.yaml"
    config.write_text(TINY.replace("k: 10", "k: 6"))
    before = (undisturbed / "config" / "knn.yaml").read_text()
    words = ("--config", config, "--out", undisturbed, "--stage", "4", "--stop-stage", "4")
    status, log = call(pseudolabel.main, *words)
    assert status == 2
    assert "knn.k 10 there, 6 asked" in log
    assert "or delete there knn, rows/*/knn and what was made of these" in log
    assert log.count("\n") == 1
    assert (undisturbed / "config" / "knn.yaml").read_text() == before
    (finished := tmp_path / "run").mkdir()
    shutil.copytree(undisturbed / "corpus", finished / "corpus")
    shutil.copytree(undisturbed / "embeddings", finished / "embeddings")
    shutil.copytree(undisturbed / "knn", finished / "knn")  # no config: the stage itself notices
    status, log = call(pseudolabel.main, *words[:3], finished, *words[4:])
    assert status == 2
    assert "config.k 10 there, 6 asked" in log


def test_answers_are_asked_for_and_kept(run_recipe, finished):
    row = finished / "rows" / "components"
    shutil.rmtree(row / "clusters")
    run_recipe(finished, "--backends", "components", "--answers", "12", "--stage", "6", "--stop-stage", "6")
    keys = (finished / "embeddings" / "unlabelled" / "keys.txt").read_text().splitlines()
    answers = load_answers(row / "asked" / "answers.json", len(keys), keys)
    labels, truth = np.load(row / "clusters" / "labels.npy"), np.load(finished / "corpus" / "unlabelled_truth.npy")
    one, other = answers.pairs.T
    assert 0 < len(answers) <= 12
    assert ((labels[one] == labels[other]) == (truth[one] == truth[other])).all()


def test_answers_of_a_round_are_those_of_the_next(tmp_path):
    settings = recipe.Settings(backends=["dbscan"], rounds=2, answers=300)
    run = places.Run(tmp_path, "tiny.yaml", settings, {name: {} for name in recipe.SECTIONS})
    (first, *_), (second, *_) = (stages.cluster(run, number) for number in run.rounds)
    asked = str(tmp_path / "rows" / "dbscan-round1-short" / "asked" / "answers.json")
    words = [" ".join(map(str, command)) for command in [*first[:3], *second[:3]]]
    assert [f"--answers {asked}" in each for each in words] == [False, False, True, True, True, False]
    assert all("--count 50 --rounds 3" in words[at] for at in (1, 4))


def test_settings_that_change_no_result_may_differ(run_recipe, finished, tmp_path):
    config = tmp_path / "other.yaml"
    config.write_text(TINY.replace("embed: {workers: 0}", "embed: {workers: 1}"))
    log = run_recipe(finished, "--stage", "3", "--stop-stage", "3", config=config)
    assert log.count("already done") == 2
    assert (finished / "config" / "embed.yaml").read_text() == "workers: 1\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mode", "finetune"), "dbscan/model: made with mode 'joint', 'finetune' asked"),
        (("--mode", "two-heads"), "dbscan/model: made with mode 'joint', 'two-heads' asked"),
        (("--overlap", "merge"), "dbscan/pseudo: made with overlap '', 'merge' asked"),
    ],
)
def test_a_late_stage_alone_does_not_pass_rows_off_as_others(call, undisturbed, tiny, options, message):
    words = ("--config", tiny, "--out", undisturbed, "--stage", "10", *options)
    status, log = call(pseudolabel.main, *words)
    assert status == 2
    assert message in log
    assert log.count("\n") == 1


@pytest.mark.parametrize(
    ("stage", "setting", "message"),
    [
        ("10", "teacher: {run}/rows/supervised/model", "embeddings/validation: holds other work"),
        ("9", "answers: 10", "rows/dbscan/clusters: holds other work"),
        ("6", "whiten: false", "knn: holds other work"),
    ],
)
def test_a_late_stage_goes_on_from_nothing_that_was_made_otherwise(
    call, undisturbed, tmp_path, stage, setting, message
):
    config = tmp_path / "other.yaml"
    config.write_text(TINY.replace("recipe: {", f"recipe: {{{setting.format(run=undisturbed)}, "))
    before = times(undisturbed)
    status, log = call(pseudolabel.main, "--config", config, "--out", undisturbed, "--stage", stage)
    assert status == 2
    assert log.startswith(f"recipe: error: {undisturbed}/{message}")
    assert log.count("\n") == 1
    assert times(undisturbed) == before


def test_clusters_that_were_made_anew_do_not_meet_the_old_pseudo_labels(call, finished, tiny):
    labels = finished / "rows/dbscan/clusters/labels.npy"
    np.save(labels, np.arange(len(np.load(labels))))
    status, log = call(pseudolabel.main, "--config", tiny, "--out", finished, "--stage", "8")
    assert status == 2
    assert log.startswith(f"recipe: error: {finished}/rows/dbscan/pseudo: holds other work than what was asked")


def test_trainings_that_are_not_there_are_not_passed_over(call, undisturbed, tiny):
    words = ("--config", tiny, "--out", undisturbed, "--stage", "10", "--seeds", "2")
    status, log = call(pseudolabel.main, *words)
    assert status == 2
    assert f"{undisturbed}/rows/labelled/seeds/1: not evaluated; begin with an earlier --stage" in log


def test_a_report_of_other_figures_is_made_anew_and_shows_the_options(run_recipe, finished):
    shutil.rmtree(finished / "rows/dbscan/ijb")
    log = run_recipe(finished, "--stage", "9", "--seeds", "1", "--jobs", "1")
    assert f"{finished}/report was made from other figures or another recipe: it is made anew" in log
    assert "># run with --seeds 1\n" in (finished / "report" / "report.html").read_text()


def test_a_report_stays_where_rows_of_another_one_are_missing(call, finished, tiny):
    status, log = call(pseudolabel.main, "--config", tiny, "--out", finished, "--stage", "10", "--backends", "aro")
    assert status == 2
    assert f"{finished}/rows/aro: not evaluated; begin with an earlier --stage" in log
    assert (finished / "report" / "report.html").is_file()


def hold(run: Path, begun, ended) -> None:
    """A run that is in its folder until it is told to end."""
    with locked(run):
        begun.set()
        ended.wait(600)


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
    for backend in ("dbscan", "components"):
        shutil.rmtree(finished / "rows" / backend / "tuned")
    foreign = finished / "rows" / "dbscan" / "tuned" / "mine.txt"
    foreign.parent.mkdir()
    foreign.write_text("")
    status, log = call(
        pseudolabel.main, "--config", tiny, "--out", finished, "--backends", "dbscan,components", "--stage", "5"
    )
    assert status == 2
    assert str(foreign.parent) in log
    assert "== stage 6" not in log
    assert (finished / "rows" / "components" / "tuned" / "meta.json").exists()


ROUNDS = ("--backends", "components", "--rounds", "2", "--seeds", "2")


@pytest.fixture(scope="module")
def two_rounds(tmp_path_factory, undisturbed, call, tiny):
    """Two rounds whose last student and bounds are trained twice, beginning with what the finished run shares."""
    out = tmp_path_factory.mktemp("rounds") / "run"
    shutil.copytree(undisturbed, out, ignore=shutil.ignore_patterns("dbscan", "components"))
    shutil.copytree(undisturbed / "rows/components/tuned", out / "rows/components-round1-short/tuned")
    status, log = call(pseudolabel.main, "--config", tiny, "--out", out, *ROUNDS, "--jobs", "2")
    assert status == 0, log[-3000:]
    return out, log


def note(folder: Path) -> dict:
    return json.loads((folder / "meta.json").read_text())


def test_rounds_take_the_short_student_as_the_next_teacher(two_rounds):
    run, log = two_rounds
    first, second = run / "rows/components-round1-short", run / "rows/components-round2"
    assert note(second / "embeddings/unlabelled")["inputs"]["model"]["path"].endswith("components-round1-short/model")
    assert note(second / "knn")["inputs"]["embeddings"]["path"].endswith("components-round2/whitened/unlabelled")
    assert note(second / "whitened/unlabelled")["inputs"]["people"]["path"].endswith("round2/embeddings/validation")
    assert note(second / "clusters")["inputs"]["model"]["path"].endswith("components-round1-short/tuned")
    assert (note(first / "model")["config"]["steps"], note(second / "model")["config"]["steps"]) == (6, 18)
    assert note(first / "model")["inputs"]["init"]["path"].endswith("rows/labelled/model")
    assert "init" not in note(second / "model")["inputs"]  # trained as the bounds are
    assert log.count("round 1\n") == log.count("round 2\n") == 6
    figures = json.loads((run / "validation" / "rounds.json").read_text())["fnmr@1e-3"]
    assert list(figures) == ["labelled", "components-round1-short", "components-round2"]
    assert "== validation, FNMR@FMR 1e-3 in per cent: labelled" in log
    faces = note(second / "validation")["inputs"]
    assert faces["faces"]["path"].endswith("corpus/validation")
    assert faces["model"]["path"].endswith("components-round2/model")


def test_every_row_is_trained_with_every_seed_but_short_students(two_rounds):
    run, log = two_rounds
    lines = (run / "report" / "comparison.csv").read_text().splitlines()
    column = lines[0].split(",").index("trainings")
    assert {line.split(",")[0]: line.split(",")[column] for line in lines[1:]} == {
        "labelled": "2", "components-round1-short": "", "components-round2": "2", "supervised": "2"
    }  # fmt: skip
    for row in ("labelled", "components-round2", "supervised"):
        folders = [run / "rows" / row, run / "rows" / row / "seeds" / "1"]
        assert [note(each / "model")["config"]["seed"] for each in folders] == [0, 1]
        first, second = (np.load(each / "test" / "embeddings.npy") for each in folders)
        assert not np.array_equal(first, second)
    assert "report was about labelled dbscan components supervised: it is made anew" in log
    assert "Not compared, because of fewer trainings: components-round1-short" in log


def test_finished_rounds_are_not_repeated(run_recipe, two_rounds):
    run, _ = two_rounds
    before = times(run)
    log = run_recipe(run, *ROUNDS, "--stage", "3", "--stop-stage", "8")
    assert log.count("already done") == 2 + 3 + 1 + 1 + 1 + 1 + 2 + 3 + 1 + 1 + 2
    assert times(run) == before


@pytest.mark.parametrize(("mode", "options"), [
    ("two-heads", {"heads": 2, "pseudo_share": 0.5}), ("pseudo", {"heads": 1}), ("finetune", {"heads": 1}),
])  # fmt: skip
def test_modes_of_training_students(run_recipe, finished, mode, options):
    shutil.rmtree(finished / "rows" / "dbscan" / "model")
    pseudo, truth = finished / "rows/dbscan/pseudo", np.load(finished / "corpus/unlabelled_truth.npy")
    np.save(pseudo / "labels.npy", truth)  # how many classes so short a training finds depends on the processor
    np.save(pseudo / "weights.npy", np.ones(len(truth), np.float32))
    run_recipe(finished, "--stage", "8", "--stop-stage", "8", "--backends", "dbscan", "--mode", mode)
    meta = json.loads((finished / "rows" / "dbscan" / "model" / "meta.json").read_text())
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
    made = [run / "rows/dbscan" / name for name in ("clusters", "pseudo", "model", "test", "ijb")]
    for stale in (
        run / "knn",
        run / "embeddings/unlabelled",
        run / "whitened/unlabelled",
        run / "rows/components",
        *made,
    ):
        shutil.rmtree(stale)
    lenient = tmp_path / "lenient.yaml"  # among so few people fewer false matches cannot be measured
    lenient.write_text(TINY.replace("min_size: 2", "min_size: 2, overlap_false_match: 0.4"))
    options = ("--stage", "3", "--stop-stage", "8", "--backends", "dbscan", "--overlap", "merge")
    run_recipe(run, *options, config=lenient)
    pseudo = run / "rows/dbscan/pseudo"
    assert json.loads((pseudo / "summary.json").read_text())["overlap"]["action"] == "merge"
    labels, same_as = np.load(pseudo / "labels.npy"), np.load(pseudo / "same_as.npy")
    again = labels[len(truth) :]
    assert (same_as[again[again >= 0]] == 3).sum() > len(known) / 2
    assert (run / "rows/dbscan/model/meta.json").exists()


def test_every_command_is_there_and_reads_its_section(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings, sections = recipe.load_recipe(tiny)
    run = places.Run(Path("out"), str(tiny), settings, sections)
    for row in run.rows:
        (run.row(row) / "ijb").mkdir(parents=True)
    read = {word for _, _, chains in pseudolabel.steps(run) for chain in chains() for words in chain
            for word in words if word.startswith("out/config/")}  # fmt: skip
    assert read == {f"out/config/{name}.yaml" for name in sections}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "recipe: {backends: [dbscan]}\nijb: {boostrap: 3}\n",
            "c.yaml: section ijb: unknown setting 'boostrap'; did you mean bootstrap?",
        ),
        ("recipe: {backends: [hilandr]}\n", "backend 'hilandr' is unknown; did you mean hilander?"),
    ],
)
def test_the_recipe_refuses_before_it_makes_a_folder(call, tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    status, log = call(pseudolabel.main, "--config", tmp_path / "c.yaml", "--out", tmp_path / "out")
    assert (status, log.count("\n")) == (2, 1)
    assert message in log
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_faces_that_are_not_to_be_whitened_are_clustered_as_they_are(tiny):
    settings, sections = recipe.load_recipe(tiny)
    run = places.Run(Path("out"), str(tiny), dataclasses.replace(settings, whiten=False), sections)
    words = [word for stage in (stages.link, stages.tune, stages.cluster, stages.label) for chain in stage(run, 1)
             for command in chain for word in command]  # fmt: skip
    assert "out/embeddings/unlabelled" in words
    assert not any("whiten" in word for word in words)


def test_rounds_need_to_know_how_long_a_training_is(call, tmp_path):
    (tmp_path / "c.yaml").write_text("recipe: {backends: [hilander], rounds: 2}\n")
    status, log = call(pseudolabel.main, "--config", tmp_path / "c.yaml", "--out", tmp_path / "out")
    assert (status, log.count("\n")) == (2, 1)
    assert "no steps and no epochs in section train; rounds need them for short students" in log
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("student", "options"),
    [
        ({"steps": 900}, {"steps": 297}),
        ({"epochs": 10}, {"epochs": 3.3}),
        ({"steps": 1}, {"steps": 1}),
        ({"steps": "900"}, {"steps": 297}),
        ({"epochs": "10"}, {"epochs": 3.3}),
    ],
)
def test_short_students_have_a_share_of_the_steps(tiny, student, options):
    settings = recipe.load_recipe(tiny)[0]
    assert stages.shortened(places.Run(Path("out"), "c.yaml", settings, {"student": student})) == pytest.approx(options)


def test_students_that_go_on_from_their_teacher_do_so_in_every_round():
    settings = recipe.Settings(backends=["a"], rounds=2, mode="finetune")
    run = places.Run(Path("out"), "c.yaml", settings, {name: {"steps": 100} for name in recipe.SECTIONS})
    begun = [words[words.index("--init") + 1] for number in (1, 2) for [words] in stages.retrain(run, number)]
    assert begun == ["out/rows/labelled/model", "out/rows/a-round1-short/model"]
