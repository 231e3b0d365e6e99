"""What can be told from a clustering alone: whether it fell into one heap, into single faces, or into mixtures."""

from __future__ import annotations

import numpy as np

from clustering.graph.knn_graph import KnnGraph
from clustering.similarity.corpus_scale import CorpusScale
from clustering.similarity.mixtures import mixed

FEWEST = 10
HEAP = 0.5
MOSTLY_ALONE = 0.75
TUNE = "tune the backend on labelled faces of this recogniser (see tune)"


def doubts(graph: KnnGraph, labels: np.ndarray) -> str:
    """What is doubtful about a clustering of any backend, in one line with what to do; or nothing.

    A cluster with more than `HEAP` of the faces, more than `MOSTLY_ALONE` of the faces alone or unassigned, largest
    clusters that are mixtures of people, or a corpus so alike that it counts as one person.

    Args:
        graph: Of n faces.
        labels: int64 [n], consecutive from 0, -1 for unassigned faces.
    """
    faces = int(graph.readable.sum())
    if faces < FEWEST:
        return ""
    scale = CorpusScale.of(graph)
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    largest, alone = int(sizes.max()), 1 - int(sizes[sizes > 1].sum()) / faces
    if scale.alike and largest > HEAP * faces:
        return (
            f"one cluster holds {largest:,} of {faces:,} faces, and all faces are alike: right for one person; "
            f"if they are of many people, {TUNE}"
        )
    if largest > HEAP * faces:
        return f"one cluster holds {largest:,} of {faces:,} faces: unless one person has most of them, {TUNE}"
    if alone > MOSTLY_ALONE:
        return f"{alone:.0%} of the faces are alone or unassigned: unless most people have one face, {TUNE}"
    if mixed(graph, labels, tolerated=0):
        return f"the largest clusters are mixtures of people: take a stricter threshold or a lower level, or {TUNE}"
    return ""
