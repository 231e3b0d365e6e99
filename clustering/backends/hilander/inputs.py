"""What a linkage model sees of two clusters, whatever the embedding's dimension."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from clustering.similarity.corpus_scale import CorpusScale

EDGE_INPUTS = 6
CHANCE_SCALE = 0.1
"""Brings input 6 to the size of a cosine: the spread of a usual recogniser."""
LEAST_COHERENCE = 1e-2
"""Of faces whose mean vanishes, so that nothing is divided by 0."""
BLOCK = 1 << 14


class PairModel(Protocol):
    """A linkage model that sees no embedding, with PyTorch or without."""

    def judge(self, inputs: np.ndarray) -> np.ndarray:
        """Log-odds of "same identity", float32 [e], of inputs float32 [e, EDGE_INPUTS]."""

    def probability(self, inputs: np.ndarray) -> np.ndarray:
        """Their logistic function."""


def coherence(sums: np.ndarray, sizes: np.ndarray, scale: CorpusScale) -> np.ndarray:
    """Float32 [n]: lengths of the means of groups of faces: the roots of the mean cosines of all their pairs.

    Args:
        sums: float32 [n, d]: of each group's embeddings.
        sizes: float32 [n]: faces of each group.
        scale: That corrects the cosines.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", sums, sums)) / sizes
    if not scale.common:
        return lengths
    return np.sqrt(np.maximum(scale.corrected(lengths**2), LEAST_COHERENCE**2))


def above_chance(cosines: np.ndarray, scale: CorpusScale) -> np.ndarray:
    """Input 6 of `edge_inputs`, of corrected cosines of any shape."""
    median, spread = scale.usual
    return np.asarray((cosines - median) * (CHANCE_SCALE / spread))


def face_inputs(cosines: np.ndarray, scale: CorpusScale) -> np.ndarray:
    """What `edge_inputs` says of edges between single faces with these corrected cosines: float32 [e, EDGE_INPUTS]."""
    none = np.zeros_like(cosines)
    inputs = [cosines, cosines, none, none, none + 1, above_chance(cosines, scale)]
    return np.stack(inputs, axis=1).astype(np.float32)


def pair_inputs(sums: np.ndarray, sizes: np.ndarray, i: np.ndarray, j: np.ndarray, scale: CorpusScale) -> np.ndarray:
    """What `edge_inputs` says of edges, of pairs of clusters that may become one: float32 [e, EDGE_INPUTS].

    The same for (i, j) and (j, i): inputs 3 and 4 are of the smaller and of the larger one. Input 5 is 0.

    Args:
        sums: float32 [n, d]: of the embeddings below each cluster.
        sizes: float32 [n]: faces below each.
        i: int64 [e]: one cluster of each pair.
        j: int64 [e]: the other.
        scale: What chance gives in this corpus.
    """
    one, other = sums[i], sums[j]
    pair = scale.corrected(np.einsum("ed,ed->e", one, other) / (sizes[i] * sizes[j]))
    lengths = coherence(one, sizes[i], scale) * coherence(other, sizes[j], scale)
    cosine = np.clip(pair / np.maximum(lengths, LEAST_COHERENCE**2), -1, 1)
    smaller, larger = np.log(np.minimum(sizes[i], sizes[j])), np.log(np.maximum(sizes[i], sizes[j]))
    inputs = [cosine, pair, smaller, larger, np.zeros(len(i)), above_chance(cosine, scale)]
    return np.stack(inputs, axis=1).astype(np.float32)


def log_odds(
    model: PairModel, scale: CorpusScale, sums: np.ndarray, sizes: np.ndarray, i: np.ndarray, j: np.ndarray
) -> np.ndarray:
    """Float32 [e]: log-odds that clusters i and j are of one identity, see `pair_inputs`."""
    found = np.empty(len(i), np.float32)
    for start in range(0, len(i), BLOCK):
        rows = slice(start, start + BLOCK)
        found[rows] = model.judge(pair_inputs(sums, sizes, i[rows], j[rows], scale))
    return found
