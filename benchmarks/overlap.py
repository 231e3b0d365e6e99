"""What do people who are labelled, and found again among the unlabelled faces, do to the recogniser?

    python benchmarks/overlap.py [RUN] [--shares 30 60] [--backend hilander] [--out FOLDER]

RUN is a finished folder of ``recipes/run_pseudolabel.sh`` on the rendered corpus (``runs/demo``). A share of its
labelled people is photographed again, as often as they were, and these faces go among the unlabelled ones. All of these
are clustered with the run's teacher and tuned backend, and the recipe's student is trained on the pseudo-labels with
the overlap kept (nobody looked for it), dropped, and merged, and on true labels. Prints a table in Markdown: *found*
and *wrong* are the planted and the other faces that were taken for those of labelled people, in per cent.
``--out`` keeps finished parts. Ten minutes of CPU a share of the demo.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from cluster_errors import NEEDED, RATES, configured, student

from clustering.pseudolabels.overlap import ACTIONS
from eval.clusters import scores
from facerec.pipeline.files import read_json
from facerec.pipeline.label_files import load_labels
from facerec.rendering.composition import SPLITS
from facerec.rendering.corpus import Sitting, take

TRUE = "true labels"
COLUMNS = ("found", "wrong", "purity", "faces", *(f"FNMR@{rate}" for rate in RATES))
DIGITS = (1, 2, 1, 0, 2, 2, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", default=Path("runs/demo"), help="finished folder of the recipe")
    parser.add_argument("--shares", type=float, nargs="+", default=[30, 60], help="of the labelled people, in per cent")
    parser.add_argument("--backend", default="hilander")
    parser.add_argument("--out", type=Path, default=Path("runs/overlap"))
    parser.add_argument("--workers", type=int, default=2, help="that photograph")
    options = parser.parse_args()
    if not options.run.exists():
        print(f"skipped: no {options.run}; make demo, or give a finished folder of recipes/run_pseudolabel.sh")
        return
    needed = [
        *NEEDED,
        "corpus/meta.json",
        "embeddings/validation/meta.json",
        "rows/labelled/model/meta.json",
        f"rows/{options.backend}/tuned/meta.json",
    ]
    if missing := [name for name in needed if not (options.run / name).exists()]:
        parser.error(f"{options.run}: not a finished folder of the recipe: no {', '.join(missing)}")
    print(f"| labelled people again | overlap | {' | '.join(COLUMNS)} |")
    print("|---|---" + "|---:" * len(COLUMNS) + "|")
    for share in options.shares:
        here = options.out / f"{share:g}"
        plant(options.run, here, share / 100, options.workers)
        cluster(options.run, here, options.backend)
        for action in (*ACTIONS, TRUE):
            found = figures(options.run, here, action, options.backend)
            cells = [f"{value:,.{digits}f}" for value, digits in zip(found, DIGITS, strict=True)]
            print(f"| {share:g} % | {action} | {' | '.join(cells)} |", flush=True)


def plant(run: Path, here: Path, share: float, workers: int) -> None:
    """Makes the corpus's unlabelled part: the run's faces, and further ones of a share of the labelled people.

    Writes ``unlabelled/*.jpg``, and as folder of labels ``true`` with the identities, the run's and then one more for
    each of these people, and the labelled class that each identity is the same as.
    """
    if (here / "true").exists():
        return
    corpus = read_json(run / "corpus/meta.json")["config"]
    seed, size, difficulty = (corpus[name] for name in ("seed", "size", "difficulty"))
    faces = here / "unlabelled"
    faces.mkdir(parents=True, exist_ok=True)
    for file in (run / "corpus/unlabelled").iterdir():
        if not (faces / file.name).exists():
            os.link(file, faces / file.name)
    people = sorted((run / "corpus/labelled").iterdir())
    chosen = np.sort(np.random.default_rng(seed).permutation(len(people))[: round(share * len(people))])
    sittings = []
    for person in chosen.tolist():
        count = len(list(people[person].iterdir()))
        paths = tuple(faces / f"{people[person].name}_{number:03d}.jpg" for number in range(count, 2 * count))
        media = tuple(range(count, 2 * count))
        sittings.append(Sitting(seed, SPLITS["labelled"], person, size, difficulty, paths, media, first=count))
    take(sittings, workers)
    truth = load_labels(run / "corpus/unlabelled_truth.npy")
    again = truth.max() + 1 + np.arange(len(chosen))
    truth = np.append(truth, np.repeat(again, [len(sitting.paths) for sitting in sittings]))
    same_as = np.append(np.full(again[0], -1), chosen)
    temporary = here / "true.partial"
    temporary.mkdir(exist_ok=True)
    np.save(temporary / "labels.npy", truth, allow_pickle=False)
    np.save(temporary / "same_as.npy", same_as, allow_pickle=False)
    temporary.rename(here / "true")


def cluster(run: Path, here: Path, backend: str) -> None:
    """The graph of the faces by the run's teacher, clusters, and pseudo-labels of each kind."""
    teacher, tuned_on = run / "rows/labelled/model", run / "embeddings/validation"
    labelled, unlabelled = here / "embeddings/labelled", here / "embeddings/unlabelled"
    for faces, out in [(run / "corpus/labelled", labelled), (here / "unlabelled", unlabelled)]:
        configured("facerec", "embed", run, "--model", teacher, "--faces", faces, "--out", out)
    configured("clustering", "knn", run, "--embeddings", unlabelled, "--out", here / "knn")
    clusters = here / backend / "clusters"
    configured("clustering", "cluster", run, "--backend", backend, "--model", run / "rows" / backend / "tuned",
               "--knn", here / "knn", "--embeddings", unlabelled, "--out", clusters)  # fmt: skip
    for action in ACTIONS:
        configured("clustering", "pseudolabel", run, "--clusters", clusters, "--embeddings", unlabelled, "--knn",
                   here / "knn", "--calibration", tuned_on, "--labelled", labelled, "--overlap", action,
                   "--out", here / backend / action)  # fmt: skip


def figures(run: Path, here: Path, action: str, backend: str) -> list[float]:
    """Trains the student of a row and evaluates it."""
    labels = here / "true" if action == TRUE else here / backend / action
    row = here / backend / f"{action.replace(' ', '-')}-row"
    errors = student(run, here / "unlabelled", labels, row)
    truth, found = load_labels(here / "true"), load_labels(labels)
    quality = scores(truth, found)
    taken, again = flagged(here, backend), np.load(here / "true/same_as.npy")[truth] >= 0
    shares = [100 * np.mean(taken[some]) for some in (again, ~again)] if action != TRUE else [100.0, 0.0]
    return [*shares, 100 * quality["purity"], quality["assigned"], *errors]


def flagged(here: Path, backend: str) -> np.ndarray:
    """Bool [n]: faces that were taken for those of labelled people, as merged labels say."""
    merged = load_labels(here / backend / "merge")
    return (merged >= 0) & (np.load(here / backend / "merge/same_as.npy")[merged] >= 0)


if __name__ == "__main__":
    main()
