"""Confidence: the estimated probability that a face belongs to its cluster's majority identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import cluster_sums, own_cluster_size
from clustering.similarity.centres import cosine_to_rest_of_cluster
from facerec.pipeline.files import InputError, blocks, row_blocks

BLOCK = 8192
LEAST_MEAN = 1e-2  # squared length of a mean by which is divided
LARGEST = 1e9  # number in a configuration


@dataclass(frozen=True)
class Confidence:
    """The probability that a face is in the right cluster, as a logistic function of its `evidence`.

    A face alone in its cluster is its majority identity by definition: its confidence is 1. The defaults were
    measured on real faces with the default settings of Hi-LANDER.

    Attributes:
        offset: Log-odds without evidence.
        cosine: Weight of the cosine with the mean of the cluster's other faces; not negative, like all weights.
        margin: Weight of the mean similarity to neighbours inside less the highest to one outside.
        share: Weight of the share of the neighbours that are inside.
    """

    offset: float = -3.54
    cosine: float = 2.26
    margin: float = 2.79
    share: float = 3.87

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
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

    Three numbers, none of which depends on the embedding's dimension or, while neighbours suffice, on the cluster's
    size:

    - the cosine with the mean of the cluster's other faces;
    - the mean similarity of neighbours inside the cluster less the highest of one outside; 0 for either if there is
      none;
    - neighbours inside as a share of all neighbours, or of the cluster's other faces if these are fewer.

    Args:
        graph: Of n faces.
        labels: int64 [n], clusters, consecutive from 0; -1 for unassigned.

    Returns:
        float32 [n, 3], 0 where there are no other faces; and bool [n], True there and for unassigned faces.
    """
    scale = CorpusScale.of(graph)
    cosines, sizes = cosine_to_rest_of_cluster(graph.embeddings, labels), own_cluster_size(labels)
    if scale.common:
        cosines = _corrected_cosine_to_rest(graph.embeddings, labels, sizes, scale)
    found = np.zeros((len(labels), 3), dtype=np.float32)
    for rows in row_blocks(len(labels), BLOCK):
        valid, similarities = graph.neighbors[rows] >= 0, scale.corrected(graph.similarities[rows])
        inside = valid & (labels[graph.neighbors[rows]] == labels[rows, None])
        count = inside.sum(axis=1)
        mean = np.where(inside, similarities, 0).sum(axis=1) / np.maximum(count, 1)
        outside = np.where(valid & ~inside, similarities, -np.inf).max(axis=1, initial=-np.inf)
        possible = np.maximum(np.minimum(valid.sum(axis=1), sizes[rows] - 1), 1)
        found[rows] = np.stack(
            [cosines[rows], mean - np.where(np.isinf(outside), 0, outside), count / possible], axis=1
        )
    alone = sizes <= 1
    found[alone] = 0
    return found, alone


def _corrected_cosine_to_rest(
    embeddings: np.ndarray, labels: np.ndarray, sizes: np.ndarray, scale: CorpusScale
) -> np.ndarray:
    """Float32 [n]: `cosine_to_rest_of_cluster` as it would be if all cosines were corrected, see `CorpusScale`.

    A face's cosine with the mean of m others is its mean cosine with them over the length of their mean. The square of
    that length is the mean of their own cosines. Both means are corrected as single cosines are.
    """
    sums = cluster_sums(embeddings, labels)
    cosines = np.zeros(len(labels), dtype=np.float32)
    for some in blocks(np.flatnonzero(sizes > 1), BLOCK):
        faces, others = embeddings[some], sizes[some] - 1
        rest = (sums[labels[some]] - faces) / others[:, None]
        pairs = scale.corrected(np.einsum("nd,nd->n", rest, faces))
        mean = scale.corrected(np.einsum("nd,nd->n", rest, rest))
        cosines[some] = np.clip(pairs / np.sqrt(np.maximum(mean, LEAST_MEAN)), -1, 1)
    return cosines
