"""The command ``tune``: hyper-parameters of any backend, chosen on labelled faces in one and the same way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import hmean, qmc
from tqdm import tqdm

from clustering.clusterer import Clusterer
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.learning.versions import versions
from clustering.settings import Range
from eval.clusters import scores

NARROW = 0.1
NEAR_BEST, STRICT = 0.99, 0.75


@dataclass(frozen=True)
class Version:
    """One version of the validation faces: their graph and their identities."""

    name: str
    graph: KnnGraph
    labels: np.ndarray


def search(clusterer: Clusterer, validation: Sequence[Version], trials: int, seed: int) -> list[dict[str, Any]]:
    """Scores settings on all versions; the first are the clusterer's own.

    Returns:
        A row a trial: settings, ``score``, the harmonic mean of Fp and Fb of all versions, ``precision``, that of their
        pairwise precisions, and Fp and Fb of each version.
    """
    results: list[dict[str, Any]] = []
    total = trials if clusterer.search_space else 1
    for settings in tqdm(candidates(clusterer, total, seed, results), "tuning", total, unit="trial", disable=None):
        row: dict[str, Any] = dict(settings)
        trial = clusterer.with_settings(**settings)
        found = {
            each.name: scores(each.labels, trial.cluster(each.graph.narrowed(trial.k)).labels) for each in validation
        }
        values = [(each["pairwise_f"], each["bcubed_f"]) for each in found.values()]
        row["score"] = float(hmean(values, axis=None))
        row["precision"] = float(hmean([each["pairwise_precision"] for each in found.values()]))
        for name, (pairwise, bcubed) in zip(found, values, strict=True):
            row |= {f"{name}_pairwise_f": pairwise, f"{name}_bcubed_f": bcubed}
        results.append(row)
    return results


def candidates(
    clusterer: Clusterer, trials: int, seed: int, results: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The clusterer's own settings, then half over the declared ranges, a quarter around the best so far, and a quarter
    around the strict one so far, with its choices from lists.

    Args:
        clusterer: With its declared ranges.
        trials: How many, its own settings counted.
        seed: Of the Latin hypercubes.
        results: The rows of the trials before, added by the caller.
    """
    ranges, quarter = clusterer.search_space, (trials - 1) // 4
    yield {name: getattr(clusterer, name) for name in ranges}
    yield from hypercube(ranges, trials - 1 - 2 * quarter, seed)
    if quarter:
        yield from hypercube(narrowed(ranges, best_of(results)), quarter, seed + 1)
        chosen = strict(results)
        near = {
            name: declared if isinstance(declared, tuple) else [chosen[name]]
            for name, declared in narrowed(ranges, chosen).items()
        }
        yield from hypercube(near, quarter, seed + 2)


def hypercube(ranges: Mapping[str, Range], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Settings spread evenly over ranges and lists: a Latin hypercube."""
    if count:
        for point in qmc.LatinHypercube(len(ranges), rng=np.random.default_rng(seed)).random(count):
            yield {name: pick(choices, x) for (name, choices), x in zip(ranges.items(), point, strict=True)}


def narrowed(ranges: Mapping[str, Range], row: Mapping[str, Any]) -> dict[str, Range]:
    """A tenth of each range on either side of a trial's value; lists are whole."""
    found: dict[str, Range] = {}
    for name, declared in ranges.items():
        if isinstance(declared, tuple):
            low, high = declared
            reach = NARROW * (high - low)
            found[name] = (max(row[name] - reach, low), min(row[name] + reach, high))
        else:
            found[name] = declared
    return found


def best_of(results: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The trial with the highest score."""
    return max(results, key=lambda result: result["score"])


def strict(results: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Of the trials that are nearly as good as the best, the one than which three quarters have no higher precision.

    Unlabelled faces are of more people than labelled ones, so that strangers are joined there at thresholds that part
    all people here. The score falls slowly towards stricter settings and at once towards looser ones; the strictest of
    all may be strict by chance.
    """
    least = NEAR_BEST * best_of(results)["score"]
    near = sorted((row for row in results if row["score"] >= least), key=lambda row: row["precision"])
    return near[math.ceil(STRICT * (len(near) - 1))]


def pick(choices: Range, position: float) -> Any:
    """The value at a position in [0, 1) of a range or a list; of a range rounded to three digits."""
    if isinstance(choices, tuple):
        low, high = choices
        return round(float(low + position * (high - low)), 3)
    return choices[int(position * len(choices))]


def graphs(faces: LabelledFaces, k: int, seed: int) -> Iterator[Version]:
    """The versions of the labelled faces, with as many neighbours as any trial may want.

    Not ``small``: its few pairs make a noisy figure, and ``crowd`` has such identities by the thousand.
    """
    for name, version in versions(faces, seed).items():
        if name != "small":
            yield Version(name, KnnGraph.build(version.embeddings, k), version.labels)
