"""One level of the hierarchy, and what can be said of its edges whatever the embedding's dimension."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from clustering.backends.hilander.inputs import above_chance, coherence
from clustering.backends.hilander.level_neighbors import Nearest
from clustering.graph.knn_graph import KnnGraph
from clustering.similarity.corpus_scale import CorpusScale


@dataclass(frozen=True)
class Level:
    """One level's graph, and what its n nodes stand for.

    Attributes:
        graph: Over the features that the model sees; on the lowest level half of them if it sees pairs, see `of_faces`.
        base: float32 [all, d]: embeddings of all faces, whatever the level.
        sums: float32 [n, d]: sums of the faces below each node.
        sizes: float32 [n]: numbers of faces below each node.
        faces: int64 [n]: the face that each node's peak goes back to.
        nearest: What the graph was made from, for the level above; None for that of the faces.
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
        """Float32 [n]: the length of the mean of the faces below each node, of corrected cosines."""
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

        A model that sees both, one after the other, is shown the one.

        Args:
            graph: Of the faces.
            unit_pairs: Whether the two together are to be of unit length.
        """
        faces = graph.embeddings
        seen = faces * np.float32(np.sqrt(0.5)) if unit_pairs else faces
        ones = np.ones(len(graph), dtype=np.float32)
        scale = CorpusScale.of(graph)
        level = KnnGraph(seen, graph.neighbors, scale.correct(graph).similarities)
        return cls(level, faces, faces, ones, np.arange(len(graph)), scale=scale)


def edge_inputs(level: Level, rows: slice = slice(None)) -> np.ndarray:
    """What can be said of an edge (i, j) whatever the embedding's dimension: float32 [n, k, EDGE_INPUTS].

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
