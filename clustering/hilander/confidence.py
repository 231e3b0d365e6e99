"""Confidence: the estimated probability that a face belongs to its cluster's majority identity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from clustering.base import Clusterer, cluster_sums
from clustering.knn import KnnGraph
from clustering.resample import LabelledFaces, versions
from eval.clusters import calibration_error, in_majority, reliability
from facerec.artifacts import InputError, write_table

RIDGE = 1e-3
BLOCK = 8192
TINY = 1e-6


@dataclass(frozen=True)
class Confidence:
    """A logistic function of the evidence for a face's place, of the `evidence` of which it has the weights.

    A face alone in its cluster is its majority identity by definition: its confidence is 1. The defaults were
    measured on real faces with the default settings of Hi-LANDER.

    Attributes:
        offset: Log-odds without evidence.
        cosine: Weight of the cosine with the mean of the cluster's other faces; not negative, like all weights.
        margin: Of the mean similarity to neighbours inside less the highest to one outside.
        share: Of the neighbours that are inside.
    """

    offset: float = -3.54
    cosine: float = 2.26
    margin: float = 2.79
    share: float = 3.87

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"confidence.{item.name} is {value!r}; it must be a number; train the model again")

    @classmethod
    def of_settings(cls, file: Path, settings: Any) -> Confidence:
        """Reads the four numbers from a configuration.

        Raises:
            InputError: Not a mapping of exactly these numbers.
        """
        names = [item.name for item in fields(cls)]
        if not isinstance(settings, Mapping) or set(settings) != set(names):
            raise InputError(f"{file}: confidence is {settings!r}; expected {', '.join(names)}; train the model again")
        return cls(**settings)

    def of_faces(self, graph: KnnGraph, labels: np.ndarray) -> np.ndarray:
        """Float32 [n] in [0, 1]: 1 for a face alone in its cluster, 0 for an unassigned one."""
        found, alone = evidence(graph, labels)
        probability = np.where(alone, 1, self.probability(found))
        return np.where(labels < 0, 0, probability).astype(np.float32)

    def probability(self, found: np.ndarray) -> np.ndarray:
        """Float64 [n] of evidence [n, 3]."""
        return np.asarray(expit(found @ np.array([self.cosine, self.margin, self.share]) + self.offset))


def evidence(graph: KnnGraph, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What speaks for a face's place in its cluster.

    Its cosine with the mean of the cluster's other faces; the mean similarity of its neighbours inside the cluster
    less the highest of one outside (either 0 if there is none); and the neighbours inside as a share of those that
    could be: of all its neighbours, or of the cluster's other faces if they are fewer. Nothing depends on the
    embedding's dimension or, where neighbours suffice, on the cluster's size.

    Args:
        graph: Of n faces.
        labels: int64 [n], clusters, consecutive from 0; -1 for unassigned.

    Returns:
        float32 [n, 3], 0 where there are no other faces; and bool [n], True there and for unassigned faces.
    """
    cosines, alone = fellowship(graph.embeddings, labels)
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    found = np.zeros((len(labels), 3), dtype=np.float32)
    for start in range(0, len(labels), BLOCK):
        rows = slice(start, start + BLOCK)
        valid, similarities = graph.neighbors[rows] >= 0, graph.similarities[rows]
        inside = valid & (labels[graph.neighbors[rows]] == labels[rows, None])
        count = inside.sum(axis=1)
        mean = np.where(inside, similarities, 0).sum(axis=1) / np.maximum(count, 1)
        outside = np.where(valid & ~inside, similarities, -np.inf).max(axis=1, initial=-np.inf)
        possible = np.maximum(np.minimum(valid.sum(axis=1), sizes[labels[rows]] - 1), 1)
        found[rows] = np.stack(
            [cosines[rows], mean - np.where(np.isinf(outside), 0, outside), count / possible], axis=1
        )
    found[alone] = 0
    return found, alone


def fellowship(embeddings: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each face's cosine with the mean of the other faces of its cluster.

    Returns:
        float32 [n], 0 where there are no others; and bool [n], True there.
    """
    sums = cluster_sums(embeddings, labels)
    squares = np.einsum("cd,cd->c", sums, sums)
    sizes = np.bincount(labels[labels >= 0], minlength=len(sums))
    alone = (labels < 0) | (sizes[labels] == 1 if len(sizes) else True)
    belonging = np.zeros(len(labels), dtype=np.float32)
    for start in range(0, len(labels), BLOCK):
        rows = start + np.flatnonzero(~alone[start : start + BLOCK])
        faces, clusters = embeddings[rows], labels[rows]
        own = np.einsum("nd,nd->n", faces, faces)
        dots = np.einsum("nd,nd->n", sums[clusters], faces)  # x(S - x) = xS - xx, and likewise for |S - x|
        length = np.sqrt(np.maximum(squares[clusters] - 2 * dots + own, TINY))
        belonging[rows] = (dots - own) / length
    return belonging, alone


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
    """Measures how sure one can be of a clusterer's clusters, on faces of identities that it has not learned from.

    The faces are taken in all their `versions`, each of which counts alike: what is fitted has to hold for corpora of
    other shapes, too.

    Args:
        clusterer: With the hyper-parameters that it will be used with.
        faces: Of at least two identities.
        seed: Of the halves and the versions.
    """
    halves = [samples(clusterer, half, seed) for half in split(faces, 0.5, seed)]
    fitted = [fit(list(half.values())) for half in halves]
    tables = {}
    for name in sorted(set(halves[0]) & set(halves[1])):
        tested = [(halves[i][name], fitted[1 - i]) for i in (0, 1)]
        confidence = np.concatenate([confidence.probability(half.evidence) for half, confidence in tested])
        tables[name] = reliability(confidence, np.concatenate([half.right for half, _ in tested]))
    return Calibration(fit([sample for half in halves for sample in half.values()]), tables)


def samples(clusterer: Clusterer, faces: LabelledFaces, seed: int) -> dict[str, Sample]:
    """Clusters the versions of some faces; ``mixed`` is ``large`` and ``crowd`` again and does not count.

    Those without a cluster of two faces are left out.
    """
    parts = {name: part for name, part in versions(faces, seed).items() if name != "mixed"}
    found = {n: sample(clusterer, KnnGraph.build(x, clusterer.k), labels) for n, (x, labels) in parts.items()}
    return {name: each for name, each in found.items() if len(each.right)}


def sample(clusterer: Clusterer, graph: KnnGraph, labels: np.ndarray) -> Sample:
    """Clusters faces of known identity and says what there is to see of those that are not alone."""
    clusters = clusterer.cluster(graph).labels
    x, alone = evidence(graph, clusters)
    return Sample(x[~alone], in_majority(labels, clusters)[~alone])


def split(faces: LabelledFaces, share: float, seed: int) -> tuple[LabelledFaces, LabelledFaces]:
    """A share of the identities with their faces, and the others with theirs."""
    identities = np.random.default_rng(seed).permutation(np.unique(faces.labels))
    chosen = np.isin(faces.labels, identities[: round(share * len(identities))])
    return LabelledFaces(*(part[chosen] for part in faces)), LabelledFaces(*(part[~chosen] for part in faces))


def fit(found: Sequence[Sample]) -> Confidence:
    """Logistic regression with weights >= 0, every sample counting alike.

    More evidence must not make a place less likely, whatever a small sample says. The targets are Platt's (1999),
    ``(N+ + 1) / (N+ + 2)`` and ``1 / (N- + 2)``, so that a sample without errors does not make for certainty.
    Without any sample the default.
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
        return weights @ entropy + RIDGE * penalty @ penalty, (
            weights * (expit(logits) - target)
        ) @ design + 2 * RIDGE * penalty

    bounds = [(0, None)] * x.shape[1] + [(None, None)]
    solution = minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds).x
    slopes = solution[:-1] / scale
    return Confidence(float(solution[-1] - slopes @ mean), *(float(slope) for slope in slopes))
