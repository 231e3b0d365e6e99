"""Confidence measured on labelled faces that a clusterer has not learned from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from clustering.clusterer import Clusterer
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import HELD_BACK, LabelledFaces, can_be_split, repeated_identities, split
from clustering.learning.versions import versions
from clustering.settings import keywords
from clustering.similarity.confidence import Confidence, evidence
from eval.clusters.calibration import calibration_error, in_majority, reliability
from facerec.pipeline.counts import counted
from facerec.pipeline.files import write_table

logger = logging.getLogger(__name__)
RIDGE = 1e-3
"""Weight of the squared slopes, of standardised evidence, in the mean loss."""


@dataclass(frozen=True)
class Sample:
    """Clustered faces of known identity that are not alone in their cluster.

    Attributes:
        evidence: float32 [m, 3].
        right: Bool [m]: whether the face has its cluster's majority identity.
    """

    evidence: np.ndarray
    right: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """What was measured on held-out identities.

    Attributes:
        confidence: Fitted on all of them.
        tables: By version of the faces, its `reliability` when fitted on one half of the identities and read on the
            other, either way.
    """

    confidence: Confidence
    tables: Mapping[str, np.ndarray]

    @property
    def errors(self) -> dict[str, float]:
        """The expected calibration error of each version, 15 bins of equally many faces."""
        return {name: calibration_error(table) for name, table in self.tables.items()}

    def save(self, path: Path) -> None:
        """Writes reliability.csv: a line for every version and bin."""
        rows = [(name, *(round(float(x), 6) for x in row)) for name, table in self.tables.items() for row in table]
        write_table(path, ("version", "lowest", "highest", "faces", "confidence", "right"), rows)


def calibrate(clusterer: Clusterer, faces: LabelledFaces, seed: int) -> Calibration:
    """Measures how reliable a clusterer's clusters are, on faces of identities that it has not learned from.

    All `versions` of the faces count alike, so that the fit also holds for corpora of other shapes.

    Args:
        clusterer: With the hyper-parameters that it will be used with.
        faces: Faces of at least two identities.
        seed: Seed of the halves and the versions.
    """
    halves = [clustered_samples(clusterer, half, seed) for half in split(faces, 0.5, seed)]
    fitted = [fit_confidence(list(half.values())) for half in halves]
    tables = {}
    for name in sorted(set(halves[0]) & set(halves[1])):
        tested = [(halves[i][name], fitted[1 - i]) for i in (0, 1)]
        confidence = np.concatenate([confidence.probability(half.evidence) for half, confidence in tested])
        tables[name] = reliability(confidence, np.concatenate([half.right for half, _ in tested]))
    return Calibration(fit_confidence([sample for half in halves for sample in half.values()]), tables)


def clustered_samples(clusterer: Clusterer, faces: LabelledFaces, seed: int) -> dict[str, Sample]:
    """Clusters the versions of some faces; ``mixed`` is ``large`` and ``crowd`` again and does not count.

    Those without a cluster of two faces are left out.
    """
    parts = {name: part for name, part in versions(faces, seed).items() if name != "mixed"}
    found = {n: clustered_sample(clusterer, KnnGraph.build(x, clusterer.k), labels) for n, (x, labels) in parts.items()}
    return {name: each for name, each in found.items() if len(each.right)}


def clustered_sample(clusterer: Clusterer, graph: KnnGraph, labels: np.ndarray) -> Sample:
    """Clusters faces of known identity: the evidence for each that is not alone, and whether it is right."""
    clusters = clusterer.cluster(graph).labels
    x, alone = evidence(graph, clusters)
    return Sample(x[~alone], in_majority(labels, clusters)[~alone])


def fit_confidence(found: Sequence[Sample]) -> Confidence:
    """Logistic regression with weights >= 0, in which every sample counts alike.

    More evidence must not make a place less likely, whatever a small sample says. The targets are Platt's (1999),
    ``(N+ + 1) / (N+ + 2)`` and ``1 / (N- + 2)``. So a sample without errors does not mean certainty. Without any sample
    it is the default.
    """
    if not found:
        return Confidence()
    x = np.concatenate([sample.evidence for sample in found]).astype(np.float64)
    right = np.concatenate([sample.right for sample in found])
    weights = np.concatenate([np.full(len(s.right), 1 / len(s.right) / len(found)) for s in found])
    positive = np.count_nonzero(right)
    target = np.where(right, (positive + 1) / (positive + 2), 1 / (len(right) - positive + 2))
    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    design = np.hstack([(x - mean) / scale, np.ones((len(x), 1))])

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        logits = design @ parameters
        entropy = np.logaddexp(0, logits) - target * logits
        penalty = np.append(parameters[:-1], 0)
        gradient = (weights * (expit(logits) - target)) @ design + 2 * RIDGE * penalty
        return float(weights @ entropy + RIDGE * penalty @ penalty), gradient

    bounds = [(0, None)] * x.shape[1] + [(None, None)]
    solution = minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds).x
    slopes = solution[:-1] / scale
    return Confidence(float(solution[-1] - slopes @ mean), *(float(slope) for slope in slopes))


def learn_calibrated(
    backend: type[Clusterer], faces: LabelledFaces, seed: int, settings: Mapping[str, Any]
) -> tuple[Clusterer, Calibration | None]:
    """A backend that has learned from all faces, with a confidence measured after learning from half the identities.

    Returns:
        The clusterer; and the calibration, None for backends without a confidence, or with too few identities to
        measure it on.
    """
    settings = keywords(settings)
    clusterer = backend.learn(*faces, seed, **settings)
    if not backend.calibrated:
        return clusterer, None
    if not can_be_split(faces):
        people = counted(repeated_identities(faces.labels), "identity")
        logger.info("the confidence is the default one: %s of two faces or more are too few to measure it", people)
        return clusterer, None
    held, rest = split(faces, HELD_BACK, seed)
    calibration = calibrate(backend.learn(*rest, seed, **settings), held, seed)
    return clusterer.with_settings(confidence=calibration.confidence), calibration
