"""What training sees at each step: a pure function of the seed and the step, whoever computes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from torch.utils.data import Dataset

from facerec.artifacts import InputError
from facerec.augment import Augmentation
from facerec.samplers import Sampler
from facerec.store import Store, UnreadableFace

Skipped = tuple[str, int, str, str]  # store, row, key, reason


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


def join(
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
        number_of = np.where(joins < 0, classes - 1 + np.cumsum(joins < 0), _places(joins, known))
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


def _places(wanted: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Where labels stand among the known ones, which ascend; anything for -1."""
    missing = wanted[(wanted >= 0) & ~np.isin(wanted, known)]
    if missing.size:
        raise InputError(f"same_as.npy names class {missing[0]}, but no used labelled face has it; cluster with these")
    return np.searchsorted(known, wanted)


class Batches(Dataset[tuple[np.ndarray, np.ndarray, np.ndarray, list[Skipped]]]):
    """The batch of each step, or a rank's share of it.

    Args:
        faces: The training set.
        sampler: Says which faces are in a batch.
        size: Height and width that the network takes.
        seed: Of the augmentation.
        rank: Which share; see `slots`.
        ranks: How many shares there are.
        parts: In how many parts a batch is worked on.
    """

    def __init__(
        self, faces: TrainingSet, sampler: Sampler, size: int, seed: int, rank: int = 0, ranks: int = 1, parts: int = 1
    ):
        self.faces, self.sampler, self.size = faces, sampler, size
        self.slots = slots(sampler.batch_size, rank, ranks, parts)
        self.augment = Augmentation(size, seed)

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Skipped]]:
        """Returns the batch of a step.

        A face that cannot be read is replaced by the next readable one of the batch.

        Returns:
            uint8 RGB [b, size, size, 3]; int64 [b] labels; float32 [b] weights; the faces that could not be read.
            b is the batch size over the ranks, or 0 if none of these can be read.
        """
        items = self.sampler(step)[self.slots]
        positions = step * self.sampler.batch_size + self.slots
        skipped: list[Skipped] = []
        faces = [self._face(item, int(position), skipped) for item, position in zip(items, positions, strict=True)]
        readable = np.array([index for index, face in enumerate(faces) if face is not None], np.int64)
        if not readable.size:
            return np.empty((0, self.size, self.size, 3), np.uint8), items[:0], self.faces.weight[:0], skipped
        chosen = readable[np.searchsorted(readable, np.arange(len(items))) % len(readable)]
        items = items[chosen]
        return np.stack([faces[index] for index in chosen]), self.faces.label[items], self.faces.weight[items], skipped

    def _face(self, item: int, position: int, skipped: list[Skipped]) -> np.ndarray | None:
        store, row = self.faces.stores[self.faces.store[item]], int(self.faces.row[item])
        try:
            face = store.read(row)
        except UnreadableFace as error:
            skipped.append((str(store.path), row, error.key, error.reason))
            return None
        if min(face.shape[:2]) > 2 * self.size:
            face = resized(face, 2 * self.size)
        return self.augment(face, position)


def slots(batch_size: int, rank: int, ranks: int, parts: int) -> np.ndarray:
    """Int64 [batch_size / ranks], the places of a batch that are a rank's: of each part its share, in order.

    So the parts that the ranks work on at a time are together those that one rank alone would work on.
    """
    return np.arange(batch_size).reshape(parts, ranks, -1)[:, rank].ravel()


def resized(face: np.ndarray, size: int) -> np.ndarray:
    """A face uint8 [height, width, 3] at [size, size, 3]; averaged over areas where it shrinks much."""
    if face.shape[:2] == (size, size):
        return face
    shrinks = min(face.shape[:2]) >= 2 * size
    return cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
