"""What are well-chosen answers worth? Hi-LANDER's clusters with chosen and with random questions answered.

    python benchmarks/answers.py [--json FILE] [--sets N]

Questions are answered by true identities. Chosen ones come from `choose_questions`, 50 a round, and after each round
the faces are clustered again. Random ones are pairs of near faces: a random face and a random one of its 10 nearest
neighbours; of kind "between" only pairs that the clusters without answers put apart. Means over three seeds. CPU
seconds are of a clustering and of a round of questions. The rule was chosen on the first three sets; the others report.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import CELEBA, CLINC, CLINC_TEST, DLIB, LFW, faces_of

from clustering.answers.clustered import clusters_of
from clustering.answers.file import Answers
from clustering.answers.questions import choose_questions
from clustering.answers.simulation import Turn, ask_in_rounds
from clustering.backends.hilander.hilander import HiLander
from clustering.graph.constraints import Constraints
from clustering.graph.knn_graph import KnnGraph
from eval.clusters import scores

SETS = {
    "celeba299, MobileFaceNet": CELEBA,
    "celeba299, dlib": DLIB,
    "CLINC train": CLINC,
    "LFW, MobileFaceNet": LFW,
    "CLINC test": CLINC_TEST,
}
SEEDS = (0, 1, 2)
NEAREST = 10
ROUND = 50
CHOSEN, RANDOM = (100, 300), (300, 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the table of results")
    parser.add_argument("--sets", type=int, default=len(SETS), help="how many of the sets, in their order")
    arguments = parser.parse_args()
    rows = []
    for name in list(SETS)[: arguments.sets]:
        if not SETS[name].exists():
            print(f"{name}: {SETS[name].name} is not there, skipped")
            continue
        rows.append(measured(name, SETS[name]))
        print(" ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(table(rows), indent=1) + "\n", encoding="utf-8")


def measured(name: str, path: Path) -> dict[str, Any]:
    """A row: Fp and Fb, without a point in front, by questions answered."""
    faces, truth = faces_of(path)
    graph, clusterer = KnnGraph.build(faces, 40), HiLander.from_pretrained()
    row: dict[str, Any] = {"row": name}
    clusterer.cluster(graph)  # the first time loads the model
    started = time.process_time()
    labels = clusterer.cluster(graph).labels
    clustered = time.process_time()
    choose_questions(graph, labels, Answers.none(), ROUND)
    row["seconds"] = f"{clustered - started:.1f} / {time.process_time() - clustered:.1f}"
    row["none"] = figures(truth, [labels])
    for turn in ask_in_rounds(clusterer, graph, Turn(Answers.none(), labels), truth, ROUND, CHOSEN[-1] // ROUND):
        if len(turn.answers) in CHOSEN:
            row[f"chosen{len(turn.answers)}"] = figures(truth, [turn.labels])
    for kind in ("near", "between"):
        for count in RANDOM:
            found = [random_answers(graph, truth, labels if kind == "between" else None, count, seed) for seed in SEEDS]
            row[f"{kind}{count}"] = figures(truth, [clusters_of(clusterer, graph, known).labels for known in found])
    return row


def random_answers(graph: KnnGraph, truth: np.ndarray, labels: np.ndarray | None, count: int, seed: int) -> Constraints:
    """True answers about random pairs of near faces; with labels, of pairs that are in two clusters."""
    random = np.random.default_rng(seed)
    one = random.integers(len(truth), size=20 * count)
    other = graph.neighbors[one, random.integers(NEAREST, size=len(one))].astype(np.int64)
    fits = other >= 0 if labels is None else (other >= 0) & (labels[one] != labels[other])
    pairs = np.stack([one[fits], other[fits]], axis=1)[:count]
    return Constraints(len(truth), pairs, truth[pairs[:, 0]] == truth[pairs[:, 1]])


def figures(truth: np.ndarray, clusterings: list[np.ndarray]) -> str:
    """Means of pairwise F and BCubed F, in per cent."""
    found = [scores(truth, labels) for labels in clusterings]
    return " / ".join(f"{100 * np.mean([each[key] for each in found]):.1f}" for key in ("pairwise_f", "bcubed_f"))


def table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows as a file of results."""
    titles = {"row": "set", "none": "no answers", "chosen100": "100 chosen", "chosen300": "300 chosen",
              "near300": "300 random", "near1000": "1,000 random", "between300": "300 random, two clusters",
              "between1000": "1,000 random, two clusters", "seconds": "CPU s to cluster / to ask"}  # fmt: skip
    return {
        "title": "What answers are worth", "command": "python benchmarks/answers.py", "commit": "",
        "seeds": list(SEEDS), "unit": "Fp / Fb in per cent", "source": "docs/how-to/answer-questions.md",
        "columns": [{"key": key, "title": title, "show": "text"} for key, title in titles.items()], "rows": rows,
    }  # fmt: skip


if __name__ == "__main__":
    main()
