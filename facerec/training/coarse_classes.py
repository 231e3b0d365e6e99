"""Coarser classes of a training set, from the levels of a clustering."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facerec.pipeline.files import InputError
from facerec.pipeline.label_files import load_keys, load_labels, refuse_other_order
from facerec.training.training_set import TrainingSet


def majority(labels: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """The coarser class of each class: the cluster that most of its faces are in, the lower number at a tie.

    Args:
        labels: Int64 [n], the class of each face, consecutive from 0.
        clusters: Int64 [n], the cluster of each face, -1 for none. A class without clustered faces gets a coarser class
            to itself.

    Returns:
        Int64 [classes], consecutive from 0 in the order of the classes.
    """
    pairs, counts = np.unique(np.stack([labels, clusters])[:, clusters >= 0], axis=1, return_counts=True)
    order = np.lexsort((-pairs[1], counts))
    groups = clusters.max() + 1 + np.arange(labels.max() + 1)
    groups[pairs[0, order]] = pairs[1, order]
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def read_levels(folder: Path, faces: TrainingSet) -> Tensor:
    """The coarser classes that a hierarchy of faces gives to the classes of a training set, see `majority`.

    Args:
        folder: A folder with levels/<number>/labels.npy, int64 [rows], finest first, as clustering with Hi-LANDER
            writes. Rows are those of the training set's stores one after the other, or of the last store alone.
        faces: The training set.

    Returns:
        Int64 [levels, classes], without levels that put no classes together, or all, or the same as the level before.

    Raises:
        InputError: No levels there, labels that do not fit the faces, faces in another order, or no level that is left.
    """
    files = sorted((folder / "levels").glob("*/labels.npy"))
    if not files:
        raise InputError(f"{folder}: no levels/<number>/labels.npy; give a clustering with a hierarchy, or kmeans")
    if (folder / "keys.txt").is_file():
        last, named = faces.stores[-1], len(load_keys(folder / "keys.txt"))
        stores = [last] if named == len(last) else faces.stores
        refuse_other_order(folder, last.path, [key for store in stores for key in store.keys])
    kept: list[np.ndarray] = []
    for file in files:
        groups = majority(faces.label, _clusters(file, faces))
        if 1 < groups.max() + 1 < faces.classes and not (kept and np.array_equal(groups, kept[-1])):
            kept.append(groups)
    if not kept:
        raise InputError(
            f"{folder}: none of {len(files)} levels puts some of {faces.classes} classes together, not all"
        )
    return torch.from_numpy(np.stack(kept))


def _clusters(file: Path, faces: TrainingSet) -> np.ndarray:
    """Int64 [n]: the clusters of a training set's faces."""
    clusters = load_labels(file)
    lengths = np.array([len(store) for store in faces.stores])
    if len(clusters) not in (lengths.sum(), lengths[-1]):
        raise InputError(f"{file}: {len(clusters)} labels for stores of {' and '.join(map(str, lengths))} faces")
    rows = (np.cumsum(lengths) - lengths)[faces.store] + faces.row - (lengths.sum() - len(clusters))
    return np.where(rows >= 0, clusters[np.maximum(rows, 0)], -1)
