"""Which clustering backend makes the best pseudo-labels? Faces in, one IJB-C report out.

  recipes/run_pseudolabel.sh [--config FILE] [--backends a,b,c] [--stage N] [--stop-stage M] [--out DIR] [--jobs J]
                             [--teacher MODEL] [--mode MODE] [--overlap ACTION]

  1 faces        the corpus: labelled, unlabelled and test faces, test protocol
  2 train        both bounds: on the labelled faces alone (the lower one, and the teacher unless one is given), and on
                 labelled faces and the true labels of the unlabelled ones (the upper one)
  3 embed        the faces to tune on and the unlabelled faces, by the teacher
  4 knn          the graph of the unlabelled faces
  5 tune         every backend on labelled embeddings (Hi-LANDER: meta-training)
  6 cluster      the unlabelled faces with every backend
  7 pseudolabel  clusters to labels
  8 retrain      on labelled and pseudo-labelled faces, for every backend
  9 evaluate     the test set by every recogniser
 10 compare      one table, one set of curves, one report

Finished stages are not repeated; a stage that was killed is. Same command, same result. With other --backends into the
same folder, their rows are added and the report is made anew.
With --jobs J, J rows are worked on at once, each with its share of the cores (small networks gain little from several).
With --teacher the unlabelled faces are embedded by that recogniser, a model's folder or an ONNX file.
How students are trained, --mode: joint, labelled and pseudo-labelled faces in one label space; two-heads, each kind
with classes of its own and half of every batch; pseudo, pseudo-labelled faces alone; finetune, joint, from the
teacher's weights. The bounds are the same in every mode.
With --overlap unlabelled faces of people who are labelled, too, are looked for, and what becomes of them is ACTION:
drop; merge, into the labelled person's class; or keep, as if nobody had looked (the summary of stage 7 says how many
there are).
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import typing
from collections.abc import Sequence
from pathlib import Path

from door import Door, locked, refusing_input
from known_settings import refuse_unknown_settings
from outcome import outcome
from recipe import BACKEND, Mode, Overlap, Settings, load_recipe, write_sections
from workers import Command, Workers, command

HERE = Path(__file__).resolve().parent
OPTIONS = (
    "--config", "--backends", "--stage", "--stop-stage", "--out", "--jobs", "--teacher", "--mode", "--overlap"
)  # fmt: skip
Chains = list[list[Command]]  # chains run side by side, the commands of a chain one after another


@dataclasses.dataclass(frozen=True)
class Run:
    """What the stages work on: one folder, and the settings with the options in their place.

    Attributes:
        out: The folder.
        config: The recipe's YAML, which the report shows.
        settings: Its section ``recipe``.
        first: The first stage to run.
        last: The last one.
    """

    out: Path
    config: str
    settings: Settings
    first: int
    last: int

    @property
    def teacher(self) -> Path:
        """The recogniser that embeds the unlabelled faces."""
        return Path(self.settings.teacher or self.row("labelled") / "model")

    @property
    def rows(self) -> list[str]:
        """The rows of the report."""
        return ["labelled", *self.settings.backends, "supervised"]

    @property
    def truth(self) -> Path:
        """The true identities of the unlabelled faces, for scores and the upper bound only."""
        return self.corpus("unlabelled_truth.npy")

    @property
    def knn(self) -> Path:
        """The graph of the unlabelled faces."""
        return self.out / "knn"

    def corpus(self, part: str) -> Path:
        """A part of the corpus."""
        return self.out / "corpus" / part

    def embeddings(self, part: str) -> Path:
        """The teacher's embeddings of a part."""
        return self.out / "embeddings" / part

    def row(self, name: str) -> Path:
        """The folder of a backend or a bound."""
        return self.out / "rows" / name

    def section(self, name: str) -> Path:
        """The settings of a command."""
        return self.out / "config" / f"{name}.yaml"


def make_corpus(run: Run) -> Chains:
    """A specification or labelled faces in, the corpus out."""
    return [[command(f"facerec {run.settings.corpus}", run.section("corpus"), out=run.out / "corpus")]]


def train_bounds(run: Run) -> Chains:
    """Faces with true labels in, both bounds out."""
    everything = {"unlabelled": run.corpus("unlabelled"), "pseudo-labels": run.truth}
    return [[_train(run, "labelled", faces=run.corpus("labelled"))],
            [_train(run, "supervised", faces=run.corpus("labelled"), **everything)]]  # fmt: skip


def embed(run: Run) -> Chains:
    """The teacher and faces in, embeddings out."""
    parts = [run.settings.tune_on, "unlabelled"] + (["labelled"] if run.settings.overlap else [])
    return [[_embed(run, run.teacher, run.corpus(part), run.embeddings(part)) for part in dict.fromkeys(parts)]]


def link(run: Run) -> Chains:
    """Embeddings in, the graph out."""
    return [[command("clustering knn", run.section("knn"), embeddings=run.embeddings("unlabelled"), out=run.knn)]]


def tune(run: Run) -> Chains:
    """Labelled embeddings in, a tuned backend out."""
    embeddings = run.embeddings(run.settings.tune_on)
    return [[command("clustering tune", run.section("tune"), backend=name, embeddings=embeddings,
                     out=run.row(name) / "tuned")] for name in run.settings.backends]  # fmt: skip


def cluster(run: Run) -> Chains:
    """A tuned backend, the graph and embeddings in, clusters out, with scores and pictures of them."""
    return [
        [
            command("clustering cluster", run.section("cluster"), backend=name, model=run.row(name) / "tuned",
                    knn=run.knn, embeddings=run.embeddings("unlabelled"), out=run.row(name) / "clusters"),
            command("eval clusters", truth=run.truth, predicted=run.row(name) / "clusters",
                    json=run.row(name) / "clusters.json"),
            command("facerec sheet", faces=run.corpus("unlabelled"), labels=run.row(name) / "clusters",
                    truth=run.truth, out=run.row(name) / "sheet.png"),
        ]
        for name in run.settings.backends
    ]  # fmt: skip


def label(run: Run) -> Chains:
    """Clusters in, pseudo-labels out, with scores of them."""
    known = {"labelled": run.embeddings("labelled"), "overlap": run.settings.overlap} if run.settings.overlap else {}
    return [
        [
            command("clustering pseudolabel", run.section("pseudolabel"), clusters=run.row(name) / "clusters",
                    embeddings=run.embeddings("unlabelled"), knn=run.knn,
                    calibration=run.embeddings(run.settings.tune_on), **known,
                    truth=run.truth, out=run.row(name) / "pseudo"),
            command("eval clusters", truth=run.truth, predicted=run.row(name) / "pseudo",
                    json=run.row(name) / "pseudo.json"),
        ]
        for name in run.settings.backends
    ]  # fmt: skip


def retrain(run: Run) -> Chains:
    """Labelled and pseudo-labelled faces in, a student out."""
    known: dict[str, object] = {} if run.settings.mode == "pseudo" else {"faces": run.corpus("labelled")}
    if run.settings.mode == "two-heads":
        known |= {"heads": 2, "pseudo_share": 0.5}
    if run.settings.mode == "finetune":
        known |= {"init": run.teacher}
    return [
        [_train(run, name, **known, unlabelled=run.corpus("unlabelled"), **{"pseudo-labels": run.row(name) / "pseudo"})]
        for name in run.settings.backends
    ]


def evaluate(run: Run) -> Chains:
    """A recogniser and test faces in, figures out."""
    faces = Path(run.settings.test_faces or run.corpus("test"))
    protocol = run.settings.protocol or run.corpus("protocol")
    return [
        [
            _embed(run, run.row(name) / "model", faces, run.row(name) / "test"),
            command("eval ijb", run.section("ijb"), protocol=protocol, embeddings=run.row(name) / "test",
                    out=run.row(name) / "ijb"),
        ]
        for name in run.rows
    ]  # fmt: skip


def compare(run: Run) -> Chains:
    """The figures of all rows in, the report out; a report about other rows is removed."""
    report = run.out / "report"
    if (report / "comparison.csv").is_file():
        lines = (report / "comparison.csv").read_text(encoding="utf-8").splitlines()[1:]
        reported = [line.partition(",")[0] for line in lines]
        if reported and reported != run.rows:
            print(f"{report} was about {' '.join(reported)}: it is made anew", file=sys.stderr)
            shutil.rmtree(report)
    rows = json.dumps([str(run.row(name)) for name in run.rows])
    return [[command("eval compare", run.section("compare"), runs=rows, recipe=run.config, out=report)]]


STAGES = {
    "faces": make_corpus,
    "train both bounds": train_bounds,
    "embed": embed,
    "kNN graph": link,
    "meta-train and tune": tune,
    "cluster": cluster,
    "pseudo-labels": label,
    "retrain": retrain,
    "evaluate": evaluate,
    "compare": compare,
}


def main(arguments: Sequence[str]) -> None:
    """Runs the stages that the options name.

    Raises:
        SystemExit: An option, the YAML or the folder cannot be used, or a command failed, with its status.
    """
    with refusing_input():
        run = read_options(arguments)
        sections = load_recipe(Path(run.config))[1]
        workers = Workers(run.settings.jobs)
        workers.call(refuse_unknown_settings, Path(run.config), sections, run.settings.corpus)
        with locked(run.out):
            write_sections(sections, run.out)
            for number, (title, commands_of) in enumerate(STAGES.items(), 1):
                if run.first <= number <= run.last:
                    print(f"== stage {number}: {title}", file=sys.stderr)
                    workers.run(commands_of(run))
    if run.last == len(STAGES):
        print(outcome(run.out / "report"), file=sys.stderr)


def read_options(arguments: Sequence[str]) -> Run:
    """The options over the settings of the YAML.

    Raises:
        InputError: The YAML cannot be used.
        SystemExit: An option cannot.
    """
    door = Door("run_pseudolabel.sh", __doc__ or "", OPTIONS)
    given = door.read(arguments)
    numbers = [str(number) for number in range(1, len(STAGES) + 1)]
    first, last = (
        int(door.choice(name, given.pop(name, default), numbers, f"1 to {len(STAGES)}"))
        for name, default in (("--stage", "1"), ("--stop-stage", numbers[-1]))
    )
    config, out = given.pop("--config", str(HERE / "conf" / "demo.yaml")), Path(given.pop("--out", "runs/demo"))
    for name, choices in (("--mode", Mode), ("--overlap", Overlap)):
        if name in given:
            door.choice(name, given[name], list(filter(None, typing.get_args(choices))))
    changes: dict[str, typing.Any] = {name.removeprefix("--"): text for name, text in given.items()}
    if "jobs" in changes:
        changes["jobs"] = door.whole("--jobs", changes["jobs"])
    if "backends" in changes:
        changes["backends"] = changes["backends"].split(",")
        if not all(map(BACKEND.fullmatch, changes["backends"])):
            door.refuse(f"--backends {given['--backends']} is not a list of names, as hilander,kmeans")
    settings = dataclasses.replace(load_recipe(Path(config))[0], **changes)
    return Run(out, config, settings, first, last)


def _train(run: Run, row: str, **options: object) -> Command:
    return command("facerec train", run.section("train"), **options, out=run.row(row) / "model")


def _embed(run: Run, model: Path, faces: Path, out: Path) -> Command:
    return command("facerec embed", run.section("embed"), model=model, faces=faces, out=out)


if __name__ == "__main__":
    main(sys.argv[1:])
