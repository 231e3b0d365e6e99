"""Which clustering backend makes the best pseudo-labels? Faces in, one IJB-C report out.

  recipes/run_pseudolabel.sh [--config FILE] [--backends a,b,c] [--stage N] [--stop-stage M] [--out DIR] [--jobs J]
                             [--rounds N] [--seeds N] [--teacher MODEL] [--mode MODE] [--overlap ACTION]
                             [--answers N]

  1 faces        the corpus: labelled, unlabelled and test faces, test protocol
  2 train        both bounds: on the labelled faces alone (the lower one, and the teacher unless one is given), and on
                 labelled faces and the true labels of the unlabelled ones (the upper one)
  3 embed        the faces to tune on and the unlabelled faces, by the teacher
  4 knn          both whitened by the faces to tune on, if that helps, and the graph of the unlabelled ones
  5 tune         every backend on labelled embeddings (Hi-LANDER: meta-training)
  6 cluster      the unlabelled faces with every backend
  7 pseudolabel  clusters to labels
  8 retrain      on labelled and pseudo-labelled faces, for every backend
  9 evaluate     the test set by every recogniser
 10 compare      one table, one set of curves, one report

Finished stages are not repeated; a stage that was killed is. Same command, same result. With other --backends into the
same folder the report is made anew, of these backends alone; rows that are there already are not made again.
With --stage N the stages before N are not run. If what they made was made otherwise than now asked for, it is refused.
With --rounds N stages 3 to 8 run N times: each round's student embeds the faces of the next. Students before the last
round are short: they have a third of the steps (short: .33) and begin with their teacher's weights. The student of the
last round is trained as the bounds are. Backends are tuned in round 1. The report has a row a round.
With --seeds N every row is trained N times, with the seeds train.seed, train.seed + 1 and so on. The report compares
rows over trainings and test people; python -m eval plan says how many trainings a difference needs.
With --jobs J, J rows are worked on at once, each with its share of the cores (small networks gain little from several).
With --teacher the unlabelled faces are embedded by that recogniser, a model's folder or an ONNX file.
How students are trained, --mode: joint, labelled and pseudo-labelled faces in one label space; two-heads, each kind
with classes of its own and half of every batch; pseudo, pseudo-labelled faces alone; finetune, joint, from the
teacher's weights. The bounds are the same in every mode.
With --overlap ACTION unlabelled faces of people who are labelled, too, are looked for. ACTION says what is done with
them: drop; merge, into the labelled person's class; or keep, as if nobody had looked. The summary of stage 7 says how
many there are.
With --answers N every backend asks about N questions "the same person?", in equal parts a round, and true identities
answer them. It shows what a person's answers would bring. Clusters keep all answers, see clustering ask.
"""

from __future__ import annotations

import dataclasses
import functools
import shlex
import sys
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path

import stages
from door import Door, refusing_input
from finished import (
    refuse_more_trainings,
    refuse_other_settings,
    refuse_stale,
    remove_other_report,
    write_sections,
)
from known_settings import refuse_unknown_settings
from outcome import outcome
from places import Run
from recipe import BACKEND, Mode, Overlap, doubts, load_recipe, refuse_missing
from validation import write_figures, write_pairs
from workers import Command, Workers

from facerec.pipeline.embeddings import load_embeddings
from facerec.pipeline.workplace import locked

HERE = Path(__file__).resolve().parent
OPTIONS = (
    "--config", "--backends", "--stage", "--stop-stage", "--out", "--jobs", "--rounds", "--seeds",
    "--teacher", "--mode", "--overlap", "--answers",
)  # fmt: skip

ONCE_BEFORE = {"faces": stages.make_corpus, "train both bounds": stages.train_bounds}
EACH_ROUND = {
    "embed": stages.embed,
    "kNN graph": stages.link,
    "meta-train and tune": stages.tune,
    "cluster": stages.cluster,
    "pseudo-labels": stages.label,
    "retrain": stages.retrain,
}
ONCE_AFTER = {"evaluate": stages.evaluate, "compare": stages.compare}
FIRST_OF_TEST = len(ONCE_BEFORE) + len(EACH_ROUND) + 1
LAST = len(ONCE_BEFORE) + len(EACH_ROUND) + len(ONCE_AFTER)


@dataclasses.dataclass(frozen=True)
class Asked:
    """A run, and the first and the last stage of it to do."""

    run: Run
    first: int
    last: int


def steps(run: Run) -> Iterator[tuple[int, str, functools.partial[stages.Chains]]]:
    """All stages in their order: number, title, and the commands, which are asked for when it is their turn."""
    for number, (title, of_run) in enumerate(ONCE_BEFORE.items(), 1):
        yield number, title, functools.partial(of_run, run)
    for turn in run.rounds:
        for number, (title, of_round) in enumerate(EACH_ROUND.items(), len(ONCE_BEFORE) + 1):
            said = title if run.settings.rounds == 1 else f"{title}, round {turn}"
            yield number, said, functools.partial(of_round, run, turn)
    for number, (title, of_run) in enumerate(ONCE_AFTER.items(), len(ONCE_BEFORE) + len(EACH_ROUND) + 1):
        yield number, title, functools.partial(of_run, run)


def main(arguments: Sequence[str]) -> None:
    """Runs the stages that the options name.

    Raises:
        SystemExit: An option, the YAML or the folder cannot be used, or a command failed, with its status.
    """
    with refusing_input():
        asked = read_options(arguments)
        run = asked.run
        without_test = FIRST_OF_TEST - 1 if asked.last >= FIRST_OF_TEST else None
        refuse_missing(Path(run.config), run.settings, run.sections, without_test)
        workers = Workers(run.settings.jobs)
        workers.call(refuse_unknown_settings, Path(run.config), run.sections, run.settings)
        if run.settings.rounds > 1:
            stages.shortened(run)
        if asked.last == LAST:
            refuse_more_trainings(run)
        if asked.first >= FIRST_OF_TEST - 1:  # the stages before would notice
            refuse_other_settings(run)
        with locked(run.out):
            write_sections(run.sections, run.out)
            for said in doubts(run.settings):
                print(said, file=sys.stderr)
            if before := list(earlier_commands(asked)):
                workers.call(refuse_stale, before)
            for number, title, commands in steps(run):
                if asked.first <= number <= asked.last:
                    print(f"== stage {number}: {title}", file=sys.stderr)
                    chains = commands()
                    if commands.func is stages.compare:
                        workers.call(remove_other_report, run.out / "report", chains[0][-1:])
                    workers.run(chains)
                    if commands.func is stages.evaluate:
                        validate(run, workers)
    if asked.last == LAST:
        print(outcome(run.out / "report"), file=sys.stderr)


def earlier_commands(asked: Asked) -> Iterator[Command]:
    """The commands of the stages before the first that is asked for, which are not run.

    Without evaluation nothing depends on the upper bound.
    """
    run = asked.run
    supervised = "" if asked.last >= FIRST_OF_TEST else str(run.row("supervised"))
    for number, _, commands in steps(run):
        chains = commands() if number < asked.first else []
        yield from (
            words for chain in chains for words in chain if not (supervised and words[-1].startswith(supervised))
        )


def validate(run: Run, workers: Workers) -> None:
    """Says what each round brought on people of no training set, if there were rounds and there are such people."""
    faces = run.turns(1)[0].embedded("validation")
    if run.settings.rounds > 1 and run.settings.tune_on == "validation":
        write_pairs(load_embeddings(faces), run.out / "validation")
        workers.run(stages.validate(run))
        write_figures(run.out, run.rows[:-1])


def read_options(arguments: Sequence[str]) -> Asked:
    """The options over the settings of the YAML.

    Raises:
        InputError: The YAML cannot be used.
        SystemExit: An option cannot.
    """
    door = Door("run_pseudolabel.sh", __doc__ or "", OPTIONS)
    given = door.read(arguments)
    numbers = [str(number) for number in range(1, LAST + 1)]
    first, last = (
        int(door.choice(name, given.pop(name, default), numbers, f"1 to {LAST}"))
        for name, default in (("--stage", "1"), ("--stop-stage", numbers[-1]))
    )
    if last < first:
        door.refuse(f"--stop-stage {last} is before --stage {first}")
    config, out = given.pop("--config", str(HERE / "conf" / "demo.yaml")), Path(given.pop("--out", "runs/demo"))
    for name, choices in (("--mode", Mode), ("--overlap", Overlap)):
        if name in given:
            door.choice(name, given[name], list(filter(None, typing.get_args(choices))))
    changes: dict[str, typing.Any] = {name.removeprefix("--"): text for name, text in given.items()}
    for name in {"jobs", "rounds", "seeds", "answers"} & changes.keys():
        changes[name] = door.whole(f"--{name}", changes[name])
    if "backends" in changes:
        changes["backends"] = changes["backends"].split(",")
        if not all(map(BACKEND.fullmatch, changes["backends"])):
            door.refuse(f"--backends {given['--backends']} is not a list of names, as hilander,kmeans")
    settings, sections = load_recipe(Path(config))
    words = [word for name, text in given.items() if name != "--jobs" for word in (name, text)]
    return Asked(Run(out, config, dataclasses.replace(settings, **changes), sections, shlex.join(words)), first, last)


if __name__ == "__main__":
    main(sys.argv[1:])
