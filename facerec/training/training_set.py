"""Labelled and pseudo-labelled faces as one training set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facerec.pipeline.files import InputError, load_array
from facerec.pipeline.label_files import load_keys
from facerec.pipeline.values import shown
from facerec.recognisers.first_look import doubts_about_shapes
from facerec.stores.open import open_store
from facerec.stores.store import Store
from facerec.training.options import TrainingData

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingSet:
    """Faces of several stores with classes.

    Attributes:
        stores: Where the faces are.
        store: int64 [n], which of the stores.
        row: int64 [n], the row there.
        label: int64 [n], consecutive from 0; those of the first store come first.
        weight: float32 [n], of the face in the loss, > 0.
    """

    stores: tuple[Store, ...]
    store: np.ndarray
    row: np.ndarray
    label: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.label.max()) + 1

    @property
    def first_classes(self) -> int:
        """Number of classes of the first store."""
        return int(self.label[self.store == 0].max(initial=-1)) + 1


def combine_stores(
    parts: Sequence[tuple[Store, np.ndarray, np.ndarray | None]], same_as: np.ndarray | None = None
) -> TrainingSet:
    """Makes one training set of several stores, each with classes of its own.

    Args:
        parts: A store, its labels int64 [n] (rows with -1 are left out), and weights float [n] or None
            (rows with weight 0 are left out).
        same_as: Int64 [labels of the last part], the label of the first part that is the same person, so that the
            faces join that class; -1 for none.

    Raises:
        InputError: Fewer than two classes in all, or `same_as` with a label that no face of the first part has.
    """
    numbers, rows, labels, weights = [], [], [], []
    known, classes = np.empty(0, np.int64), 0
    for number, (_, part_labels, part_weights) in enumerate(parts):
        part_weights = np.ones(len(part_labels), np.float32) if part_weights is None else part_weights
        row = np.flatnonzero((part_labels >= 0) & (part_weights > 0))
        names, label = np.unique(part_labels[row], return_inverse=True)
        joins = same_as[names] if same_as is not None and number == len(parts) - 1 else np.full(len(names), -1)
        number_of = np.where(joins < 0, classes - 1 + np.cumsum(joins < 0), _indices(joins, known))
        numbers.append(np.full(len(row), number))
        rows.append(row)
        labels.append(number_of[label])
        weights.append(part_weights[row].astype(np.float32))
        classes += int((joins < 0).sum())
        known = names if number == 0 else known
    if classes < 2:
        where = " and ".join(str(store.path) for store, _, _ in parts)
        raise InputError(f"{where}: {classes} class(es) with used faces; training needs at least two")
    return TrainingSet(
        tuple(store for store, _, _ in parts),
        *(np.concatenate(arrays) for arrays in (numbers, rows, labels, weights)),
    )


def _indices(wanted: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Where labels stand among the known ones, which ascend; anything for -1."""
    missing = wanted[(wanted >= 0) & ~np.isin(wanted, known)]
    if missing.size:
        raise InputError(f"same_as.npy names class {missing[0]}, but no used labelled face has it; cluster with these")
    return np.searchsorted(known, wanted)


def gather(data: TrainingData) -> TrainingSet:
    """The training set of labelled and pseudo-labelled faces.

    Raises:
        InputError: Unusable files, faces without identities, or fewer than two classes.
    """
    parts: list[tuple[Store, np.ndarray, np.ndarray | None]] = []
    same_as = None
    for labels in filter(None, (data.labels, data.pseudo_labels)):
        _say_ignored(labels)
    if data.faces is not None:
        store = open_store(data.faces, data.max_pixels)
        known = store.labels if data.labels is None else store.labels_in(data.labels)
        if known is None:
            raise InputError(
                f"{data.faces}: no face has an identity; give --labels, or images in a folder per identity"
            )
        parts.append((store, known, None if data.labels is None else _weights(data.labels, len(store))))
    if data.unlabelled is not None and data.pseudo_labels is not None:
        store = open_store(data.unlabelled, data.max_pixels)
        pseudo = store.labels_in(data.pseudo_labels)
        parts.append((store, pseudo, _weights(data.pseudo_labels, len(store))))
        if data.faces is not None and (same_as := _same_as(data.pseudo_labels, pseudo)) is not None:
            _check_people(data.pseudo_labels, same_as, *parts[0][:2])
    return combine_stores(parts, same_as)


def say_unusual(faces: TrainingSet, batch_size: int) -> None:
    """Warns of faces that hardly teach who is whom, of fewer faces than a batch takes, and of whole photographs.

    Args:
        faces: The training set.
        batch_size: Faces a step.
    """
    alone = int(np.count_nonzero(np.bincount(faces.label) == 1))
    if 2 * alone > faces.classes:
        logger.warning(
            "%d of %d classes have one face each, which does not teach what faces of one person share", alone,
            faces.classes,
        )  # fmt: skip
    if len(faces) < batch_size:
        logger.warning(
            "%d faces, fewer than --batch-size %d: a step sees faces several times, and an epoch is less than a step",
            len(faces), batch_size,
        )  # fmt: skip
    for store in faces.stores:
        for doubt in doubts_about_shapes(store):
            logger.warning("%s: %s", store.path, doubt)


def _say_ignored(labels: Path) -> None:
    """Says which files beside a file of labels do not count, as the folder was not given."""
    beside = [name for name in ("weights.npy", "same_as.npy") if (labels.parent / name).is_file()]
    if labels.name == "labels.npy" and labels.is_file() and beside:
        logger.warning("%s: %s beside it do not count; give the folder", labels, " and ".join(beside))


def _weights(labels: Path, rows: int) -> np.ndarray | None:
    file = labels / "weights.npy"
    if not (labels.is_dir() and file.exists()):
        return None
    with np.errstate(over="ignore", under="ignore"):
        weights = np.asarray(load_array(file, kind="f", ndim=1), np.float32)
    if len(weights) != rows:
        raise InputError(f"{file}: {len(weights)} weights for {rows} faces; they must match one to one")
    if not np.all(np.isfinite(weights)) or weights.min() < 0:
        raise InputError(f"{file}: weights must be finite and not negative; found {weights.min()} to {weights.max()}")
    return weights


def _same_as(pseudo_labels: Path, labels: np.ndarray) -> np.ndarray | None:
    file = pseudo_labels / "same_as.npy"
    if not (pseudo_labels.is_dir() and file.exists()):
        return None
    same_as = np.asarray(load_array(file, kind="iu", ndim=1), np.int64)
    if len(same_as) <= labels.max() or same_as.min() < -1:
        raise InputError(
            f"{file}: {len(same_as)} entries from {same_as.min()} for pseudo classes 0 to {labels.max()}; it has a "
            "labelled class or -1 for each"
        )
    return same_as


def _check_people(pseudo_labels: Path, same_as: np.ndarray, store: Store, labels: np.ndarray) -> None:
    """Refuses labelled classes of another set of faces, in which the numbers mean other people.

    A few faces may have another label: those that ``clean`` has relabelled since. If several differ by the same number,
    a warning says so.

    Raises:
        InputError: Most of the faces that stand for a labelled class have another label here.
    """
    file = pseudo_labels / "same_as_keys.txt"
    if not file.exists() or same_as.max(initial=-1) < 0:
        return
    keys, places = load_keys(file, len(same_as)), {key: row for row, key in enumerate(store.keys)}
    rows = np.array([places.get(key, -1) for key in keys])
    here = np.where((rows >= 0) & (same_as >= 0), labels[rows], -1)
    wrong = (here >= 0) & (here != same_as)
    if 2 * wrong.sum() > np.count_nonzero(here >= 0):
        at = int(wrong.argmax())
        raise InputError(
            f"{file}: face {keys[at]!r} has label {same_as[at]} there, but {here[at]} in {store.path}; give "
            "pseudolabel --labelled the embeddings of the faces to train on, with their labels"
        )
    if wrong.sum() > 1 and np.ptp((here - same_as)[wrong]) == 0:  # as where a person was added among the others
        at = int(wrong.argmax())
        logger.warning(
            "%s: %d of %d people have another label in %s, as face %s: %d there, %d here; if people were added or "
            "removed since, run pseudolabel again with these labels",
            file, wrong.sum(), np.count_nonzero(here >= 0), store.path, shown(keys[at]), same_as[at], here[at],
        )  # fmt: skip
    if np.all(here < 0):
        logger.warning("%s: %s has none of these faces; do its labels mean the same people?", file, store.path)
