"""Settings of every section are known to the section's command, or refused before any stage runs."""

from pathlib import Path

import known_settings
import pytest
import recipe
import yaml

from facerec.pipeline.files import InputError

from .conftest import RECIPES


def check(file: Path) -> None:
    settings, sections = recipe.load_recipe(file)
    known_settings.check_settings(file, sections, settings.corpus)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {stepz: 3}", "section train: unknown setting 'stepz'; did you mean steps?"),
        ("corpus: {labeled: 3}", "section corpus: unknown setting 'labeled'; did you mean labelled?"),
        (
            "{recipe: {corpus: split}, corpus: {difficulty: 0.1}}",
            "unknown setting 'difficulty'; python -m facerec split",
        ),
        ("embed: {batch-size: 3}", "unknown setting 'batch-size'; did you mean batch_size?"),
        ("knn: {kk: 3}", "section knn: unknown setting 'kk'"),
        ("tune: {trails: 3}", "did you mean trials?"),
        ("cluster: {modell: x}", "did you mean model?"),
        ("pseudolabel: {minsize: 3}", "did you mean min_size?"),
        ("ijb: {bootstraps: 3}", "did you mean bootstrap?"),
        ("compare: {titel: x}", "did you mean title?"),
        ("knn: {embeddings: x}", "section knn: embeddings would not count, as the recipe sets it; remove it"),
        ("knn: {k: }", "section knn: k has no value"),
        ("train: {3: 4}", "section train: unknown setting 3"),
        ("train: {steps: many}", "section train: steps is 'many'; expected a whole number"),
        ("knn: {k: 2.5}", "section knn: k is 2.5; expected a whole number"),
        ("corpus: {workers: -1}", "c.yaml: section corpus: workers is -1; expected a number at least 0"),
        ("pseudolabel: {min_size: [3]}", "min_size is [3]; expected a whole number"),
    ],
)
def test_what_a_command_does_not_know_is_refused(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError) as found:
        check(tmp_path / "c.yaml")
    assert message in str(found.value)
    assert "\n" not in str(found.value)


def test_what_commands_know_passes(tmp_path):
    for file in sorted((RECIPES / "conf").glob("*.yaml")):
        check(file)
    known = {
        "train": {"steps": 3, "learning_rate": "1e-3", "validation": ["a.bin"], "clip": None, "compile": True},
        "tune": {"trainings": [{"epochs": 8, "simulated": 0}]},
        "corpus": {"difficulty": 1},
        "pseudolabel": {"min_size": 2},
        "embed": {},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(known))
    check(tmp_path / "c.yaml")
