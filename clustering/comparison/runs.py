"""Several backends on one graph: their labels, figures and how far they agree."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import adjusted_rand_score

from clustering.backends.registry import load_clusterer
from clustering.clusterer import Clusterer
from clustering.graph.nodes import Nodes
from clustering.learning.labelled_faces import LabelledFaces
from clustering.learning.tuning import tune
from clustering.quality.estimate import NEIGHBORS as ESTIMATE_NEIGHBORS
from clustering.quality.estimate import estimate_quality
from clustering.quality.features import Corpus
from clustering.similarity.doubts import doubts
from eval.clusters import scores
from facerec.pipeline.counts import counted
from facerec.pipeline.files import InputError

logger = logging.getLogger(__name__)
NEIGHBORS = 40
"""The most that any backend's `search_space` has."""
SCORES = {
    "Fp": "pairwise_f", "Fb": "bcubed_f", "NMI": "nmi", "precision": "pairwise_precision", "recall": "pairwise_recall",
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """The clusters of one backend, and how it was run.

    Attributes:
        name: Name of the backend.
        labels: int64 [n], its clusters; -1 for unassigned.
        settings: Its settings, without its network.
        seconds: Time to cluster the graph, without ``tuning_seconds``.
        tuning_seconds: 0 if it was not tuned.
    """

    name: str
    labels: np.ndarray
    settings: Mapping[str, object]
    seconds: float
    tuning_seconds: float

    def row(self, truth: np.ndarray | None) -> dict[str, object]:
        """Its figures, with `scores` where the identities are known: int64 [n], -1 for unknown."""
        sizes = np.bincount(self.labels[self.labels >= 0], minlength=1)
        found: dict[str, object] = {"backend": self.name}
        if truth is not None:
            figures = scores(truth, self.labels)
            found |= {name: round(float(figures[key]), 4) for name, key in SCORES.items()}
        return found | {
            "clusters": int(np.count_nonzero(sizes)), "largest": int(sizes.max()),
            "alone": int(np.count_nonzero(self.labels < 0) + np.count_nonzero(sizes == 1)),
        }  # fmt: skip


def run_all(
    names: Sequence[str], nodes_for: Callable[[int], Nodes], tune_on: LabelledFaces | None, trials: int, seed: int
) -> tuple[list[Run], dict[str, str]]:
    """Clusters the faces with several backends.

    Args:
        names: Names of the backends.
        nodes_for: See `shared_nodes`, for up to `NEIGHBORS` neighbours.
        tune_on: Labelled faces by the same recogniser, on which each is tuned; None for their defaults.
        trials: Number of settings that the tuning tries.
        seed: Seed of the tuning.

    Returns:
        The runs; and why a backend could not run, by its name.

    Raises:
        InputError: No backend could run.
    """
    runs, refused = [], {}
    for name in names:
        try:
            runs.append(_run(name, nodes_for, tune_on, trials, seed))
        except InputError as error:
            refused[name] = str(error).removeprefix(f"{name} ")
            logger.warning("%s: left out: %s", name, refused[name])
            continue
        logger.info("%s: %s in %.1f s", name, counted(int(runs[-1].labels.max()) + 1, "cluster"), runs[-1].seconds)
    if not runs:
        name, reason = next(iter(refused.items()))
        raise InputError(f"none of the {len(names)} backends could run, e.g. {name}: {reason}")
    return runs, refused


def _run(name: str, nodes_for: Callable[[int], Nodes], tune_on: LabelledFaces | None, trials: int, seed: int) -> Run:
    started = time.perf_counter()
    clusterer = load_clusterer(name) if tune_on is None else tune(name, *tune_on, trials, seed)
    tuning_seconds = 0.0 if tune_on is None else time.perf_counter() - started
    nodes = nodes_for(clusterer.k)
    started = time.perf_counter()
    found = clusterer.cluster(nodes.graph)
    seconds = time.perf_counter() - started
    for said in filter(None, (found.warning, doubts(nodes.graph, found.labels))):
        logger.warning("%s: %s", name, said)
    return Run(name, found.labels[nodes.copies.node], plain_settings(clusterer), seconds, tuning_seconds)


def plain_settings(clusterer: Clusterer) -> dict[str, object]:
    """The settings of a clusterer that are plain values: not its network, nor its confidence."""
    values = clusterer.get_params().items()
    return {name: value for name, value in values if isinstance(value, bool | int | float | str)}


def agreement(runs: Sequence[Run]) -> np.ndarray:
    """Float64 [runs, runs]: the adjusted Rand index of each pair (Hubert and Arabie 1985).

    Unassigned faces are clusters of one.
    """
    found = np.eye(len(runs))
    alone = [np.where(run.labels < 0, len(run.labels) + np.arange(len(run.labels)), run.labels) for run in runs]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # of scikit-learn 1.6 and 1.7
        for i in range(len(runs)):
            for j in range(i):
                found[i, j] = found[j, i] = adjusted_rand_score(alone[i], alone[j])
    return found


def estimates(runs: Sequence[Run], nodes_for: Callable[[int], Nodes]) -> list[dict[str, object]]:
    """How good each run is without labels, as the command ``estimate`` says it: figures with their intervals as text.

    Nothing for fewer faces than `estimate_quality` needs.
    """
    nodes = nodes_for(ESTIMATE_NEIGHBORS)
    corpus = Corpus.of(nodes.graph)
    found: list[dict[str, object]] = []
    for run in runs:
        quality = estimate_quality(corpus, run.labels[nodes.copies.first])
        if quality is None:
            return []
        figures = {name: str(quality.figures[key]) for name, key in SCORES.items() if key in quality.figures}
        people = (f"{round(each):,}" for each in (quality.people.estimate, quality.people.low, quality.people.high))
        found.append({"backend": run.name, **figures, "people": "{} ({} to {})".format(*people)})
    return found
