"""Doubts about a clustering that need no labels: one huge cluster, mostly single faces, or mixtures of people."""

from __future__ import annotations

import numpy as np

from clustering.graph.corpus_scale import FEWEST_CORRECTED, CorpusScale
from clustering.graph.knn_graph import DEFAULT_K, KnnGraph
from clustering.similarity.mixtures import mixed

FEWEST = 10
HEAP = 0.5
MOSTLY_ALONE = 0.75
TUNE = "tune the backend on labelled faces of this recogniser (see tune)"
MORE = f"cluster {FEWEST_CORRECTED} faces or more at once, as the cosines of fewer are not corrected"


def doubts(graph: KnnGraph, labels: np.ndarray) -> str:
    """One line about what is doubtful in a clustering of any backend, and what to do; empty if nothing is.

    There are three doubts, of which the first that applies is told:

    - One cluster holds more than `HEAP` of the readable faces.
    - More than `MOSTLY_ALONE` of them are alone or unassigned.
    - One of the largest clusters is a mixture of people, see `mixed`.

    Args:
        graph: Of n faces.
        labels: int64 [n], consecutive from 0, -1 for unassigned faces.
    """
    graph = graph.narrowed(DEFAULT_K)  # with more neighbours, edges are hardly more alike than pairs
    faces = int(graph.readable.sum())
    if faces < FEWEST:
        return ""
    scale = CorpusScale.of(graph)
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    largest, alone = int(sizes.max()), 1 - int(sizes[sizes > 1].sum()) / faces
    if scale.alike and largest > HEAP * faces:
        return (
            f"one cluster holds {largest:,} of {faces:,} faces, and all faces are alike: right for one person; "
            f"if they are of many people, {MORE if faces < FEWEST_CORRECTED else TUNE}"
        )
    if largest > HEAP * faces:
        return f"one cluster holds {largest:,} of {faces:,} faces: unless one person has most of them, {TUNE}"
    if alone > MOSTLY_ALONE:
        return f"{alone:.0%} of the faces are alone or unassigned: unless most people have one face, {TUNE}"
    if mixed(graph, labels, tolerated=0):
        return f"the largest clusters are mixtures of people: take a stricter threshold or a lower level, or {TUNE}"
    return ""
