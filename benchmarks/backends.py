"""Every backend on embeddings of people it has never seen: tuned on one set, scored on another and on stand-ins of it.

    python benchmarks/backends.py --tune EMBEDDINGS.npz --test EMBEDDINGS.npz [--backends a,b] [--seed N] \\
        [--plot FILE] [--work FOLDER]
    python benchmarks/backends.py --tune RUN/embeddings/validation --test RUN/embeddings/unlabelled \\
        --truth RUN/corpus/unlabelled_truth.npy

Each set is an archive that holds ``embeddings`` float32 [n, d] and ``labels`` int64 [n], or a folder as ``embed`` makes
it, such as those of the demo. Without them it says so and ends. The stand-ins are the test set's ``small`` and
``large`` versions (`clustering.learning.versions`): one to three faces a person, and hundreds. With --plot a figure
shows for each backend the score of every setting that was tried against its main parameter, on the tuning set's
versions and on the test set: where the two peaks are apart, tuning does not carry over. What is in --work already is
not done again.
"""

import argparse
import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from common import CELEBA, LFW, command, work_folder
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import hmean

from clustering.backends.registry import BACKENDS, backend, load_clusterer
from clustering.comparison.runs import NEIGHBORS
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces, load_labelled
from clustering.learning.tuning import labels_of
from clustering.learning.versions import versions
from eval.clusters import scores
from facerec.pipeline.embeddings import save_embeddings
from facerec.pipeline.files import read_json

STAND_INS = ("small", "large")
COLUMNS = 5
LEGEND = [
    Line2D([], [], linestyle="none", marker="o", markersize=4, color="tab:blue", label="labelled set"),
    Line2D([], [], linestyle="none", marker="o", markersize=4, color="tab:orange", label="test set"),
    Line2D([], [], linestyle="none", marker="o", markersize=8, fillstyle="none", color="black", label="default"),
    Line2D([], [], linestyle="none", marker="x", markersize=8, color="black", label="chosen"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tune", type=Path, default=CELEBA)
    parser.add_argument("--test", type=Path, default=LFW)
    parser.add_argument("--truth", type=Path, help="identities of a --test folder without labels.npy")
    parser.add_argument("--backends", default=",".join(BACKENDS))
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="of the tuning")
    parser.add_argument("--plot", type=Path, help="PNG to draw")
    parser.add_argument("--work", type=Path, help="folder that keeps all, tuned-BACKEND among it; else a temporary one")
    arguments = parser.parse_args()
    if missing := [str(path) for path in (arguments.tune, arguments.test) if not path.exists()]:
        print(f"skipped: no {', '.join(missing)}; give --tune and --test")
        return
    with work_folder(arguments.work) as folder:
        write_sets(folder, read_set(arguments.tune), read_set(arguments.test, arguments.truth))
        print(
            f"{'backend':12} {'Fp':>6} {'Fb':>6} {'NMI':>6} {'clusters':>9} {'tune, s':>8} {'run, s':>8} {'MiB':>6}  "
            + "  ".join(f"{name + ' Fp':>9} {'Fb':>6}" for name in STAND_INS)
        )
        names = arguments.backends.split(",")
        for each in names:
            print(row(folder, each, arguments.trials, arguments.seed), flush=True)
        if arguments.plot:
            draw([sensitivity(folder, each) for each in names if backend(each).search_space], arguments.plot)


def read_set(path: Path, truth: Path | None = None) -> LabelledFaces:
    """The readable faces of known identity of an archive, a folder, or a .npy file with the identities beside it."""
    if path.suffix != ".npz":
        return load_labelled(path, truth)
    with np.load(path, allow_pickle=False) as archive:
        return LabelledFaces(archive["embeddings"], archive["labels"])


def write_sets(folder: Path, tune: LabelledFaces, test: LabelledFaces) -> None:
    """Writes the embedding sets ``tune``, ``test`` and the stand-ins, and the graphs of all but the first."""
    stand_ins = {name: found for name, found in versions(test, 0).items() if name in STAND_INS}
    for name, faces in {"tune": tune, "test": test, **stand_ins}.items():
        (folder / name).mkdir(exist_ok=True)
        save_embeddings(folder / name, faces.embeddings, labels=faces.labels)
        if name != "tune":
            clustering(folder, "knn", "--embeddings", name, "--k", str(NEIGHBORS), "--out", f"knn-{name}")


def row(folder: Path, name: str, trials: int, seed: int) -> str:
    """Tunes and clusters in processes of their own, and formats the figures."""
    tuned = f"tuned-{name}"
    clustering(folder, "tune", "--backend", name, "--embeddings", "tune", "--trials", str(trials), "--seed", str(seed),
               "--out", tuned)  # fmt: skip
    figures = clustered(folder, name, "test")
    tuning, run = read_json(folder / tuned / "meta.json"), read_json(folder / f"{name}-test" / "meta.json")
    stand_ins = [clustered(folder, name, other) for other in STAND_INS]
    return (
        f"{name:12} {figures['pairwise_f']:6.3f} {figures['bcubed_f']:6.3f} {figures['nmi']:6.3f} "
        f"{figures['clusters']:9,.0f} {tuning['seconds']:8.1f} {run['seconds']:8.2f} "
        f"{run['peak_memory_bytes'] / 2**20:6.0f}  "
        + "  ".join(f"{found['pairwise_f']:9.3f} {found['bcubed_f']:6.3f}" for found in stand_ins)
    )


def clustered(folder: Path, name: str, part: str) -> dict[str, float]:
    """Clusters one of the sets with the tuned backend, and scores it."""
    out = f"{name}-{part}"
    options = {"backend": name, "model": f"tuned-{name}", "embeddings": part, "knn": f"knn-{part}", "out": out}
    clustering(folder, "cluster", *(text for option, value in options.items() for text in (f"--{option}", value)))
    return scores(np.load(folder / part / "labels.npy"), np.load(folder / out / "labels.npy"))


class Sensitivity(NamedTuple):
    """What was tried of a backend.

    Attributes:
        name: Of the backend.
        parameter: The first that it searches for.
        values: Of the parameter, one a trial, the default first.
        tuning: Score on the tuning set's versions.
        tested: Harmonic mean of Fp and Fb on the test set.
        chosen: Index of the trial that tuning chose.
    """

    name: str
    parameter: str
    values: list[float]
    tuning: list[float]
    tested: list[float]
    chosen: int


def sensitivity(folder: Path, name: str) -> Sensitivity:
    """Clusters the test set with every setting that was tried."""
    clusterer = load_clusterer(name, folder / f"tuned-{name}")
    graph = KnnGraph.load(folder / "knn-test", np.load(folder / "test" / "embeddings.npy"))
    truth = np.load(folder / "test" / "labels.npy")
    with (folder / f"tuned-{name}" / "search.csv").open(newline="") as file:
        trials = list(csv.DictReader(file))
    settings = [{key: yaml.safe_load(trial[key]) for key in clusterer.search_space} for trial in trials]
    tested, estimates = [], {}
    for each in settings:
        figures = scores(truth, labels_of(clusterer.with_settings(**each), graph, estimates))
        tested.append(float(hmean([figures["pairwise_f"], figures["bcubed_f"]])))
    parameter = next(iter(clusterer.search_space))
    chosen = settings.index({key: getattr(clusterer, key) for key in clusterer.search_space})
    tuning = [float(trial["score"]) for trial in trials]
    return Sensitivity(name, parameter, [each[parameter] for each in settings], tuning, tested, chosen)


def draw(found: list[Sensitivity], path: Path) -> None:
    """A panel a backend."""
    columns = min(len(found), COLUMNS)
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(3 * columns, 2.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, each in zip(panels, found, strict=False):
        for color, y in (("tab:blue", each.tuning), ("tab:orange", each.tested)):
            axes.scatter(each.values, y, s=12, color=color)
            axes.scatter(each.values[0], y[0], s=70, facecolors="none", edgecolors=color)
            axes.scatter(each.values[each.chosen], y[each.chosen], s=70, marker="x", color=color)
        axes.set(title=each.name, xlabel=each.parameter, ylim=(0, 1))
    for axes in panels[len(found) :]:
        axes.set_visible(False)
    figure.supylabel("harmonic mean of Fp and Fb")
    figure.legend(handles=LEGEND, loc="outside upper center", ncols=len(LEGEND))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def clustering(folder: Path, *arguments: str) -> None:
    """Runs a command of the package in a folder."""
    command("clustering", *arguments, folder=folder)


if __name__ == "__main__":
    main()
