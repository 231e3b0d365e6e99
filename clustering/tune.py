"""The command ``tune``: hyper-parameters of any backend, chosen on labelled faces in one and the same way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import hmean, qmc
from tqdm import tqdm

from clustering import base
from clustering.base import Clusterer, Range
from clustering.hilander.confidence import split
from clustering.knn import KnnGraph
from clustering.resample import LabelledFaces, versions
from clustering.train import HELD_BACK, load_labelled, measure
from eval.clusters import scores
from facerec.artifacts import InputError, write_table
from facerec.stages import stage

FEWEST = 2
NARROW = 0.1
NEAR_BEST, STRICT = 0.99, 0.75


@dataclass(frozen=True)
class Version:
    """One version of the validation faces: their graph and their identities."""

    name: str
    graph: KnnGraph
    labels: np.ndarray


@stage("clustering tune")
def tune(
    backend: str,
    embeddings: Path,
    out: Path,
    labels: Path | None = None,
    trials: int = 40,
    trainings: list[dict[str, Any]] | None = None,
    seed: int = 0,
) -> Mapping[str, Any]:
    """Chooses a backend's hyper-parameters on labelled faces.

    Each trial's score is the harmonic mean of pairwise F and BCubed F over several versions of the faces: all, a
    heavy-tailed share of them, and simulated ones with hundreds of faces per identity or with many more identities, so
    that what is chosen holds beyond the labelled set's own distribution, and none of them falls apart. Of the trials
    that are nearly as good as the best, one of the strictest is chosen. The first trial is the default; half of the
    others are of all kinds, a quarter are near the best so far, and a quarter near what would be chosen by then. A
    backend that learns is trained on half the identities, scored on the rest, and trained again on all in the same way,
    takes the chosen settings; how far its confidence can be trusted is measured on the rest, too.

    Args:
        backend: The backend, see cluster.
        embeddings: Folder with embeddings.npy, or such a file.
        out: Folder to make: config.yaml (and model.safetensors), for cluster's --model; search.csv, every trial;
            reliability.csv of backends with a confidence of their own.
        labels: File or folder of identities (-1 = unknown); without it labels.npy of the embedding folder.
        trials: Settings to try, for each training.
        trainings: Ways to train a backend that learns, of which the best is taken, as train's --settings, e.g.
            --trainings '[{}, {inputs: features, encoder: gat}]'; by default the backend's own.
        seed: Of the trials, the versions and the training.
    """
    if trials < 1:
        raise InputError(f"trials is {trials}; it must be at least 1")
    found = base.backend(backend)
    if trainings and not found.learns:
        raise InputError(f"{backend} has nothing to train; leave out --trainings")
    faces = load_labelled(embeddings, labels)
    learning, validation = split_identities(faces, seed) if found.learns else (faces, faces)
    ways = trainings or [{}]
    clusterers = [found.fit(learning.embeddings, learning.labels, seed, **way) for way in ways]
    widest = max([*found.search.get("k", ()), *(each.k for each in clusterers)])
    held = list(graphs(validation, int(widest), seed))
    results = [
        {"training": number, **result}
        for number, clusterer in enumerate(clusterers)
        for result in search(clusterer, held, trials, seed)
    ]
    write_search(out / "search.csv", results)
    best = strict(results)
    chosen = {name: best[name] for name in found.search}
    clusterer = clusterers[best["training"]].with_settings(**chosen)
    measured, errors = measure(clusterer, validation, seed, out)
    if found.learns:
        clusterer = found.fit(faces.embeddings, faces.labels, seed, **ways[best["training"]])
    clusterer.with_settings(**chosen, **measured).save(out)
    summary = {"score": best["score"], "default_score": results[0]["score"], "trials": len(results)}
    return {**ways[best["training"]], **chosen, **summary, "calibration_error": errors}


def search(clusterer: Clusterer, validation: Sequence[Version], trials: int, seed: int) -> list[dict[str, Any]]:
    """Scores settings on all versions; the first are the clusterer's own.

    Returns:
        A row a trial: settings, ``score``, the harmonic mean of Fp and Fb of all versions, ``precision``, that of their
        pairwise precisions, and Fp and Fb of each version.
    """
    results: list[dict[str, Any]] = []
    total = trials if clusterer.search else 1
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
    ranges, quarter = clusterer.search, (trials - 1) // 4
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


def split_identities(faces: LabelledFaces, seed: int) -> tuple[LabelledFaces, LabelledFaces]:
    """Faces to learn from and faces to validate on, of different identities.

    Raises:
        InputError: Too few identities for both.
    """
    identities = len(np.unique(faces.labels))
    held_back = round(HELD_BACK * identities)
    if min(held_back, identities - held_back) < FEWEST:
        raise InputError(f"{identities} identities are too few to hold some back for validation; use train")
    held, rest = split(faces, HELD_BACK, seed)
    return rest, held


def write_search(path: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """Writes a row a trial, the default first."""
    names = list(results[0])
    lines = ([round(row[name], 6) if isinstance(row[name], float) else row[name] for name in names] for row in results)
    write_table(path, names, lines)
