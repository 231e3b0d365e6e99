"""Which errors of a clustering hurt the recogniser, and what is each part of the recipe worth?

    python benchmarks/cluster_errors.py [RUN ...] [--rows "a;b"] [--shares 10 30] [--backend NAME] [--out FOLDER]

A run is a finished folder of ``recipes/run_pseudolabel.sh`` on the rendered corpus (``runs/demo`` if none is named, or
nothing if that is not there); several of them, made with other seeds, give means. The true labels of its unlabelled
faces are spoilt by hand, in one way at a time, and the recipe's student is trained on them and evaluated. Then the
pseudo-labels of one of its backends are used with one part of the recipe changed. Prints tables in Markdown, beside
them what the folder itself has. ``--out`` keeps finished parts, so that rows and runs can be added later. Two minutes
of CPU a row and run of the demo.

A share is that of the faces whose label is changed, whatever the error, so that merges and strays of one share have the
same number of wrong labels: splits give the faces of one half of an identity a label of their own, merges give all
faces of an identity the label of another one of about its size, strays give faces that of somebody else (in proportion
to his faces), missing faces and missing identities have none.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from common import command

from clustering.backends.hilander.meta_training import majority
from clustering.partition import places_in_groups
from eval.clusters import scores
from facerec.pipeline.files import read_json, read_yaml
from facerec.pipeline.fingerprint import InputFiles
from facerec.pipeline.label_files import load_labels

RATES = ("1e-2", "1e-3", "1e-4")
COLUMNS = (*(f"FNMR@{rate}" for rate in RATES), "purity", "Fb", "faces")
NEEDED = ("corpus/labelled", "corpus/unlabelled", "corpus/unlabelled_truth.npy", "corpus/test", "corpus/protocol")
NO_ERROR, AS_IT_IS = "no error", "as it is"
SWITCHES: dict[str, list[str]] = {
    AS_IT_IS: [],
    "rules off": [],
    "weights off": [],
    "rules and weights off": [],
    "two heads": ["--heads", "2", "--pseudo_share", "0.5"],
    "finetune": ["--init", "TEACHER"],
    "right labels": [],
    "pieces joined": [],
    "strays out": [],
}

Spoil = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def splits(labels: np.ndarray, faces: int, rng: np.random.Generator) -> np.ndarray:
    """Identities cut in two: the faces of one half get a new label.

    Args:
        labels: int64 [n] identities, -1 where unknown.
        faces: How many faces get another label; of the last identity perhaps fewer than half.
        rng: Chooses identities and halves.

    Returns:
        int64 [n].

    Example:
        >>> splits(np.array([4, 4, 7, -1]), 1, np.random.default_rng(0)).tolist() in ([4, 8, 7, -1], [8, 4, 7, -1])
        True
    """
    _, identity, sizes = _identities(labels)
    halves = sizes // 2
    order = rng.permutation(len(sizes))
    before = np.cumsum(halves[order]) - halves[order]
    cut = np.empty_like(sizes)
    cut[order] = np.clip(faces - before, 0, halves[order])
    rows = rng.permutation(np.flatnonzero(labels >= 0))
    rows = rows[np.argsort(identity[rows], kind="stable")]
    place = places_in_groups(sizes)
    moved = rows[place < cut[identity[rows]]]
    spoilt = labels.copy()
    spoilt[moved] = labels.max() + 1 + identity[moved]
    return spoilt


def merges(labels: np.ndarray, faces: int, rng: np.random.Generator) -> np.ndarray:
    """Two identities of about the same size made one: the smaller one gets the label of the other.

    Pairs are neighbours in the order of sizes, equal ones in random order; pairs are taken at random, each that does
    not change more than `faces` labels. So it may be a few faces less.
    """
    names, identity, sizes = _identities(labels)
    order = np.lexsort((rng.random(len(sizes)), -sizes))
    larger, smaller = order[: len(order) // 2 * 2].reshape(-1, 2).T
    chosen = _fitting(sizes[smaller], faces, rng)
    becomes = names.copy()
    becomes[smaller[chosen]] = names[larger[chosen]]
    return np.where(labels >= 0, becomes[identity], -1)


def strays(labels: np.ndarray, faces: int, rng: np.random.Generator) -> np.ndarray:
    """Faces put into another identity's cluster: that of a face of somebody else, each equally likely."""
    _, identity, sizes = _identities(labels)
    known = np.flatnonzero(labels >= 0)
    moved = rng.permutation(known)[:faces]
    own = identity[moved]
    others = known[np.argsort(identity[known], kind="stable")]  # own faces, which are one stretch, are jumped over
    first = (np.cumsum(sizes) - sizes)[own]
    place = rng.integers(len(known) - sizes[own])
    spoilt = labels.copy()
    spoilt[moved] = labels[others[place + np.where(place >= first, sizes[own], 0)]]
    return spoilt


def missing_faces(labels: np.ndarray, faces: int, rng: np.random.Generator) -> np.ndarray:
    """Faces without a label, at random."""
    spoilt = labels.copy()
    spoilt[rng.permutation(np.flatnonzero(labels >= 0))[:faces]] = -1
    return spoilt


def missing_identities(labels: np.ndarray, faces: int, rng: np.random.Generator) -> np.ndarray:
    """Whole identities without a label: at random, each that does not make it more than `faces`."""
    _, identity, sizes = _identities(labels)
    gone = np.isin(identity, _fitting(sizes, faces, rng))
    return np.where(gone, -1, labels)


KINDS: dict[str, Spoil] = {
    "splits": splits,
    "merges": merges,
    "strays": strays,
    "missing faces": missing_faces,
    "missing identities": missing_identities,
}


def spoilt(kind: str, labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Labels with one kind of error.

    Args:
        kind: One of `KINDS`.
        labels: int64 [n] identities; -1 is unknown and stays so.
        share: Of the faces with an identity, those whose label is changed.
        seed: Draws them. With one seed, splits, strays and missing faces of a smaller share are among those of a
            larger one.

    Raises:
        ValueError: The share cannot be reached in this way, or there is one identity.
    """
    sizes = _identities(labels)[2]
    wanted = round(share * int(sizes.sum()))
    halves, pairs = int((sizes // 2).sum()), int(np.sort(sizes)[::-1][1::2].sum())
    most = {"splits": halves, "merges": pairs}.get(kind, int(sizes.sum()) - 1)
    if wanted > most or len(sizes) < 2:
        raise ValueError(
            f"{kind}: {wanted} of {sizes.sum()} faces of {len(sizes)} identities; at most {most} can be changed"
        )
    return KINDS[kind](labels, wanted, np.random.default_rng(seed))


def right_labels(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The identities of the faces that have a cluster: what is left is the choice of faces."""
    return np.where(found >= 0, truth, -1)


def pieces_joined(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Clusters of the same majority identity made one: what is left are wrong faces in clusters."""
    kept = found >= 0
    return np.where(kept, majority(found[kept], truth[kept])[found], -1)


def strays_out(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Clusters without the faces of others than their majority: what is left are identities in pieces."""
    return np.where((found >= 0) & (pieces_joined(truth, found) == truth), found, -1)


REPAIRS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "right labels": right_labels,
    "pieces joined": pieces_joined,
    "strays out": strays_out,
}


def _identities(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Names of the identities, int64 [k]; the place of each face's among them, int64 [n], -1 unknown; faces of each."""
    names = np.unique(labels[labels >= 0])
    identity = np.where(labels >= 0, np.searchsorted(names, labels), -1)
    return names, identity, np.bincount(identity[identity >= 0], minlength=len(names))


def _fitting(sizes: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """In random order, each that still fits: places of the chosen ones, whose sizes sum to at most `most`."""
    chosen = []
    for place in rng.permutation(len(sizes)).tolist():
        if sizes[place] <= most:
            chosen.append(place)
            most -= int(sizes[place])
    return np.array(chosen, np.int64)


def main() -> None:
    options = parsed()
    errors = [NO_ERROR] * (NO_ERROR in options.rows)
    errors += [f"{kind} {share:g} %" for kind in KINDS if kind in options.rows for share in options.shares]
    parts = [f"{options.backend}, {switch}" for switch in SWITCHES if switch in options.rows]
    if errors:
        tabulate(["labelled", "supervised"], errors, NO_ERROR, options)
    if parts:
        tabulate([options.backend], parts, f"{options.backend}, {AS_IT_IS}", options)


def parsed() -> argparse.Namespace:
    """The options; ends with one line if something is wrong with them or with a run, before long work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [NO_ERROR, *KINDS, *SWITCHES]
    parser.add_argument(
        "runs", type=Path, nargs="*", default=[Path("runs/demo")], help="finished folders of the recipe"
    )
    parser.add_argument("--rows", default=";".join(every), help="separated by semicolons")
    parser.add_argument("--shares", type=float, nargs="+", default=[10, 30], help="of the faces, in per cent")
    parser.add_argument("--backend", default="hilander", help="whose pseudo-labels parts of the recipe are tried on")
    parser.add_argument("--steps", type=int, help="of every training; by default the recipe's")
    parser.add_argument("--out", type=Path, default=Path("runs/cluster_errors"))
    options = parser.parse_args()
    options.rows = options.rows.split(";")
    names = [run.resolve().name for run in options.runs]
    if unknown := [row for row in options.rows if row not in every]:
        parser.error(f"--rows: unknown {', '.join(unknown)}; there are {'; '.join(every)}")
    if len(set(names)) < len(names):
        parser.error(f"runs of one name: {', '.join(names)}")
    if absent := [str(run) for run in options.runs if not run.exists()]:
        print(f"skipped: no {', '.join(absent)}; make demo, or give finished folders of recipes/run_pseudolabel.sh")
        raise SystemExit
    for run in options.runs:
        try:
            check(run, options)
        except ValueError as error:
            parser.error(f"{run}: {error}")
    return options


def check(run: Path, options: argparse.Namespace) -> None:
    """Refuses a run that lacks something, whose backends clustered other faces, or that has too few for a share.

    Raises:
        ValueError: With what is wrong.
    """
    bounds = [f"rows/{row}/ijb/metrics.json" for row in ("labelled", "supervised")]
    switched = bool(set(options.rows) & set(SWITCHES))
    parts = [f"rows/{options.backend}/{part}/meta.json" for part in ("clusters", "pseudo", "model", "ijb") if switched]
    if missing := [name for name in [*NEEDED, *bounds, *parts] if not (run / name).exists()]:
        raise ValueError(f"not a finished folder of the recipe: no {', '.join(missing)}")
    if switched:
        used = read_json(run / "rows" / options.backend / "model/meta.json")["inputs"]["unlabelled"]["hash"]
        if used != InputFiles(run / "corpus/unlabelled").hash:
            raise ValueError(f"rows/{options.backend} was made from other faces than corpus/unlabelled")
    truth = load_labels(run / "corpus/unlabelled_truth.npy")
    for kind in (kind for kind in KINDS if kind in options.rows):
        for share in options.shares:
            spoilt(kind, truth, share / 100, 0)


def tabulate(bounds: Sequence[str], rows: Sequence[str], reference: str, options: argparse.Namespace) -> None:
    """Prints a line a row and run as it comes, and the means over runs with half the range."""
    print(f"{'row':28} run   ", *(f"{name:>10}" for name in COLUMNS))
    found = {f"{row} (the run's)": [of_run(run, row) for run in options.runs] for row in bounds}
    for row in rows:
        found[row] = []
        for run in options.runs:
            found[row].append(figures(run, row, options))
            print(f"{row:28} {run.resolve().name:6}", *(f"{value:10.3f}" for value in found[row][-1]), flush=True)
    print(f"\n| mean of {len(options.runs)} | {' | '.join(COLUMNS)} | FNMR@1e-3 less that of {reference} |")
    print("|---" + "|---:" * (len(COLUMNS) + 1) + "|")
    for row, values in found.items():
        table = np.array(values)
        cost = table[:, 1] - np.array(found[reference])[:, 1] if reference in found and row in rows else None
        cells = [_cell(column, digits) for column, digits in zip(table.T, (2, 2, 2, 1, 3, 0), strict=True)]
        print(f"| {row} | {' | '.join(cells)} | {'' if cost is None else _cell(cost, 2)} |")
    print()


def _cell(values: np.ndarray, digits: int) -> str:
    if np.isnan(values).any():
        return ""
    half = (values.max() - values.min()) / 2
    return f"{values.mean():,.{digits}f}" + (f" ±{half:,.{digits}f}" if len(values) > 1 else "")


def of_run(run: Path, row: str) -> list[float]:
    """What the run itself has in a row."""
    truth, pseudo = load_labels(run / "corpus/unlabelled_truth.npy"), run / "rows" / row / "pseudo"
    labels = truth if row == "supervised" else load_labels(pseudo) if pseudo.exists() else None
    return [*_errors(run / "rows" / row / "ijb"), *_quality(truth, labels)]


def figures(run: Path, row: str, options: argparse.Namespace) -> list[float]:
    """Trains the student of a row and evaluates it."""
    here = options.out / run.resolve().name / row.replace(",", "").replace(" %", "").replace(" ", "-")
    here.mkdir(parents=True, exist_ok=True)
    truth = load_labels(run / "corpus/unlabelled_truth.npy")
    if row.startswith(f"{options.backend}, "):
        switch = row.removeprefix(f"{options.backend}, ")
        pseudo = _switched(run, switch, here, options.backend)
        extra = [str(run / "rows/labelled/model") if word == "TEACHER" else word for word in SWITCHES[switch]]
    else:
        pseudo, extra = here / "labels.npy", []
        np.save(pseudo, _by_hand(run, row, truth), allow_pickle=False)
    steps = [] if options.steps is None else ["--steps", options.steps]
    errors = student(run, run / "corpus/unlabelled", pseudo, here, *extra, *steps)
    return [*errors, *_quality(truth, load_labels(pseudo))]


def student(run: Path, unlabelled: Path, labels: Path, here: Path, *options: object) -> list[float]:
    """Trains the recipe's student and evaluates it; what is finished already is not repeated.

    Args:
        run: A finished folder of the recipe.
        unlabelled: Faces that it learns from beside the run's labelled ones.
        labels: Their pseudo-labels.
        here: Where model, embeddings and report go.
        *options: Of the training.

    Returns:
        FNMR at `RATES`, in per cent.
    """
    configured("facerec", "train", run, "--faces", run / "corpus/labelled", *options, "--unlabelled", unlabelled,
               "--pseudo_labels", labels, "--out", here / "model")  # fmt: skip
    configured("facerec", "embed", run, "--model", here / "model", "--faces", run / "corpus/test",
               "--out", here / "test")  # fmt: skip
    configured("eval", "ijb", run, "--protocol", run / "corpus/protocol", "--embeddings", here / "test",
               "--out", here / "ijb")  # fmt: skip
    return _errors(here / "ijb")


def _by_hand(run: Path, row: str, truth: np.ndarray) -> np.ndarray:
    if row == NO_ERROR:
        return truth
    kind, share, _ = row.rsplit(" ", 2)
    return spoilt(kind, truth, float(share) / 100, read_yaml(run / "config/train.yaml").get("seed", 0))


def _switched(run: Path, switch: str, here: Path, backend: str) -> Path:
    """The pseudo-labels of a backend; without rules only the least size counts, without weights all faces weigh 1."""
    pseudo = run / "rows" / backend / "pseudo"
    if "rules" in switch:
        least = read_yaml(run / "config/pseudolabel.yaml").get("min_size", 2)
        pseudo = here / "pseudo"
        command("clustering", "pseudolabel", "--clusters", run / "rows" / backend / "clusters", "--min_size", least,
                "--out", pseudo)  # fmt: skip
    if switch in REPAIRS:
        truth = load_labels(run / "corpus/unlabelled_truth.npy")
        np.save(here / "labels.npy", REPAIRS[switch](truth, load_labels(pseudo)), allow_pickle=False)
        pseudo = here / "labels.npy"
    if "weights" in switch:
        np.save(here / "labels.npy", load_labels(pseudo), allow_pickle=False)
        pseudo = here / "labels.npy"
    return pseudo


def _errors(report: Path) -> list[float]:
    fnmr = read_json(report / "metrics.json")["fnmr_at_fmr"]
    return [100 * fnmr[rate] for rate in RATES]


def _quality(truth: np.ndarray, labels: np.ndarray | None) -> list[float]:
    if labels is None:
        return [np.nan] * 3
    found = scores(truth, labels)
    return [100 * found["purity"], found["bcubed_f"], found["assigned"]]


def configured(package: str, name: str, run: Path, *arguments: object) -> None:
    """Runs a stage with the configuration that the run has for it."""
    command(package, name, "--config", run / "config" / f"{name}.yaml", *arguments)


if __name__ == "__main__":
    main()
