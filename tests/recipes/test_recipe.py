"""A recipe's YAML: what is refused, and which file of it each command reads."""

import shutil
from pathlib import Path

import finished
import pseudolabel
import pytest
import recipe
import yaml

from facerec.pipeline.files import InputError, write_json

from .conftest import RECIPES, through_the_door


def written(tmp_path: Path, text: str) -> Path:
    config = tmp_path / "c.yaml"
    config.write_text(text)
    return config


def test_every_section_becomes_a_file_and_settings_are_read(tmp_path):
    config = written(tmp_path, 'recipe: {backends: [a, b], teacher: "x y.onnx"}\ntrain: {steps: 3}\n')
    settings, sections = recipe.load_recipe(config)
    finished.write_sections(sections, tmp_path)
    assert yaml.safe_load((tmp_path / "config" / "train.yaml").read_text()) == {"steps": 3}
    assert yaml.safe_load((tmp_path / "config" / "knn.yaml").read_text()) == {}
    assert settings == recipe.Settings(
        corpus="synth", teacher="x y.onnx", tune_on="labelled", test_faces="", protocol="",
        backends=["a", "b"], jobs=1, rounds=1, short=0.33, seeds=1, mode="joint", overlap="",
    )  # fmt: skip


def test_every_default_may_be_written_down(tmp_path):
    config = written(tmp_path, yaml.safe_dump({"recipe": vars(recipe.Settings())}))
    assert recipe.load_recipe(config)[0] == recipe.Settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trian: {}", "unknown section 'trian'"),
        ("recipe: {techer: x}", "unknown setting of recipe 'techer'"),
        ("- 1", "expected keys and values"),
        ("recipe: {teacher: 2001-99-99}", "not readable as YAML"),
        ("a: [", "recipe: error:"),
        ("train: 3", "section train is 3; expected settings"),
        ('recipe: {jobs: "x[$(touch P)]=1"}', 'jobs of section recipe is "x[$(touch P)]=1"; expected a whole number'),
        ("recipe: {jobs: 0}", "jobs of section recipe is 0; expected a whole number from 1"),
        ("recipe: {jobs: true}", "jobs of section recipe is true"),
        ("recipe: {teacher: }", "teacher of section recipe is null; expected text"),
        ("recipe: {mode: both}", "expected one of joint, two-heads, pseudo, finetune"),
        ("recipe: {overlap: join}", "expected one of '', drop, merge, keep"),
        ("recipe: {corpus: train}", "expected one of synth, split"),
        ("recipe: {tune_on: [labelled]}", "expected one of labelled, validation"),
        ("recipe: {short: 2}", "short of section recipe is 2; expected a share, above 0 and at most 1"),
        ("recipe: {backends: hilander}", "expected a list of backends"),
        ("recipe: {whiten: 1}", "whiten of section recipe is 1; expected true or false"),
        ("recipe: {backends: [../a]}", "expected a list of backends"),
        ("recipe: {corpus: split, protocol: .}", "corpus: split makes no test set; name test_faces and protocol in"),
        ("recipe: {protocol: nowhere}", "protocol: nowhere is not there; paths are relative to the current folder, "),
        ("recipe: {protocol: ~no_such_user/p}", "protocol: ~no_such_user/p is not there"),
        ("recipe: {backends: [aro, aro]}", "backends: aro stands there twice"),
        ("train: {steps: 1}\nknn: {k: 3}\ntrain: {}", "c.yaml line 3: 'train' stands there before, in line 1"),
        ("recipe: {corpus: split, tune_on: validation}", "nobody is kept for it; set validation in section corpus"),
    ],
)
def test_wrong_recipes_are_refused_in_one_line(call, tmp_path, monkeypatch, text, message):
    config = written(tmp_path, text)
    monkeypatch.chdir(tmp_path)
    status, log = call(pseudolabel.main, "--config", config, "--out", tmp_path / "out")
    assert status == 2
    assert message in log
    assert log.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_the_last_stage_without_a_test_set_is_named(call, tmp_path, monkeypatch):
    monkeypatch.setattr(pseudolabel, "FIRST_OF_TEST", 6)
    config = written(tmp_path, "recipe: {corpus: split}")
    status, log = call(pseudolabel.main, "--config", config, "--out", tmp_path / "out")
    assert status == 2
    assert log.rstrip().endswith("--stop-stage 5")


@pytest.mark.parametrize(
    ("settings", "doubted"),
    [
        (recipe.Settings(), ["tune_on"]),
        (recipe.Settings(tune_on="validation"), []),
        (recipe.Settings(teacher="x.onnx"), []),
        (recipe.Settings(teacher="x.onnx", rounds=2), ["tune_on"]),
        (recipe.Settings(tune_on="validation", rounds=2), []),
        (recipe.Settings(mode="finetune"), ["tune_on", "mode"]),
        (recipe.Settings(tune_on="validation", mode="finetune"), ["mode"]),
    ],
)
def test_thresholds_chosen_on_people_of_the_training_and_longer_trainings_of_students_are_doubted(settings, doubted):
    assert [said.partition(":")[0] for said in recipe.doubts(settings)] == doubted


def test_other_settings_are_written_until_work_depends_on_them(tmp_path):
    def write(text: str) -> None:
        finished.write_sections(recipe.load_recipe(written(tmp_path, text))[1], tmp_path)

    write("knn: {k: 10, device: cpu}")
    write("knn: {k: 8, device: cpu}")
    (tmp_path / "knn").mkdir()
    write_json(tmp_path / "knn" / "meta.json", {"config": {"k": 8}})
    write("knn: {k: 8, device: cuda}")
    for text, message in (
        ("knn: {k: 6}", "knn.k 8 there, 6 asked"),
        ("train: {steps: 1}", "knn.k 8 there, null asked"),
    ):
        with pytest.raises(InputError, match=message):
            write(text)
    assert yaml.safe_load((tmp_path / "config" / "knn.yaml").read_text()) == {"k": 8, "device": "cuda"}
    assert yaml.safe_load((tmp_path / "config" / "train.yaml").read_text()) == {}


@pytest.mark.parametrize(
    ("folder", "text"),
    [
        ("rows/labelled/ijb", "ijb: {bootstrap: 5}"),
        ("rows/labelled/seeds/1/ijb", "ijb: {bootstrap: 5}"),
        ("rows/labelled/test", "embed: {flip: false}"),
        ("rows/labelled/seeds/1/test", "embed: {flip: false}"),
        ("rows/labelled/validation", "embed: {flip: false}"),
    ],
)
def test_figures_of_further_trainings_depend_on_settings_too(tmp_path, folder, text):
    finished.write_sections(recipe.load_recipe(written(tmp_path, "knn: {k: 8}"))[1], tmp_path)
    (tmp_path / folder).mkdir(parents=True)
    write_json(tmp_path / folder / "meta.json", {"config": {"bootstrap": 0, "flip": True}})
    with pytest.raises(InputError, match="choose another --out, or delete there"):
        finished.write_sections(recipe.load_recipe(written(tmp_path, text))[1], tmp_path)


@pytest.mark.parametrize("config", sorted((RECIPES / "conf").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_recipes_open_with_purpose_command_cost_and_result(config):
    lines = config.read_text().splitlines()
    for word in ("# Purpose:", "# Command:", "# Cost:", "# Result:"):
        assert any(line.startswith(word) for line in lines), word
    recipe.load_recipe(config)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stage", "11"], "--stage 11 is not one of 1 to 10"),
        (["--stage", "5", "--stop-stage", "3"], "--stop-stage 3 is before --stage 5"),
        (["--mode", "both"], "--mode both is not one of joint, two-heads, pseudo, finetune"),
        (["--overlap", "join"], "--overlap join is not one of drop, merge, keep"),
        (["--out"], "--out needs a value"),
        (["--colour", "red"], "unknown option --colour"),
        (["--jobs", "0"], "--jobs 0 is not a number"),
        (["--rounds", "0"], "--rounds 0 is not a number from 1"),
        (["--seeds", "some"], "--seeds some is not a number from 1"),
        (["--backends", "a,,b"], "--backends a,,b is not a list of names"),
    ],
)
def test_wrong_options_of_the_recipe(call, arguments, message):
    status, log = call(pseudolabel.main, *arguments)
    assert status == 2
    assert message in log
    assert log.count("\n") == 1


def test_the_door_hands_on_options_status_and_output():
    name = "run_pseudolabel.sh"
    done = through_the_door(name, "--help")
    assert done.returncode == 0
    assert f"recipes/{name} [--config FILE]" in done.stdout
    assert "--stop-stage M" in done.stdout
    assert done.stderr == ""
    wrong = through_the_door(name, "--jobs", "2", "--colour", "dark red")
    assert wrong.returncode == 2
    assert wrong.stderr == f"{name}: error: unknown option --colour (see --help)\n"
    assert wrong.stdout == ""


def test_students_are_trained_by_train_and_what_student_adds(tmp_path):
    config = written(tmp_path, "train: {steps: 3, width: 0.5}\nstudent: {steps: 4}\n")
    sections = recipe.load_recipe(config)[1]
    assert sections["student"] == {"steps": 4, "width": 0.5}
    for row in ("labelled", "hilander"):
        (tmp_path / "rows" / row / "model").mkdir(parents=True)
        write_json(tmp_path / "rows" / row / "model" / "meta.json", {"config": {"steps": 3}})
    finished.write_sections(sections, tmp_path)
    with pytest.raises(InputError, match="student.steps 4 there, 5 asked"):
        finished.write_sections(sections | {"student": {"steps": 5, "width": 0.5}}, tmp_path)
    shutil.rmtree(tmp_path / "rows" / "hilander")
    finished.write_sections(sections | {"student": {"steps": 5, "width": 0.5}}, tmp_path)  # bounds are other work


def test_a_report_of_another_title_is_no_other_work(tmp_path):
    sections = {"compare": {"title": "A"}}
    finished.write_sections(sections, tmp_path)
    (tmp_path / "report").mkdir()
    write_json(tmp_path / "report" / "meta.json", {"config": {"title": "A"}})
    finished.write_sections({"compare": {"title": "B"}}, tmp_path)
    assert yaml.safe_load((tmp_path / "config" / "compare.yaml").read_text()) == {"title": "B"}
