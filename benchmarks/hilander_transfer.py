"""Does Hi-LANDER hold on corpora that look nothing like the one it was trained on? Ablations, over several seeds.

    python benchmarks/hilander_transfer.py --train EMBEDDINGS.npz --test EMBEDDINGS.npz [--seeds N] [--rows a,b]

Each archive holds ``embeddings`` float32 [n, d] and ``labels`` int64 [n]. Every row is trained on the first set with
one setting, nothing is chosen on the others, and scored on: the second set; ``few``, at most 8 faces of each of its
people; ``many``, its 24 largest people; ``other d``, the second set through a random projection to 48 dimensions, in
the place of another recogniser. Prints CPU seconds of a training, and Fp/Fb, mean and spread (half the range) over
seeds. Without the archives it says so and ends.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from common import CELEBA, LFW, faces_of

from clustering.backends.hilander import climb
from clustering.backends.hilander.climb import pseudo_density
from clustering.backends.hilander.hilander import HiLander
from clustering.backends.registry import load_clusterer
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.versions import random_places
from eval.clusters import scores
from facerec.pipeline.embeddings import normalize

PAPER = {
    "inputs": "features", "features": "identity", "own_levels": False, "p_tau": 0.8, "hidden": 256, "epochs": 10,
}  # fmt: skip
ROWS: dict[str, dict[str, Any]] = {
    "default": {},
    "no simulated corpora": {"simulated": 0},
    "levels of true edges": {"own_levels": False},
    "identity features": {"features": "identity"},
    "both features": {"features": "both"},
    "k = 5": {"k": 5},
    "k = 20": {"k": 20},
    "p_tau .8": {"p_tau": 0.8},
    "p_tau .85": {"p_tau": 0.85},
    "p_tau .95": {"p_tau": 0.95},
    "density of cosines": {"density": "cosines"},
    "no density": {"density": "none"},
    "with embeddings too": {"inputs": "both", "p_tau": 0.8},
    "as in the paper": PAPER,
    "as in the paper 100 epochs": {**PAPER, "epochs": 100},
    "as in the paper with GAT": {**PAPER, "encoder": "gat"},
}
DENSITIES: dict[str, Callable[[KnnGraph, np.ndarray], np.ndarray]] = {
    "linkage": pseudo_density,
    "cosines": lambda graph, linkage: pseudo_density(graph, np.ones_like(linkage)),
    "none": lambda graph, linkage: np.zeros(len(graph), np.float32),
}
MODELS: dict[tuple[Any, ...], HiLander] = {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, default=CELEBA)
    parser.add_argument("--test", type=Path, default=LFW)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", default=",".join(ROWS))
    arguments = parser.parse_args()
    if missing := [str(path) for path in (arguments.train, arguments.test) if not path.exists()]:
        print(f"skipped: no {', '.join(missing)}; give --train and --test")
        return
    sets = {
        name: (KnnGraph.build(faces, 20), labels)
        for name, faces, labels in corpora(*faces_of(arguments.test), np.random.default_rng(0))
    }
    print(f"{'row':24} {'CPU, s':>9}", *(f"{name:>23}" for name in sets))
    report("without any label", [figures(load_clusterer("hilander", None), sets)], 0)
    faces, labels = faces_of(arguments.train)
    for row in arguments.rows.split(","):
        found, seconds = [], []
        for seed in range(arguments.seeds):
            started = time.process_time()
            hilander = trained(faces, labels, seed, ROWS[row])
            seconds.append(time.process_time() - started)
            with patch.object(climb, "pseudo_density", DENSITIES[ROWS[row].get("density", "linkage")]):
                found.append(figures(hilander, sets))
        report(row, found, float(np.mean(seconds)))
        if row == "default":
            one = [figures(trained(faces, labels, 0, {}).with_settings(levels=1), sets)]
            report("one level: LANDER", one, seconds[0])


def trained(faces: np.ndarray, labels: np.ndarray, seed: int, settings: dict[str, Any]) -> HiLander:
    """Trains with some settings; once for all thresholds and densities of decoding, which have no part in it."""
    training = {name: value for name, value in settings.items() if name not in ("p_tau", "density")}
    key = seed, *sorted(training.items())
    if key not in MODELS:
        MODELS[key] = HiLander.learn(faces, labels, seed, **training)
    return MODELS[key].with_settings(p_tau=settings.get("p_tau", MODELS[key].p_tau))


def corpora(
    faces: np.ndarray, labels: np.ndarray, random: np.random.Generator
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The test set, and others made of it."""
    yield "test", faces, labels
    few = random_places(labels, random) < random.integers(1, 9, labels.max() + 1)[labels]
    yield "few", faces[few], labels[few]
    many = np.isin(labels, np.argsort(-np.bincount(labels), kind="stable")[:24])
    yield "many", faces[many], labels[many]
    if faces.shape[1] > 48:
        yield "other d", normalize(faces @ random.normal(size=(faces.shape[1], 48))), labels


def figures(hilander: Any, sets: dict[str, tuple[KnnGraph, np.ndarray]]) -> list[tuple[float, float]]:
    """Fp and Fb on every set; not a number where the model cannot take that dimension."""
    found = []
    for graph, labels in sets.values():
        if isinstance(hilander, HiLander) and hilander.model.dimension and graph.embeddings.shape[1] == 48:
            found.append((np.nan, np.nan))
            continue
        score = scores(labels, hilander.cluster(graph.narrowed(hilander.k)).labels)
        found.append((score["pairwise_f"], score["bcubed_f"]))
    return found


def report(row: str, found: list[list[tuple[float, float]]], seconds: float) -> None:
    values = np.array(found)
    mean, spread = values.mean(axis=0), (values.max(axis=0) - values.min(axis=0)) / 2
    cells = [f"{m[0]:.3f}/{m[1]:.3f} ±{s[0]:.3f}/{s[1]:.3f}" for m, s in zip(mean, spread, strict=True)]
    print(f"{row:24} {seconds:9.1f}", *(f"{cell:>23}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
