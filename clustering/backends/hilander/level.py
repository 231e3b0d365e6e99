"""One level of the hierarchy, and the inputs of the linkage model, which do not depend on the embedding's dimension."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from clustering.backends.hilander.level_neighbors import Nearest
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.knn_graph import KnnGraph

EDGE_INPUTS = 6
CHANCE_SCALE = 0.1
"""Brings input 6 to the size of a cosine: the spread of a usual recogniser."""
LEAST_COHERENCE = 1e-2
"""Least length of a mean of faces, so that nothing is divided by 0."""


@dataclass(frozen=True)
class Level:
    """One level's graph, and what its n nodes stand for.

    Attributes:
        graph: Over the features that the model sees. If it sees both features of a node, the graph of the lowest level
            has one of them, as they are equal there; see `of_faces`.
        base: float32 [all, d]: embeddings of all faces, whatever the level.
        sums: float32 [n, d]: sums of the faces below each node.
        sizes: float32 [n]: numbers of faces below each node.
        faces: int64 [n]: the face that each node's peak goes back to.
        nearest: The wider lists that the graph is taken from, for the level above; None on the lowest level.
        scale: What chance gives in this corpus. The similarities of `graph` are corrected by it.
    """

    graph: KnnGraph
    base: np.ndarray
    sums: np.ndarray
    sizes: np.ndarray
    faces: np.ndarray
    nearest: Nearest | None = None
    scale: CorpusScale = field(default_factory=CorpusScale)

    @cached_property
    def coherence(self) -> np.ndarray:
        """Float32 [n]: the length of the mean of the faces below each node, for corrected cosines."""
        return coherence(self.sums, self.sizes, self.scale)

    @cached_property
    def log_sizes(self) -> np.ndarray:
        """Float32 [n]: logarithms of `sizes`."""
        return np.log(self.sizes)

    @cached_property
    def lowest(self) -> bool:
        """Whether every node is a single face."""
        return bool(self.sizes.max(initial=1) == 1)

    @classmethod
    def of_faces(cls, graph: KnnGraph, unit_pairs: bool = False) -> Level:
        """The lowest level: every face a node, whose identity and average feature are the same.

        A model that sees both gets this one feature, see `fold_repeated_weight`.

        Args:
            graph: Of the faces.
            unit_pairs: Whether both features together have unit length; each then has the square root of 1/2.
        """
        faces = graph.embeddings
        seen = faces * np.float32(np.sqrt(0.5)) if unit_pairs else faces
        ones = np.ones(len(graph), dtype=np.float32)
        scale = CorpusScale.of(graph)
        level = KnnGraph(seen, graph.neighbors, scale.correct(graph).similarities)
        return cls(level, faces, faces, ones, np.arange(len(graph)), scale=scale)


def coherence(sums: np.ndarray, sizes: np.ndarray, scale: CorpusScale) -> np.ndarray:
    """Float32 [n]: lengths of the means of groups of faces: the roots of the mean cosines of all their pairs.

    Args:
        sums: float32 [n, d]: of each group's embeddings.
        sizes: float32 [n]: faces of each group.
        scale: What corrects the cosines.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", sums, sums)) / sizes
    if not scale.common:
        return lengths
    return np.sqrt(np.maximum(scale.corrected(lengths**2), LEAST_COHERENCE**2))


def edge_inputs(level: Level, rows: slice = slice(None)) -> np.ndarray:
    """What a linkage model sees of an edge (i, j), whatever the embedding's dimension: float32 [n, k, EDGE_INPUTS].

    With n_i faces below node i and c_i the length of their mean (`coherence`):

    1. a_ij, the cosine of the nodes
    2. a_ij c_i c_j, the mean cosine between the faces below i and those below j; exact for average features
    3. log n_i
    4. log n_j
    5. 1 on the lowest level, else 0
    6. (a_ij - median) CHANCE_SCALE / spread, with the median and spread of the corpus's cosines, see `CorpusScale`

    Larger clusters need more similar averages, hence 3 and 4. A face left over on the lowest level is less like its
    own cluster than one that still has to find its own, hence 5. Input 6 tells one recogniser from another. Nothing is
    relative to other neighbours, because such figures depend on the training set's cluster sizes. Missing neighbours
    get zeros.

    Args:
        level: Of n nodes.
        rows: Only the edges of these nodes.
    """
    j, cosine = level.graph.neighbors[rows], level.graph.similarities[rows]
    coherence, size = level.coherence, level.log_sizes
    inputs = [
        cosine, cosine * coherence[rows, None] * coherence[j], np.broadcast_to(size[rows, None], j.shape), size[j],
        np.full(j.shape, level.lowest), above_chance(cosine, level.scale),
    ]  # fmt: skip
    return np.where((j >= 0)[..., None], np.stack(inputs, axis=-1), 0).astype(np.float32)


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
