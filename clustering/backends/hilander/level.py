"""One level of the hierarchy, and what can be said of its edges whatever the embedding's dimension."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clustering.backends.hilander.level_neighbors import Nearest
from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.embeddings import readable_rows

EDGE_INPUTS = 6
CHANCE_FACES = 512
CHANCE_SHARE = 0.1587
LEAST_SPREAD = 0.02
CHANCE_SCALE = 0.1
HIGHEST_CHANCE = 0.3


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
        chance: Location and spread of the cosines of the corpus's faces with each other, `chance_level`.
    """

    graph: KnnGraph
    base: np.ndarray
    sums: np.ndarray
    sizes: np.ndarray
    faces: np.ndarray
    nearest: Nearest | None = None
    chance: tuple[float, float] = (0.0, 0.1)

    @cached_property
    def coherence(self) -> np.ndarray:
        """Float32 [n]: the length of the mean of the faces below each node."""
        return np.sqrt(np.einsum("nd,nd->n", self.sums, self.sums)) / self.sizes

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
        level = KnnGraph(seen, graph.neighbors, graph.similarities)
        return cls(level, faces, faces, ones, np.arange(len(graph)), chance=chance_level(faces))


def chance_level(faces: np.ndarray) -> tuple[float, float]:
    """How similar a recogniser finds faces that have nothing to do with each other.

    Almost all pairs of a corpus are of different identities, so they alone decide over the median cosine of all pairs
    of some faces, and over the distance from there down to the quantile that is one standard deviation lower if they
    are normally distributed. (In a corpus of one person there are no others: the median counts as `HIGHEST_CHANCE`
    at most.) The faces are chosen by digits of their own values: at random, but the same ones
    in whatever order the rows are.

    Args:
        faces: float32 [n, d], unit rows or zero rows for unreadable faces.

    Returns:
        Location and spread; 0 and 0.1 where there are fewer than three faces.
    """
    digits = np.where(readable_rows(faces), faces[:, 0].astype(np.float64) * 1e4 % 1, np.inf)
    rows = np.argsort(digits, kind="stable")[: min(CHANCE_FACES, np.count_nonzero(np.isfinite(digits)))]
    some = np.asarray(faces[rows])
    if len(some) < 3:
        return 0.0, 0.1
    cosines = (some @ some.T)[~np.tri(len(some), dtype=bool)]  # of all pairs
    lower, median = np.quantile(cosines, [CHANCE_SHARE, 0.5])
    return float(min(median, HIGHEST_CHANCE)), float(max(median - lower, LEAST_SPREAD))


def edge_inputs(level: Level, rows: slice = slice(None)) -> np.ndarray:
    """What can be said of an edge (i, j) whatever the embedding's dimension: float32 [n, k, EDGE_INPUTS].

    Its cosine a_ij; the mean cosine between the faces below i and those below j, as a_ij times the lengths of the
    two means (exact for average features); the logarithms of the numbers of those faces, on which depends how
    similar two averages must be; whether this is the lowest level, as a face that was left over there is less like
    its own cluster than faces are that still have to find theirs; and the cosine in units of what chance gives in this
    corpus, which tells one recogniser from another. Nothing is relative to other neighbours: such figures tell the
    training set's cluster sizes. Missing neighbours get zeros.

    Args:
        level: Of n nodes.
        rows: Only the edges of these nodes.
    """
    j, cosine = level.graph.neighbors[rows], level.graph.similarities[rows]
    coherence, size = level.coherence, level.log_sizes
    median, spread = level.chance
    inputs = [
        cosine, cosine * coherence[rows, None] * coherence[j], np.broadcast_to(size[rows, None], j.shape), size[j],
        np.full(j.shape, level.lowest), (cosine - median) * (CHANCE_SCALE / spread),
    ]  # fmt: skip
    return np.where((j >= 0)[..., None], np.stack(inputs, axis=-1), 0).astype(np.float32)
