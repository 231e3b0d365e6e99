"""Does a better teacher make better pseudo-labels? The student of each round is the teacher of the next.

  recipes/run_rounds.sh [--config FILE] [--backend NAME] [--rounds N] [--patience P] [--validation FACES] [--out DIR]
                        [--jobs J] [--mode MODE] [--overlap ACTION]

Every round is a whole run of run_pseudolabel.sh with one backend, in OUT/round1, OUT/round2 ...; the corpus and both
bounds are those of the first. OUT/report compares the rounds. Finished work is not repeated.
There are N rounds, by default 3. With --patience P it ends when P rounds in a row were no better on validation faces
than the best recogniser until then (labelled only is the first), or after N rounds, by default 10.
Validation faces are FACES, labelled people whom no recogniser was trained on, by default the corpus's validation part
if there is one. What counts is FNMR at FMR 1e-3 over pairs of them; the test set has no part in it. The best round has
"-chosen" in its name in the report; OUT/validation/rounds.json has the figures.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pseudolabel
from door import Door, locked, refusing_input
from outcome import outcome
from recipe import BACKEND
from validation import write_choice, write_pairs
from workers import Workers, command

from facerec.pipeline.embeddings import load_embeddings
from facerec.pipeline.files import InputError

PASSED = ("--jobs", "--mode", "--overlap")
OPTIONS = ("--config", "--backend", "--rounds", "--patience", "--validation", "--out", *PASSED)
ROUNDS, MOST_ROUNDS = 3, 10  # without --rounds; and with --patience
SHARED = ("corpus", "rows/labelled", "rows/supervised")  # of the first round


@dataclasses.dataclass
class Rounds:
    """What all rounds share.

    Attributes:
        out: The folder, with ``round1``, ``round2`` ...
        config: The recipe's YAML.
        backend: The row whose student is the next teacher.
        most: The number of rounds.
        patience: After how many rounds that were no better to end; 0 never.
        people: A face store of validation faces, "" if the corpus's part serves.
        passed: Options for the recipe as it has them.
        door: Refuses.
        chosen: The best recogniser until now, "" if there are no validation faces.
        stale: How many rounds came after it.
    """

    out: Path
    config: str
    backend: str
    most: int
    patience: int
    people: str
    passed: list[str]
    door: Door
    chosen: str = ""
    stale: int = 0

    def recipe(self, number: int, *options: str) -> None:
        """Runs the recipe for a round."""
        out = str(self.folder(number))
        words = ["--config", self.config, "--backends", self.backend, "--out", out]
        pseudolabel.main([*words, *self.passed, *options])

    def folder(self, number: int) -> Path:
        """The folder of a round."""
        return self.out / f"round{number}"

    def student(self, number: int) -> Path:
        """The recogniser that a round trains."""
        return self.folder(number) / "rows" / self.backend / "model"

    @property
    def validation_faces(self) -> Path | None:
        """The faces of people whom no recogniser was trained on, None if there are none."""
        part = self.folder(1) / "corpus" / "validation"
        return Path(self.people) if self.people else part if part.is_dir() else None


def main(arguments: Sequence[str]) -> None:
    """Runs the rounds.

    Raises:
        SystemExit: An option, the YAML or the folder cannot be used, or a command failed, with its status.
    """
    rounds = read_options(arguments)
    with refusing_input(), locked(rounds.out):
        if rounds.patience and not rounds.people:
            need_validation_faces(rounds)
        done = run_rounds(rounds)
        compare(rounds, done)
    print(outcome(rounds.out / "report"), file=sys.stderr)


def run_rounds(rounds: Rounds) -> int:
    """Runs round after round until patience or their number ends; returns how many."""
    validated: list[str] = []
    for number in range(1, rounds.most + 1):
        if number == 1:
            rounds.recipe(1)
        else:
            share_first_round(rounds, number)
            rounds.recipe(number, "--teacher", str(rounds.student(number - 1)))
        if rounds.validation_faces is not None:
            if number == 1:
                validate(rounds, validated, "labelled", rounds.folder(1) / "rows" / "labelled" / "model")
            validate(rounds, validated, f"{rounds.backend}-round{number}", rounds.student(number))
        if rounds.patience and rounds.stale >= rounds.patience:
            break
    return number


def need_validation_faces(rounds: Rounds) -> None:
    """Makes the corpus, and refuses one without a validation part before anything is trained."""
    rounds.recipe(1, "--stage", "1", "--stop-stage", "1")
    if rounds.validation_faces is None:
        rounds.door.refuse(
            f"--patience {rounds.patience}, but the corpus has no validation part; "
            "give labelled faces of other people as --validation"
        )


def share_first_round(rounds: Rounds, number: int) -> None:
    """The corpus and both bounds of a later round are the first one's."""
    (rounds.folder(number) / "rows").mkdir(parents=True, exist_ok=True)
    for part in SHARED:
        link(rounds.folder(number) / part, (rounds.folder(1) / part).resolve())


def validate(rounds: Rounds, validated: list[str], name: str, model: Path) -> None:
    """A recogniser and pairs of validation faces in, the choice among all recognisers until now out."""
    folder = rounds.out / "validation"
    faces, workers = folder / name / "faces", Workers(1)
    config = rounds.folder(1) / "config" / "embed.yaml"
    workers.run([[command("facerec embed", config, model=model, faces=rounds.validation_faces, out=faces)]])
    write_pairs(load_embeddings(faces), folder)
    pairs = folder / "pairs.tsv"
    workers.run([[command("eval pairs", pairs=pairs, embeddings=faces, out=folder / name / "pairs")]])
    validated.append(name)
    rounds.chosen, rounds.stale = write_choice(folder, validated)


def compare(rounds: Rounds, done: int) -> None:
    """The bounds and the row of every round in, one report out."""
    targets = {"labelled": "round1/rows/labelled"}
    for number in range(1, done + 1):
        name = f"{rounds.backend}-round{number}"
        targets[name + "-chosen" * (name == rounds.chosen)] = f"round{number}/rows/{rounds.backend}"
    targets["supervised"] = "round1/rows/supervised"
    rows, report = rounds.out / "rows", rounds.out / "report"
    rows.mkdir(exist_ok=True)
    for old in rows.iterdir():
        if old.is_symlink():  # a name of an earlier call with another number of rounds
            old.unlink()
    for name, target in targets.items():
        link(rows / name, Path("..") / target)
    if (report / "meta.json").is_file():
        shutil.rmtree(report)
    runs = json.dumps([str(rows / name) for name in targets])
    Workers(1).run([[command("eval compare", runs=runs, recipe=rounds.config, out=report)]])


def link(place: Path, target: Path) -> None:
    """Makes or replaces a symbolic link.

    Raises:
        InputError: Something else is there.
    """
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        raise InputError(f"{place}: stands where a link to {target} should be made; move it or choose another --out")
    place.symlink_to(target)


def read_options(arguments: Sequence[str]) -> Rounds:
    """The options, checked."""
    door = Door("run_rounds.sh", __doc__ or "", OPTIONS)
    given = door.read(arguments)
    patience = door.whole("--patience", given["--patience"]) if "--patience" in given else 0
    most = door.whole("--rounds", given.get("--rounds", str(MOST_ROUNDS if patience else ROUNDS)))
    people, backend = given.get("--validation", ""), given.get("--backend", "hilander")
    if people and not Path(people).exists():
        door.refuse(f"--validation {people}: no such faces")
    if not BACKEND.fullmatch(backend):
        door.refuse(f"--backend {backend} is not the name of one backend")
    config = given.get("--config", str(pseudolabel.HERE / "conf" / "demo.yaml"))
    passed = [word for name in PASSED if name in given for word in (name, given[name])]
    return Rounds(Path(given.get("--out", "runs/rounds")), config, backend, most, patience, people, passed, door)


if __name__ == "__main__":
    main(sys.argv[1:])
