"""Finished work in the folder of a run, and what is refused because it was made in another way than is asked for."""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from door import refusing_input
from places import Run
from recipe import SECTIONS, Sections, said
from stages import faces_of
from workers import Command, function_of

from eval.comparison.several import further_trainings
from facerec.pipeline.files import InputError, read_json, read_yaml, write_yaml
from facerec.pipeline.parser import call


def write_sections(sections: Sections, out: Path) -> None:
    """Writes ``OUT/config/SECTION.yaml``, each whole or not at all, unless it says the same already.

    Raises:
        InputError: There is finished work that was made with other settings.
    """
    changed = {name: section for name, section in sections.items() if _there(out, name) != section}
    differences = {name: list(_differences(out, name, section)) for name, section in changed.items()}
    if any(differences.values()):
        made = dict.fromkeys(pattern for name, texts in differences.items() if texts for pattern in SECTIONS[name].made)
        raise InputError(
            f"{out}: holds other work than what was asked ({'; '.join(itertools.chain(*differences.values()))}); "
            f"choose another --out, or delete there {', '.join(made)} and what was made of these"
        )
    for name, section in changed.items():
        write_yaml(out / "config" / f"{name}.yaml", dict(section))


def _there(out: Path, name: str) -> dict[str, Any] | None:
    """A section as an earlier run wrote it, or None."""
    file = out / "config" / f"{name}.yaml"
    return read_yaml(file) if file.is_file() else None


def _differences(out: Path, name: str, asked: Mapping[str, Any]) -> Iterator[str]:
    """The settings of a section that differ and that finished work depends on: not those for workers or devices."""
    there = _there(out, name)
    if there is None or name == "compare":  # the stages compare what they find, and the report is made anew
        return
    notes = sorted(note for pattern in SECTIONS[name].made for note in out.glob(f"{pattern}/meta.json"))
    if name == "student":
        notes = [note for note in notes if note.relative_to(out).parts[1] not in ("labelled", "supervised")]
    recorded = {setting for note in notes for setting in read_json(note).get("config", {})}
    for setting in dict.fromkeys([*there, *asked]):
        if setting in recorded and there.get(setting) != asked.get(setting):
            yield f"{name}.{setting} {said(there.get(setting))} there, {said(asked.get(setting))} asked"


def refuse_more_trainings(run: Run) -> None:
    """Refuses a report on fewer trainings of a row than there are, since ``eval compare`` takes all of them.

    Raises:
        InputError: Naming the first training that was not asked for.
    """
    for row in run.rows:
        asked = [folder for folder, _ in run.trainings(row)]
        if more := [folder for folder in further_trainings(run.row(row)) if folder not in asked]:
            raise InputError(
                f"{more[0]}: a training beyond --seeds {run.settings.seeds}, which the report would count; ask for "
                f"--seeds {int(more[-1].name) + 1}, or remove such folders"
            )


def refuse_other_settings(run: Run) -> None:
    """Refuses to go on from pseudo-labels and students that were made with another overlap or mode than is asked for.

    Raises:
        InputError: Naming the first of them.
    """
    for turn in (turn for number in run.rounds for turn in run.turns(number)):
        pseudo, model = turn.folder / "pseudo", turn.folder / "model"
        if labels := _options(pseudo):
            there = labels["overlap"] if labels.get("labelled") else ""
            _refuse_other(pseudo, "overlap", there, run.settings.overlap)
        if turn.is_last and (student := _options(model)):
            asked = {**run.sections["student"], **faces_of(turn)}
            _refuse_other(model, "mode", _mode(student), _mode(asked))


def refuse_stale(commands: Iterable[Command]) -> None:
    """Ends the process with one line and status 2 where finished work is not what commands would make of its inputs.

    So a run that begins with a late stage goes on from nothing that was made with other options, or from inputs that
    have changed since.
    """
    with refusing_input():
        _check_all(commands)


def remove_other_report(report: Path, commands: Iterable[Command]) -> None:
    """Removes a report of other figures, or of another recipe, than those that it would be made of now."""
    with refusing_input():
        try:
            _check_all(commands)
        except InputError:
            if not (report / "comparison.csv").is_file():
                raise
            print(f"{report} was made from other figures or another recipe: it is made anew", file=sys.stderr)
            shutil.rmtree(report)


def _check_all(commands: Iterable[Command]) -> None:
    for program, name, *options in commands:
        if check := getattr(function_of(program, name), "refuse_stale", None):
            call(f"python -m {program}", name, check, options)


def _refuse_other(made: Path, name: str, there: str, asked: str) -> None:
    if there != asked:
        raise InputError(
            f"{made}: made with {name} {there!r}, {asked!r} asked; ask for what is there, or begin with an earlier "
            "--stage in another --out"
        )


def _options(made: Path) -> dict[str, Any]:
    """What finished work was made with, by option; nothing if there is none."""
    if not (made / "meta.json").is_file():
        return {}
    work = read_json(made / "meta.json")
    return {**work["config"], **work["inputs"]}


def _mode(options: Mapping[str, Any]) -> str:
    """How a student is trained, by the options of its training."""
    if not options.get("faces"):
        return "pseudo"
    if options.get("heads") == 2:
        return "two-heads"
    return "finetune" if options.get("init") else "joint"
