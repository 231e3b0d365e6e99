"""A recipe's YAML: its own section, and one section for each command, which becomes a file that the command reads."""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from facerec.pipeline.files import InputError, read_yaml
from facerec.pipeline.values import at_home

Mode = Literal["joint", "two-heads", "pseudo", "finetune"]
Overlap = Literal["", "drop", "merge", "keep"]
BACKEND = re.compile(r"\w+")
Sections = Mapping[str, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Section:
    """A section with the settings of a command.

    Attributes:
        command: Program and command; that of the section ``corpus`` is a setting of the recipe.
        given: Options that the stages give the command, so that a setting of that name would have no effect.
        made: Patterns of the folders, below that of the run, that the command makes.
    """

    command: str
    given: set[str]
    made: list[str]


_TRAIN = {"faces", "unlabelled", "pseudo_labels", "out"}
SECTIONS = {
    "corpus": Section("facerec {corpus}", {"out"}, ["corpus"]),
    "train": Section("facerec train", _TRAIN, ["rows/labelled/**/model", "rows/supervised/**/model"]),
    "student": Section("facerec train", _TRAIN, ["rows/*/model", "rows/*/seeds/*/model"]),
    "embed": Section(
        "facerec embed",
        {"model", "faces", "out"},
        ["embeddings/*", "rows/*/embeddings/*", "rows/*/validation", "rows/**/test"],
    ),
    "knn": Section("clustering knn", {"embeddings", "out"}, ["knn", "rows/*/knn"]),
    "tune": Section("clustering tune", {"backend", "embeddings", "out"}, ["rows/*/tuned"]),
    "cluster": Section(
        "clustering cluster",
        {"backend", "model", "knn", "embeddings", "answers", "out"},
        ["rows/*/clusters", "rows/*/unasked"],
    ),
    "pseudolabel": Section(
        "clustering pseudolabel",
        {"clusters", "embeddings", "knn", "calibration", "labelled", "overlap", "truth", "out"},
        ["rows/*/pseudo"],
    ),
    "ijb": Section("eval ijb", {"protocol", "embeddings", "out"}, ["rows/**/ijb"]),
    "compare": Section("eval compare", {"runs", "recipe", "thumbnails", "out"}, ["report"]),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """The section ``recipe``.

    Attributes:
        corpus: The command that makes the corpus.
        teacher: A recogniser, a model's folder or an ONNX file; "" is the one trained on the labelled faces.
        tune_on: The part of the corpus whose embeddings backends are tuned on and rules calibrated with.
        test_faces: A face store; "" is the corpus's.
        protocol: A folder in the layout of IJB-C; "" is the corpus's.
        backends: A row each.
        jobs: Rows worked on at once.
        rounds: How often the unlabelled faces are clustered; each student is the next teacher.
        short: Share of the steps that students before the last round have.
        seeds: Trainings of each row.
        mode: How students are trained.
        overlap: What to do with unlabelled faces of people in the labelled set; "" does not look for them.
        whiten: Whether backends and rules see embeddings whitened by the people of `tune_on`, see ``facerec whiten``.
        answers: Questions in all, in equal parts a round. True identities answer them, as a person would.
    """

    corpus: Literal["synth", "split"] = "synth"
    teacher: str = ""
    tune_on: Literal["labelled", "validation"] = "labelled"
    test_faces: str = ""
    protocol: str = ""
    backends: list[str] = dataclasses.field(default_factory=list)
    jobs: int = 1
    rounds: int = 1
    short: float = 0.33
    seeds: int = 1
    mode: Mode = "joint"
    overlap: Overlap = ""
    whiten: bool = True
    answers: int = 0


def doubts(settings: Settings) -> Iterator[str]:
    """What speaks against how a recipe chooses thresholds and compares rows, with what to do."""
    if settings.tune_on == "labelled" and not (settings.teacher and settings.rounds == 1):
        yield (
            "tune_on: labelled: a recogniser of this run learns these people, and thresholds chosen on them do not "
            "suit others; name a number of people in corpus: validation, and set recipe: tune_on: validation"
        )
    if settings.mode == "finetune":
        yield (
            "mode: finetune: students go on from their teacher, so they learn for more steps than both bounds, and the "
            "share of the gap flatters them; compare them with each other, or take mode: joint"
        )


def load_recipe(file: Path) -> tuple[Settings, Sections]:
    """Reads the YAML.

    Returns:
        The section ``recipe``, and the section of every command, empty where it is missing. Students are trained by
        the section ``train`` and what ``student`` adds to it or changes.

    Raises:
        InputError: Not YAML, an unknown section, or in ``recipe`` an unknown setting or one of another type or choice.
    """
    sections = read_yaml(file)
    _check_names(file, sections, ["recipe", *SECTIONS], "section")
    for name, section in sections.items():
        if not isinstance(section or {}, dict):
            raise InputError(f"{file}: section {name} is {said(section)}; expected settings, each with its value")
    commands = {name: sections.get(name) or {} for name in SECTIONS}
    commands["student"] = {**commands["train"], **commands["student"]}
    settings = _settings(file, sections.get("recipe") or {})
    if (settings.corpus, settings.tune_on) == ("split", "validation") and not commands["corpus"].get("validation"):
        raise InputError(f"{file}: tune_on: validation, but nobody is kept for it; set validation in section corpus")
    return settings, commands


def refuse_missing(file: Path, settings: Settings, sections: Sections, without_test: int | None) -> None:
    """Refuses paths that lead nowhere before any stage runs, some of which only the last ones would look for.

    Args:
        file: The YAML, for messages.
        settings: Its section ``recipe``, with the options in their place.
        sections: The other ones.
        without_test: The last stage before recognisers are evaluated, for which ``split`` makes no faces; None if they
            are not to be evaluated.

    Raises:
        InputError: Naming the first of them, or the first setting that has to name one.
    """
    if settings.corpus == "split" and without_test is not None and not (settings.test_faces and settings.protocol):
        raise InputError(
            f"{file}: corpus: split makes no test set; name test_faces and protocol in section recipe, or end before "
            f"it is needed with --stop-stage {without_test}"
        )
    faces = sections["corpus"].get("faces") if settings.corpus == "split" else None
    places = {"teacher": settings.teacher, "test_faces": settings.test_faces, "protocol": settings.protocol}
    for name, place in {**places, "corpus: faces": faces}.items():
        if place and not at_home(Path(str(place))).exists():
            raise InputError(
                f"{file}: {name}: {place} is not there; paths are relative to the current folder, {Path.cwd()}"
            )


def _settings(file: Path, section: Mapping[str, Any]) -> Settings:
    kinds, defaults = typing.get_type_hints(Settings), vars(Settings())
    _check_names(file, section, kinds, "setting of recipe")
    for name, value in section.items():
        is_default = type(value) is type(defaults[name]) and value == defaults[name]
        if not is_default and (expected := _expected(value, kinds[name])):
            raise InputError(f"{file}: {name} of section recipe is {said(value)}; expected {expected}")
    return Settings(**section)


def _expected(value: Any, kind: Any) -> str:
    """What a setting's value should have been; "" if it is that."""
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        return "" if value in choices else f"one of {', '.join(choice or repr(choice) for choice in choices)}"
    if kind is bool:
        return "" if isinstance(value, bool) else "true or false"
    if kind is int:
        return "" if type(value) is int and value > 0 else "a whole number from 1"
    if kind is float:
        return "" if type(value) in (int, float) and 0 < value <= 1 else "a share, above 0 and at most 1"
    if kind is str:
        return "" if isinstance(value, str) else "text"
    is_names = isinstance(value, list) and all(isinstance(each, str) and BACKEND.fullmatch(each) for each in value)
    return "" if is_names else "a list of backends, as [hilander, kmeans]"


def _check_names(file: Path, found: Mapping[str, Any], allowed: Iterable[str], what: str) -> None:
    if unknown := [name for name in found if name not in allowed]:
        raise InputError(f"{file}: unknown {what} {', '.join(map(repr, unknown))}; there are {', '.join(allowed)}")


def said(value: Any) -> str:
    """A value as YAML has it in one line."""
    return json.dumps(value, default=str)
