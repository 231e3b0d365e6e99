"""Clusterings of one corpus, good and bad, to learn on how good they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clustering.backends.components import Components
from clustering.backends.dbscan import Dbscan
from clustering.backends.hac import HacAverage
from clustering.backends.hilander.hilander import HiLander
from clustering.backends.kmeans import KMeans
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from clustering.quality.nested_cuts import Cuts
from facerec.pipeline.files import InputError

MOST_FOR_HAC = 8000
Make = Callable[[KnnGraph, np.ndarray, Cuts, np.random.Generator], np.ndarray]
"""Clusters a graph of n faces of known identity: int64 [n]. `InputError` means that it does not take this graph."""


def clusterings(
    graph: KnnGraph, truth: np.ndarray, cuts: Cuts, count: int, random: np.random.Generator
) -> dict[str, np.ndarray]:
    """Hi-LANDER's clusters and some others, by name: int64 [n], -1 for unassigned faces.

    Args:
        graph: Of n faces, of 10 neighbours or more.
        truth: int64 [n], the identities.
        cuts: Of the same corpus.
        count: How many others.
        random: Where they and their settings are drawn from.
    """
    names = random.choice(list(OTHERS), min(count, len(OTHERS)), replace=False).tolist()
    found = {"hilander": HiLander.from_pretrained().cluster(graph).labels}
    for name in names:
        try:
            found[name] = consecutive(OTHERS[name](graph, truth, cuts, random))
        except InputError:
            continue  # a graph that this backend does not take
    return found


def _stricter(graph: KnnGraph, truth: np.ndarray, cuts: Cuts, random: np.random.Generator) -> np.ndarray:
    p_tau = float(random.choice([0.9, 0.95, 0.97, 0.99]))
    return HiLander.from_pretrained().with_settings(p_tau=p_tau, adaptive=False).cluster(graph).labels


def _looser(graph: KnnGraph, truth: np.ndarray, cuts: Cuts, random: np.random.Generator) -> np.ndarray:
    p_tau = float(random.choice([0.4, 0.5, 0.6, 0.7]))
    return HiLander.from_pretrained().with_settings(p_tau=p_tau, adaptive=False).cluster(graph).labels


def _level(graph: KnnGraph, truth: np.ndarray, cuts: Cuts, random: np.random.Generator) -> np.ndarray:
    return HiLander.from_pretrained().with_settings(levels=int(random.integers(1, 3))).cluster(graph).labels


def _components(graph: KnnGraph, truth: np.ndarray, cuts: Cuts, random: np.random.Generator) -> np.ndarray:
    return Components(adaptive=True).cluster(graph).labels


def _loose_components(graph: KnnGraph, truth: np.ndarray, cuts: Cuts, random: np.random.Generator) -> np.ndarray:
    return Components(min_similarity=float(random.uniform(0.3, 0.8)), mutual=False).cluster(graph).labels


def _dbscan(graph: KnnGraph, truth: np.ndarray, cuts: Cuts, random: np.random.Generator) -> np.ndarray:
    return Dbscan(adaptive=True).cluster(graph).labels


def _hac(graph: KnnGraph, truth: np.ndarray, cuts: Cuts, random: np.random.Generator) -> np.ndarray:
    if len(graph) > MOST_FOR_HAC:
        raise InputError("too large")
    least = float(random.uniform(cuts.thresholds[-1], cuts.thresholds[1]))
    return HacAverage(min_similarity=least).cluster(graph).labels


def _kmeans(graph: KnnGraph, truth: np.ndarray, cuts: Cuts, random: np.random.Generator) -> np.ndarray:
    clusters = int(np.clip((truth.max() + 1) * np.exp(random.uniform(-1.2, 1.2)), 2, min(len(graph) // 2, 1500)))
    return KMeans(faces_per_cluster=len(graph) / clusters).cluster(graph).labels


def _cut(graph: KnnGraph, truth: np.ndarray, cuts: Cuts, random: np.random.Generator) -> np.ndarray:
    return cuts.labels[int(random.integers(len(cuts.labels)))]


def _people(graph: KnnGraph, truth: np.ndarray, cuts: Cuts, random: np.random.Generator) -> np.ndarray:
    """The people with some of them in two parts, some taken for each other, and some faces elsewhere."""
    identities = int(truth.max()) + 1
    halves = random.random(identities) < random.uniform(0, 0.5)
    parts = 2 * truth + (halves[truth] & (random.random(len(truth)) < 0.4))
    merged = np.arange(2 * identities)
    taken = random.random(len(merged)) < random.choice([0, random.uniform(0, 0.3)])
    merged[taken] = random.choice(merged, int(taken.sum()))
    parts = merged[parts]
    elsewhere = random.random(len(parts)) < random.choice([0, random.uniform(0, 0.2)])
    return np.where(elsewhere, random.permutation(parts), parts)


def _heap(graph: KnnGraph, truth: np.ndarray, cuts: Cuts, random: np.random.Generator) -> np.ndarray:
    """All in one but for a few."""
    return np.where(random.random(len(truth)) < random.uniform(0, 0.2), np.arange(len(truth)) + 1, 0)


def _alone(graph: KnnGraph, truth: np.ndarray, cuts: Cuts, random: np.random.Generator) -> np.ndarray:
    """Each alone but for some pairs of neighbours."""
    first = np.maximum(graph.neighbors[:, 0], 0)
    joined = (random.random(len(truth)) < random.uniform(0, 0.3)) & (np.arange(len(truth)) > first)
    return np.where(joined, first, np.arange(len(truth)))


OTHERS: dict[str, Make] = {
    "hilander, stricter": _stricter, "hilander, looser": _looser, "hilander, a level": _level,
    "components": _components, "components, looser": _loose_components, "dbscan": _dbscan, "hac": _hac,
    "kmeans": _kmeans, "a cut": _cut, "people": _people, "heap": _heap, "alone": _alone,
}  # fmt: skip
