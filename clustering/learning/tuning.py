"""Tuning: chooses the hyper-parameters of any backend on labelled faces."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import hmean

from clustering.backends.registry import backend as class_of
from clustering.clusterer import Clusterer, TwoStep
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.calibration import Calibration, calibrate
from clustering.learning.labelled_faces import LabelledFaces, check_repeated, labelled, split_identities
from clustering.learning.proposals import candidates, chosen_of, training_of
from clustering.learning.versions import versions
from clustering.settings import keywords
from eval.clusters import scores
from facerec.pipeline.files import InputError, write_table
from facerec.pipeline.progress import progress
from facerec.pipeline.values import as_path, shown, whole

logger = logging.getLogger(__name__)

MOST_TRIALS = 100_000
FEWEST_CALIBRATED = 100
"""Fewest people on whom the packaged model's confidence is measured anew. With fewer, that of the package was about as
good for one recogniser and much better for another, see docs/lab/tuning.md."""
Estimates = dict[str, dict[int, Any]]


@dataclass(frozen=True)
class Version:
    """One version of the validation faces: their graph and their identities."""

    name: str
    graph: KnnGraph
    labels: np.ndarray


@dataclass(frozen=True)
class Tuning:
    """How a clusterer was tuned.

    Attributes:
        trials: A row a trial, see `run_trials`; of each training its default settings first.
        best: The row of the chosen trial.
        training: Settings of the training that this trial belongs to; ``{"packaged": True}`` if the packaged model was
            chosen.
        chosen: Settings of the chosen trial.
        calibration: Calibration of the confidence; None for backends without a confidence, and where it stays that of
            the package.
        untuned: The row of the default settings: with the packaged model if that was tried, else with the first
            training.
    """

    trials: Sequence[Mapping[str, Any]]
    best: Mapping[str, Any]
    training: Mapping[str, Any]
    chosen: Mapping[str, Any]
    calibration: Calibration | None
    untuned: Mapping[str, Any]

    def save(self, path: str | Path) -> None:
        """Writes search.csv: a row a trial."""
        names = list(self.trials[0])
        lines = (
            [round(row[name], 6) if isinstance(row[name], float) else row[name] for name in names]
            for row in self.trials
        )
        write_table(as_path("path", path), names, lines)


def tune(
    backend: str,
    X: Any,
    y: Any,
    trials: int = 40,
    seed: int = 0,
    trainings: Sequence[Mapping[str, Any]] | None = None,
) -> Clusterer:
    """Chooses the hyper-parameters of a backend on labelled faces, like the command ``tune``.

    Args:
        backend: The name of the backend, see `BACKENDS`.
        X: Embeddings [n, d] of labelled faces, see `Clusterer.fit`.
        y: Whole numbers [n], the identities; -1 for unknown.
        trials: Number of settings to try for each training.
        seed: Seed of the trials, the versions and the training.
        trainings: Several settings for `Clusterer.learn`; the best of them are taken. By default the backend is trained
            with its default settings. If it has a packaged model, this is tried, too, and taken unless the trained one
            is clearly better, see `training_of`; its settings stay unless others are clearly better, see `chosen_of`.
            The reason is that few labelled faces may teach less than it knows.

    Returns:
        The clusterer. Its ``tuning_`` has the trials and the choice.

    Raises:
        InputError: The faces or settings cannot be used, or there are too few identities.
    """
    found = class_of(backend)
    trials, seed = whole("trials", trials, 1, MOST_TRIALS), whole("seed", seed, 0)
    _check_trainings(trainings, found)
    faces, ways = labelled(X, y), [keywords(way) for way in trainings or [{}]]
    check_repeated(faces.labels, "y")
    learning, validation = split_identities(faces, seed) if found.learns else (faces, faces)
    clusterers = [found.learn(*learning, seed, **way) for way in ways]
    packaged = len(ways) if found.pretrained and not trainings else None
    if packaged is not None:
        clusterers.append(found.from_pretrained())
        ways.append({"packaged": True})
    results = trials_of_all(clusterers, validation, trials, seed)
    training = training_of(results, packaged)
    best = chosen_of([row for row in results if row["training"] == training], training == packaged)
    chosen, way = {name: best[name] for name in found.search_space}, ways[training]
    clusterer = clusterers[training].with_settings(**chosen)
    people, packaged_model = len(np.unique(validation.labels)), way.get("packaged", False)
    kept = packaged_model and people < FEWEST_CALIBRATED
    if kept:
        logger.info("the confidence stays that of the package, as %d people are too few to measure it on", people)
    calibration = calibrate(clusterer, validation, seed) if found.calibrated and not kept else None
    if found.learns and not packaged_model:
        clusterer = found.learn(*faces, seed, **way).with_settings(**chosen)
    if calibration is not None:
        clusterer = clusterer.with_settings(confidence=calibration.confidence)
    untuned = next(row for row in results if row["training"] == (packaged or 0))
    clusterer.tuning_ = Tuning(results, best, way, chosen, calibration, untuned)
    return clusterer


def _check_trainings(trainings: Any, backend: type[Clusterer]) -> None:
    """Refuses what is no list of settings, and trainings of a backend without any."""
    if trainings is None:
        return
    if not isinstance(trainings, Sequence) or not all(isinstance(way, Mapping) for way in trainings):
        raise InputError(f"trainings is {shown(trainings)}; expected a list of settings by name, or None")
    if trainings and not backend.learns:
        raise InputError(f"{backend.name} has nothing to train; leave out --trainings")


def trials_of_all(
    clusterers: Sequence[Clusterer], faces: LabelledFaces, trials: int, seed: int
) -> list[dict[str, Any]]:
    """The trials of several clusterers of one backend, a row each, with the number of the clusterer as ``training``."""
    widest = max([*clusterers[0].search_space.get("k", ()), *(each.most_neighbors for each in clusterers)])
    held = list(validation_versions(faces, int(widest), seed))
    return [
        {"training": number, **result}
        for number, clusterer in enumerate(clusterers)
        for result in run_trials(clusterer, held, trials, seed)
    ]


def run_trials(clusterer: Clusterer, validation: Sequence[Version], trials: int, seed: int) -> list[dict[str, Any]]:
    """Scores settings on all versions; the first are the clusterer's own.

    Returns:
        A row a trial: the settings; ``score``, the harmonic mean of Fp and Fb of all versions; ``precision``, the
        harmonic mean of their pairwise precisions; and Fp and Fb of each version.
    """
    results: list[dict[str, Any]] = []
    estimates: Estimates = {}
    total = trials if clusterer.search_space else 1
    for settings in progress(candidates(clusterer, total, seed, results), "tuning", "trials", total):
        results.append(run_trial(clusterer, settings, validation, estimates))
    return results


def run_trial(
    clusterer: Clusterer, settings: Mapping[str, Any], validation: Sequence[Version], estimates: Estimates
) -> dict[str, Any]:
    """The row of one trial, see `run_trials`.

    Args:
        clusterer: The clusterer that is tuned.
        settings: The settings to try.
        validation: The versions.
        estimates: What `labels_of` keeps, by name of the version; filled here.
    """
    row: dict[str, Any] = dict(settings)
    trial = clusterer.with_settings(**settings)
    found = {}
    for each in validation:
        try:
            labels = labels_of(trial, each.graph, estimates.setdefault(each.name, {}))
        except InputError as error:
            raise InputError(f"{error} (while it was tuned, on version {each.name} of the labelled faces)") from None
        found[each.name] = scores(each.labels, labels)
    values = [(each["pairwise_f"], each["bcubed_f"]) for each in found.values()]
    row["score"] = float(hmean(values, axis=None))
    row["precision"] = float(hmean([each["pairwise_precision"] for each in found.values()]))
    for name, (pairwise, bcubed) in zip(found, values, strict=True):
        row |= {f"{name}_pairwise_f": pairwise, f"{name}_bcubed_f": bcubed}
    return row


def labels_of(trial: Clusterer, graph: KnnGraph, estimates: dict[int, Any]) -> np.ndarray:
    """Int64 [n]: the clusters of a graph for one of many settings.

    Args:
        trial: With the settings.
        graph: With as many neighbours as any settings may want.
        estimates: What `TwoStep` backends estimate of this graph, by k; it is filled here.
    """
    graph = graph.narrowed(trial.most_neighbors)
    if not isinstance(trial, TwoStep):
        return trial.cluster(graph).labels
    if trial.k not in estimates:
        estimates[trial.k] = trial.estimate(graph)
    return trial.decide(graph, estimates[trial.k]).labels


def validation_versions(faces: LabelledFaces, k: int, seed: int) -> Iterator[Version]:
    """The versions of the labelled faces, with as many neighbours as any trial may want.

    Not ``small``: its few pairs make a noisy figure, and ``crowd`` has such identities by the thousand.
    """
    for name, version in versions(faces, seed).items():
        if name != "small":
            yield Version(name, KnnGraph.build(version.embeddings, k), version.labels)
