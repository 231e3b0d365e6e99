"""Does what tune chooses for Hi-LANDER on labelled people hold for other people?

    python benchmarks/tuning.py [RUN ...] [--only NAME]... [--json results/tuning.json]

For every corpus a model is trained on half of the labelled people. With it and with the packaged one all settings of
`GRID` are scored on versions of the other half, as tune does it. Rules choose among them. What they choose is scored on
other people of the same recogniser, with a model trained on all labelled people. Runs are folders of
``recipes/run_pseudolabel.sh`` on the rendered corpus. Prints a row a corpus: mean of Fp and Fb. A minute or two each on
one core.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import CELEBA, CLINC, DLIB, LFW

from clustering.backends.hilander.hilander import HiLander
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces, labelled, split, split_identities
from clustering.learning.proposals import best_of, chosen_of, training_of
from clustering.learning.simulated import recognisers
from clustering.learning.tuning import Estimates, Version, labels_of, run_trial, validation_versions
from clustering.partition import places_in_groups
from eval.clusters import scores
from facerec.pipeline.embeddings import load_embeddings, normalize
from facerec.pipeline.files import write_json
from facerec.pipeline.label_files import load_labels

Row = Mapping[str, Any]
KS, P_TAUS = (3, 5, 10, 20), (0.3, 0.45, 0.6, 0.7, 0.8, 0.9, 0.95)
DEFAULT = {"k": 10, "p_tau": 0.6}
GRID = [DEFAULT, *(each for k in KS for p_tau in P_TAUS if (each := {"k": k, "p_tau": p_tau}) != DEFAULT)]
SIMULATED_SEED = 777  # not pretrain's
PACKAGED = 1


def faces(path: Path, labels: Path | None = None) -> LabelledFaces:
    """Embeddings and identities of a file or folder."""
    found = load_embeddings(path)
    return labelled(found.embeddings, load_labels(labels) if labels else found.labels)


def few(found: LabelledFaces, most: int) -> LabelledFaces:
    """One to `most` faces of every person."""
    random = np.random.default_rng(3)
    order = random.permutation(len(found.labels))
    people, inverse = np.unique(found.labels[order], return_inverse=True)
    by_person = np.argsort(inverse, kind="stable")
    rank = np.empty(len(order), int)
    rank[by_person] = places_in_groups(np.bincount(inverse))
    kept = order[rank < random.integers(1, most + 1, len(people))[inverse]]
    return LabelledFaces(found.embeddings[kept], found.labels[kept])


def projected(found: LabelledFaces, dimension: int) -> LabelledFaces:
    """A random projection."""
    matrix = np.random.default_rng(5).normal(size=(found.embeddings.shape[1], dimension))
    return LabelledFaces(normalize((found.embeddings @ matrix).astype(np.float32)), found.labels)


def corpora(runs: Sequence[Path]) -> Iterator[tuple[str, Callable[[], tuple[LabelledFaces, LabelledFaces]]]]:
    """Names, and what reads the people to tune on and the others."""
    for run in runs:
        truth = run / "corpus" / "unlabelled_truth.npy"
        for kind in ("whitened", "embeddings"):
            if (run / kind).is_dir():
                folder = run / kind
                name = f"demo {run.name}, {'whitened' if kind == 'whitened' else 'as they are'}"
                yield name, lambda f=folder, t=truth: (faces(f / "validation"), faces(f / "unlabelled", t))
    yield "celeba299, a half", lambda: split(faces(CELEBA), 0.5, 0)
    yield "celeba299, a quarter", lambda: split(faces(CELEBA), 0.25, 2)
    yield "celeba299, 1 to 4 faces a person", lambda: _few_to_many(split(faces(CELEBA), 0.5, 1))
    yield "celeba299, 48 dimensions", lambda: split(projected(faces(CELEBA), 48), 0.5, 2)
    yield "celeba299 by dlib, a third of a half", lambda: split(_every_second(faces(DLIB)), 0.34, 0)
    yield "LFW, a half", lambda: split(faces(LFW), 0.5, 0)
    yield "CLINC train, a half", lambda: split(faces(CLINC), 0.5, 0)
    yield "CLINC train, 22 intents", lambda: split(faces(CLINC), 0.3, 1)
    for number, share in enumerate((0.4, 0.2, 0.5)):
        yield f"simulated {number}", lambda n=number, s=share: split(_simulated(n), s, 1)


def _few_to_many(halves: tuple[LabelledFaces, LabelledFaces]) -> tuple[LabelledFaces, LabelledFaces]:
    return few(halves[0], 4), halves[1]


def _every_second(found: LabelledFaces) -> LabelledFaces:
    """The half of the people that the arena's set of them is tuned on."""
    kept = np.isin(found.labels, np.unique(found.labels)[::2])
    return LabelledFaces(found.embeddings[kept], found.labels[kept])


def _simulated(number: int) -> LabelledFaces:
    return list(recognisers(number + 1, SIMULATED_SEED))[number]


def tried(known: LabelledFaces, others: LabelledFaces) -> tuple[list[Row], list[Row]]:
    """Rows of all settings of both models, on versions of the known people and, with ``value``, on the others."""
    learning, held = split_identities(known, seed=0)
    packaged = HiLander.from_pretrained()
    widest = max(*KS, packaged.most_neighbors)
    versions = list(validation_versions(held, widest, seed=0))
    other = Version("others", KnnGraph.build(others.embeddings, widest), others.labels)
    rows: list[Row] = []
    values: list[Row] = []
    pairs = (HiLander.learn(*learning), HiLander.learn(*known)), (packaged, packaged)
    for training, (half, whole) in enumerate(pairs):
        seen: Estimates = {}
        rows += [{"training": training, **run_trial(half, settings, versions, seen)} for settings in GRID]
        estimates: dict[int, Any] = {}
        for settings in GRID:
            found = scores(other.labels, labels_of(whole.with_settings(**settings), other.graph, estimates))
            mean = (found["pairwise_f"] + found["bcubed_f"]) / 2
            values.append({"training": training, **settings, "value": mean})
    return rows, values


def chosen(rows: Sequence[Row], packaged: int | None = None, own_settings: bool = False) -> Row:
    """The trial that a rule takes."""
    training = training_of(rows, packaged)
    return chosen_of([row for row in rows if row["training"] == training], own_settings and training == packaged)


RULES: dict[str, Callable[[Sequence[Row]], Row]] = {
    "untuned": lambda _: {"training": PACKAGED, **DEFAULT},
    "better": chosen,
    "model": lambda rows: chosen(rows, PACKAGED),
    "tune": lambda rows: chosen(rows, PACKAGED, own_settings=True),
}


def outcome(rows: Sequence[Row], values: Sequence[Row]) -> dict[str, float]:
    """What every rule's choice is worth on the others, and the best of all settings there."""
    worth = {(row["training"], row["k"], row["p_tau"]): row["value"] for row in values}
    found = {}
    for name, rule in RULES.items():
        row = rule(rows)
        found[name] = worth[row["training"], row["k"], row["p_tau"]]
    return found | {"best": max(worth.values()), "gain": gain(rows)}


def gain(rows: Sequence[Row]) -> float:
    """How much more the trained model scores than the packaged one, in per cent."""
    own, packaged = (best_of([row for row in rows if row["training"] == number])["score"] for number in (0, PACKAGED))
    return 100 * (own / packaged - 1)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--only", action="append", help="name of a corpus, or how it begins")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    table = []
    print(f"| corpus | {' | '.join(RULES)} | best | trained model scores more, % |\n|---|{'---:|' * (len(RULES) + 2)}")
    for name, read in corpora(given.runs):
        if name.startswith(tuple(given.only or [""])):
            table.append((name, outcome(*tried(*read()))))
            print(line(*table[-1]), flush=True)
    print(line("mean", {key: float(np.mean([found[key] for _, found in table])) for key in table[0][1]}))
    if given.json:
        write_json(given.json, results(table))


def line(name: str, found: Mapping[str, float]) -> str:
    """A row of the table."""
    *figures, percent = found.values()
    return f"| {name} | " + " | ".join(f"{figure:.3f}" for figure in figures) + f" | {percent:+.1f} |"


def results(table: Sequence[tuple[str, Mapping[str, float]]]) -> dict[str, Any]:
    """The table as docs/tools/result_tables.py wants it."""
    titles = {
        "untuned": "untuned", "better": "the better model", "model": "without the second rule",
        "tune": "as `tune` does it", "best": "best of all settings",
    }  # fmt: skip
    mean = {key: float(np.mean([found[key] for _, found in table])) for key in titles}
    columns = [{"key": "row", "title": "corpus", "show": "text"}]
    columns += [{"key": key, "title": title, "show": "text"} for key, title in titles.items()]
    columns.append({"key": "gain", "title": "trained model scores more, %", "show": "text"})
    rows = [
        {"row": name, **{key: f"{found[key]:.3f}"[1:] for key in titles}}
        | ({"gain": f"{found['gain']:+.1f}"} if "gain" in found else {})
        for name, found in (*table, ("mean", mean))
    ]
    return {
        "title": "What tune chooses for Hi-LANDER", "command": "python benchmarks/tuning.py", "commit": "see the page",
        "seeds": [0], "unit": "fractions, mean of Fp and Fb", "source": "docs/lab/tuning.md", "columns": columns,
        "rows": rows,
    }  # fmt: skip


if __name__ == "__main__":
    main()
