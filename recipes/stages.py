"""The stages of the recipe as commands: paths in, path out."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from places import Run, Turn
from workers import Command, command

from facerec.pipeline.files import InputError, read_table, read_text, write_whole

Chains = list[list[Command]]  # chains run side by side, the commands of a chain one after another
AT_ONCE = 50
"""Questions between two clusterings."""
TRAINING_SD = 0.9
"""Standard deviation of FNMR from training to training of the recipes here, in points, see recipes/RESULTS.md."""


def make_corpus(run: Run) -> Chains:
    """A specification or labelled faces in, the corpus out."""
    return [[command(f"facerec {run.settings.corpus}", run.section("corpus"), out=run.out / "corpus")]]


def train_bounds(run: Run) -> Chains:
    """Faces with true labels in, both bounds out."""
    everything = {"unlabelled": run.corpus("unlabelled"), "pseudo_labels": run.truth}
    more: dict[str, dict[str, object]] = {"labelled": {}, "supervised": everything}
    return [
        [_train(run, "train", folder, number, faces=run.corpus("labelled"), **more[row])]
        for row in more
        for folder, number in run.trainings(row)
    ]


def embed(run: Run, number: int) -> Chains:
    """The teacher and faces in, embeddings out."""
    return _once([_embed(run, turn.teacher, run.corpus(part), turn.embedded(part))]
                 for turn in run.turns(number) for part in _parts(run))  # fmt: skip


def _parts(run: Run) -> list[str]:
    """What is embedded: the faces to tune on, the unlabelled faces, and the labelled ones if they are looked for."""
    return list(dict.fromkeys([run.settings.tune_on, "unlabelled", *(["labelled"] if run.settings.overlap else [])]))


def link(run: Run, number: int) -> Chains:
    """Embeddings in, whitened ones and the graph out."""
    return _once(
        [
            *(_whiten(turn, part) for part in _parts(run) if run.settings.whiten),
            command("clustering knn", run.section("knn"), embeddings=turn.embeddings("unlabelled"), out=turn.knn),
        ]
        for turn in run.turns(number)
    )


def _whiten(turn: Turn, part: str) -> Command:
    people = turn.embedded(turn.run.settings.tune_on)
    return command("facerec whiten", embeddings=turn.embedded(part), people=people, out=turn.embeddings(part))


def tune(run: Run, number: int) -> Chains:
    """Labelled embeddings in, a tuned backend out; later rounds keep that of the first."""
    return [
        [command("clustering tune", run.section("tune"), backend=turn.backend,
                 embeddings=turn.embeddings(run.settings.tune_on), out=turn.tuned)]
        for turn in run.turns(number)
        if turn.number == 1
    ]  # fmt: skip


def cluster(run: Run, number: int) -> Chains:
    """A tuned backend, the graph and embeddings in, clusters out, with scores and pictures of them."""
    for turn in run.turns(number):
        if not (turn.folder / "clusters").exists():
            (turn.folder / "sheet.png").unlink(missing_ok=True)  # `sheet` keeps a picture that is there
    return [
        [
            *(_ask(turn) if run.settings.answers else ()),
            _cluster(turn, turn.folder / "clusters", turn.answers),
            command("eval clusters", truth=run.truth, predicted=turn.folder / "clusters",
                    json=turn.folder / "clusters.json"),
            command("facerec sheet", faces=run.corpus("unlabelled"), labels=turn.folder / "clusters",
                    truth=run.truth, out=turn.folder / "sheet.png"),
        ]
        for turn in run.turns(number)
    ]  # fmt: skip


def _cluster(turn: Turn, out: Path, answers: Path | None) -> Command:
    """With the answers of earlier rounds, or of this one."""
    return command("clustering cluster", turn.run.section("cluster"), backend=turn.backend, model=turn.tuned,
                   knn=turn.knn, embeddings=turn.embeddings("unlabelled"), answers=answers, out=out)  # fmt: skip


def _ask(turn: Turn) -> list[Command]:
    """Clusters, and the round's share of the questions about them, about `AT_ONCE` at a time."""
    run, before = turn.run, turn.before.answers if turn.before else None
    share = max(run.settings.answers // run.settings.rounds, 1)
    times = max(round(share / AT_ONCE), 1)
    return [
        _cluster(turn, turn.folder / "unasked", before),
        command("clustering ask", clusters=turn.folder / "unasked", embeddings=turn.embeddings("unlabelled"),
                knn=turn.knn, truth=run.truth, answers=before, count=max(share // times, 1), rounds=times,
                out=turn.folder / "asked"),
    ]  # fmt: skip


def label(run: Run, number: int) -> Chains:
    """Clusters in, pseudo-labels out, with scores of them."""
    return [
        [
            command("clustering pseudolabel", run.section("pseudolabel"), clusters=turn.folder / "clusters",
                    embeddings=turn.embeddings("unlabelled"), knn=turn.knn,
                    calibration=turn.embeddings(run.settings.tune_on),
                    labelled=turn.embeddings("labelled") if run.settings.overlap else None,
                    overlap=run.settings.overlap or None, truth=run.truth, out=turn.folder / "pseudo"),
            command("eval clusters", truth=run.truth, predicted=turn.folder / "pseudo",
                    json=turn.folder / "pseudo.json"),
        ]
        for turn in run.turns(number)
    ]  # fmt: skip


def retrain(run: Run, number: int) -> Chains:
    """Labelled and pseudo-labelled faces in, students out: short ones, but in the last round."""
    return [
        [_train(run, "student", folder, training, **(faces_of(turn) | ({} if turn.is_last else _short(turn))))]
        for turn in run.turns(number)
        for folder, training in run.trainings(turn.name)
    ]


def faces_of(turn: Turn) -> dict[str, object]:
    """What a student is trained on, and how the recipe's mode wants it."""
    run = turn.run
    known: dict[str, object] = {} if run.settings.mode == "pseudo" else {"faces": run.corpus("labelled")}
    if run.settings.mode == "two-heads":
        known |= {"heads": 2, "pseudo_share": 0.5}
    if run.settings.mode == "finetune":
        known |= {"init": turn.teacher}
    return known | {"unlabelled": run.corpus("unlabelled"), "pseudo_labels": turn.folder / "pseudo"}


def _short(turn: Turn) -> dict[str, object]:
    """A share of the steps, from the weights of its teacher if that is a network of the recipe."""
    length = shortened(turn.run)
    return length if turn.run.settings.teacher and turn.before is None else length | {"init": turn.teacher}


def shortened(run: Run) -> dict[str, object]:
    """The length of a short student's training.

    Raises:
        InputError: The recipe does not say how long a student's training is.
    """
    section, share = run.sections["student"], run.settings.short
    if section.get("steps"):
        return {"steps": max(1, round(share * int(section["steps"])))}
    if section.get("epochs"):
        return {"epochs": share * float(section["epochs"])}
    raise InputError(f"{run.config}: no steps and no epochs in section train; rounds need them for short students")


def evaluate(run: Run) -> Chains:
    """A recogniser and test faces in, figures out."""
    protocol = run.settings.protocol or run.corpus("protocol")
    return [
        [
            _embed(run, folder / "model", run.test_faces, folder / "test"),
            command("eval ijb", run.section("ijb"), protocol=protocol, embeddings=folder / "test", out=folder / "ijb"),
        ]
        for row in run.rows
        for folder, _ in run.trainings(row)
    ]


def validate(run: Run) -> Chains:
    """A recogniser and pairs of validation faces in, figures out; their recognisers were trained on none of them."""
    return [
        [
            _embed(run, run.row(row) / "model", run.corpus("validation"), run.row(row) / "validation"),
            command("eval pairs", pairs=run.out / "validation" / "pairs.tsv", embeddings=run.row(row) / "validation",
                    out=run.row(row) / "pairs"),
        ]
        for row in run.rows[:-1]
    ]  # fmt: skip


def compare(run: Run) -> Chains:
    """Figures of all rows and test faces in, the report out; a report about other rows or trainings is removed."""
    report = run.out / "report"
    folders = [folder for row in run.rows for folder, _ in run.trainings(row)]
    if missing := [folder for folder in folders if not (folder / "ijb").is_dir()]:
        raise InputError(f"{missing[0]}: not evaluated; begin with an earlier --stage, or ask for other rows")
    wanted = {row: _written(len(run.trainings(row))) for row in run.rows}
    if (report / "comparison.csv").is_file():
        lines = read_table(report / "comparison.csv", ("row",))
        reported = {line["row"]: line.get("trainings", "") for line in lines}
        if reported and reported != wanted:
            print(f"{report} was about {' '.join(reported)}: it is made anew", file=sys.stderr)
            shutil.rmtree(report)
    rows = json.dumps([str(run.row(name)) for name in run.rows])
    assumed = None if "training_sd" in run.sections["compare"] else TRAINING_SD
    pictures, recipe = run.out / "thumbnails", Path(run.config)
    if run.options:
        recipe = run.out / "with_options.yaml"
        write_whole(recipe, f"# run with {run.options}\n{read_text(Path(run.config))}".encode())
    return [
        [
            command("facerec thumbnails", faces=run.test_faces, out=pictures),
            command("eval compare", run.section("compare"), runs=rows, recipe=recipe, training_sd=assumed,
                    thumbnails=pictures, out=report),
        ]
    ]  # fmt: skip


def _written(trainings: int) -> str:
    """A number of trainings as comparison.csv has it."""
    return str(trainings) if trainings > 1 else ""


def _train(run: Run, section: str, row: Path, training: int, **options: object) -> Command:
    seed = int(run.sections[section].get("seed") or 0) + training if training else None
    return command("facerec train", run.section(section), **options, seed=seed, out=row / "model")


def _embed(run: Run, model: Path, faces: Path, out: Path) -> Command:
    return command("facerec embed", run.section("embed"), model=model, faces=faces, out=out)


def _once(chains: Iterable[list[Command]]) -> Chains:
    """Chains without those that are there already: in the first round all backends share a teacher."""
    found: Chains = []
    for chain in chains:
        if chain not in found:
            found.append(chain)
    return found
