"""What a user gives to `PseudoLabeller`, checked: embeddings, clusters, answers, labelled faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from clustering.graph.constraints import Constraints
from clustering.graph.knn_graph import KnnGraph, exact_graph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.partition import consecutive
from clustering.pseudolabels.evidence import Evidence
from clustering.pseudolabels.links import NEIGHBORS
from facerec.pipeline.counts import counted
from facerec.pipeline.embeddings import EmbeddingSet, unit_rows
from facerec.pipeline.files import InputError
from facerec.pipeline.values import as_array, as_labels, check_type, shown

Faces = EmbeddingSet | tuple[Any, Any]
"""Labelled faces: an embedding set with labels, or embeddings [m, d] and int [m], the identities, -1 for unknown."""


def clustered(X: Any, labels: Any, confidence: Any) -> tuple[np.ndarray, Evidence]:
    """The clusters, int64 [n], consecutive from 0, of readable faces; and what is known about them.

    Raises:
        InputError: Arrays that do not fit, a graph that is none, labels that are no integers, or a confidence beyond
            [0, 1].
    """
    graph = X
    if isinstance(X, KnnGraph):
        graph = X.check()
    elif X is not None:
        graph = exact_graph(unit_rows(X), NEIGHBORS)
    given = as_labels("labels", labels, None if graph is None else len(graph))
    found = consecutive(given if graph is None else np.where(graph.readable, given, -1))
    sure = np.ones(len(found), np.float32) if confidence is None else _one_each("confidence", confidence, len(found))
    if sure.dtype.kind not in "fiu" or not np.all((sure >= 0) & (sure <= 1)):
        raise InputError("confidence: some values are no numbers from 0 to 1; give the backend's `confidence_`")
    return found, Evidence(sure, graph)


def _one_each(name: str, values: Any, rows: int) -> np.ndarray:
    """An array with a value for each face.

    Raises:
        InputError: Another number of values.
    """
    array = as_array(name, values)
    if array.shape != (rows,):
        raise InputError(f"{name} has shape {list(array.shape)} for {rows} faces; expected one value each")
    return array


def marks(name: str, values: Any, rows: int) -> np.ndarray:
    """Bool [rows]; by default none is marked.

    Raises:
        InputError: Another number of values, or others than True and False.
    """
    marks = np.zeros(rows, bool) if values is None else _one_each(name, values, rows)
    if marks.dtype != bool:
        raise InputError(f"{name} is {marks.dtype}; expected True or False for each face")
    return marks


def with_confirmed(known: Constraints | None, certain: np.ndarray, found: np.ndarray) -> Constraints:
    """What is known about pairs, and that the confirmed faces of a cluster are the same.

    Raises:
        InputError: About another number of faces, or contradictions.
    """
    rows = np.flatnonzero(certain)
    _, first, own = np.unique(found[rows], return_index=True, return_inverse=True)
    pairs = np.stack([rows[first][own], rows], axis=1)[rows[first][own] != rows]
    same = Constraints(len(found), pairs, np.ones(len(pairs), bool))
    if known is None:
        return same
    check_type("known", known, Constraints)
    if known.rows != len(found):
        raise InputError(f"known is about {known.rows} faces; expected {len(found)}")
    return known.and_these(same).checked("answers and clusters that were kept")


def known_people(name: str, faces: Faces, graph: KnnGraph, least: int) -> LabelledFaces:
    """The readable faces of known identity.

    Args:
        name: Name of the argument, for messages about arrays.
        faces: Labelled faces, by the recogniser of the clustered ones.
        graph: Of the clustered faces.
        least: Number of people that are needed.

    Raises:
        InputError: Not two arrays, no labels, embeddings of another length, or fewer people.
    """
    if not isinstance(faces, EmbeddingSet):
        if not isinstance(faces, tuple | list) or len(faces) != 2:
            raise InputError(f"{name} is {shown(faces)}; expected two arrays, (embeddings, labels)")
        X = unit_rows(faces[0], f"{name} embeddings")
        faces = EmbeddingSet(X, None, as_labels(f"{name} labels", faces[1], len(X)), Path(name))
    if faces.labels is None:
        raise InputError(f"{faces.path}: no labels.npy beside the embeddings; the labelled faces need one")
    length, expected = faces.embeddings.shape[1], graph.embeddings.shape[1]
    if length != expected:
        raise InputError(
            f"{faces.path}: embeddings of length {length}, the clustered ones of {expected}; embed both with the same "
            "model"
        )
    rows = np.flatnonzero((faces.labels >= 0) & faces.readable)
    people = len(np.unique(faces.labels[rows]))
    if people < least:
        raise InputError(
            f"{faces.path}: {counted(people, 'labelled person')}; at least {least} are needed to choose a threshold"
        )
    return LabelledFaces(np.asarray(faces.embeddings[rows]), faces.labels[rows])
