"""One level of the hierarchy, and what can be said of its edges whatever the embedding's dimension."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.knn import KnnGraph

EDGE_INPUTS = 4


@dataclass(frozen=True)
class Level:
    """One level's graph, and what its n nodes stand for.

    Attributes:
        graph: Over the features that the model sees.
        identity: float32 [n, d]: features of the peaks.
        sums: float32 [n, d]: sums of the faces below each node.
        sizes: float32 [n]: numbers of faces below each node.
        faces: int64 [n]: the face that each node's peak goes back to.
    """

    graph: KnnGraph
    identity: np.ndarray
    sums: np.ndarray
    sizes: np.ndarray
    faces: np.ndarray

    @classmethod
    def of_faces(cls, graph: KnnGraph, both: bool = False) -> Level:
        """The lowest level: every face a node (seen twice over if the features are a concatenation)."""
        faces = graph.embeddings
        seen = np.hstack([faces, faces]) / np.float32(np.sqrt(2)) if both else faces
        ones = np.ones(len(graph), dtype=np.float32)
        level = KnnGraph(seen, graph.neighbors, graph.similarities)
        return cls(level, faces, faces, ones, np.arange(len(graph)))


def edge_inputs(level: Level) -> np.ndarray:
    """What can be said of an edge (i, j) whatever the embedding's dimension: float32 [n, k, EDGE_INPUTS].

    Its cosine a_ij; the mean cosine between the faces below i and those below j, as a_ij times the lengths of the
    two means (exact for average features); and the logarithms of the numbers of those faces, on which depends how
    similar two averages must be. Nothing is relative to other neighbours: such figures tell the training set's
    cluster sizes. Missing neighbours get zeros.
    """
    valid, j = level.graph.valid, level.graph.neighbors
    cosine = level.graph.similarities
    coherence = np.linalg.norm(level.sums, axis=1) / level.sizes
    size = np.log(level.sizes)
    inputs = [cosine, cosine * coherence[:, None] * coherence[j], np.broadcast_to(size[:, None], j.shape), size[j]]
    return np.where(valid[..., None], np.stack(inputs, axis=-1), 0).astype(np.float32)
