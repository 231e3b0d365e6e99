"""Confidence: the estimated probability that a face belongs to its cluster's majority identity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from clustering.graph.knn_graph import KnnGraph
from clustering.partition import cluster_sums
from clustering.similarity.corpus_scale import CorpusScale
from facerec.pipeline.files import InputError

BLOCK = 8192
TINY = 1e-6
LEAST_MEAN = 1e-2


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
    scale = CorpusScale.of(graph)
    cosines, alone = fellowship(graph.embeddings, labels, scale)
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    found = np.zeros((len(labels), 3), dtype=np.float32)
    for start in range(0, len(labels), BLOCK):
        rows = slice(start, start + BLOCK)
        valid, similarities = graph.neighbors[rows] >= 0, scale.corrected(graph.similarities[rows])
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


def fellowship(
    embeddings: np.ndarray, labels: np.ndarray, scale: CorpusScale | None = None
) -> tuple[np.ndarray, np.ndarray]:
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
        if scale is not None and scale.common:
            others = np.maximum(sizes[clusters] - 1, 1)
            pairs, mean = scale.corrected((dots - own) / others), scale.corrected((length / others) ** 2)
            belonging[rows] = np.clip(pairs / np.sqrt(np.maximum(mean, LEAST_MEAN)), -1, 1)
    return belonging, alone
