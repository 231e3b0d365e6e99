"""Clusterings of one corpus, good and bad, to learn on how good they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

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


class Given(NamedTuple):
    """What a clustering is made from.

    Attributes:
        graph: Of n faces, of 10 neighbours or more.
        truth: int64 [n], the identities.
        cuts: Of the same corpus.
        random: Where settings and errors are drawn from.
    """

    graph: KnnGraph
    truth: np.ndarray
    cuts: Cuts
    random: np.random.Generator


Make = Callable[[Given], np.ndarray]
"""Makes a clustering, int64 [n]; `InputError` means that it does not take this graph."""


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
            found[name] = consecutive(OTHERS[name](Given(graph, truth, cuts, random)))
        except InputError:
            continue  # a graph that this backend does not take
    return found


def _stricter(given: Given) -> np.ndarray:
    p_tau = float(given.random.choice([0.9, 0.95, 0.97, 0.99]))
    return HiLander.from_pretrained().with_settings(p_tau=p_tau, adaptive=False).cluster(given.graph).labels


def _looser(given: Given) -> np.ndarray:
    p_tau = float(given.random.choice([0.4, 0.5, 0.6, 0.7]))
    return HiLander.from_pretrained().with_settings(p_tau=p_tau, adaptive=False).cluster(given.graph).labels


def _level(given: Given) -> np.ndarray:
    return HiLander.from_pretrained().with_settings(levels=int(given.random.integers(1, 3))).cluster(given.graph).labels


def _components(given: Given) -> np.ndarray:
    return Components(adaptive=True).cluster(given.graph).labels


def _loose_components(given: Given) -> np.ndarray:
    return Components(min_similarity=float(given.random.uniform(0.3, 0.8)), mutual=False).cluster(given.graph).labels


def _dbscan(given: Given) -> np.ndarray:
    return Dbscan(adaptive=True).cluster(given.graph).labels


def _hac(given: Given) -> np.ndarray:
    if len(given.graph) > MOST_FOR_HAC:
        raise InputError("too large")
    least = float(given.random.uniform(given.cuts.thresholds[-1], given.cuts.thresholds[1]))
    return HacAverage(min_similarity=least).cluster(given.graph).labels


def _kmeans(given: Given) -> np.ndarray:
    faces = len(given.graph)
    wanted = (given.truth.max() + 1) * np.exp(given.random.uniform(-1.2, 1.2))
    clusters = int(np.clip(wanted, 2, min(faces // 2, 1500)))
    return KMeans(faces_per_cluster=faces / clusters).cluster(given.graph).labels


def _cut(given: Given) -> np.ndarray:
    return given.cuts.labels[int(given.random.integers(len(given.cuts.labels)))]


def _people(given: Given) -> np.ndarray:
    """The true people, but some of them in two parts, some merged, and some faces elsewhere."""
    truth, random = given.truth, given.random
    identities = int(truth.max()) + 1
    halves = random.random(identities) < random.uniform(0, 0.5)
    parts = 2 * truth + (halves[truth] & (random.random(len(truth)) < 0.4))
    merged = np.arange(2 * identities)
    taken = random.random(len(merged)) < random.choice([0, random.uniform(0, 0.3)])
    merged[taken] = random.choice(merged, int(taken.sum()))
    parts = merged[parts]
    elsewhere = random.random(len(parts)) < random.choice([0, random.uniform(0, 0.2)])
    return np.where(elsewhere, random.permutation(parts), parts)


def _heap(given: Given) -> np.ndarray:
    """All faces in one cluster, but for a few that are alone."""
    faces, random = len(given.truth), given.random
    return np.where(random.random(faces) < random.uniform(0, 0.2), np.arange(faces) + 1, 0)


def _alone(given: Given) -> np.ndarray:
    """Each face alone, but for some pairs of neighbours."""
    rows, first, random = np.arange(len(given.truth)), np.maximum(given.graph.neighbors[:, 0], 0), given.random
    joined = (random.random(len(rows)) < random.uniform(0, 0.3)) & (rows > first)
    return np.where(joined, first, rows)


OTHERS: dict[str, Make] = {
    "hilander, stricter": _stricter, "hilander, looser": _looser, "hilander, a level": _level,
    "components": _components, "components, looser": _loose_components, "dbscan": _dbscan, "hac": _hac,
    "kmeans": _kmeans, "a cut": _cut, "people": _people, "heap": _heap, "alone": _alone,
}  # fmt: skip
