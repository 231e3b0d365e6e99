"""What training sees at each step: a pure function of the seed and the step, whoever computes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from torch.utils.data import Dataset

from facerec.artifacts import InputError
from facerec.augment import Augmentation
from facerec.store import Store, UnreadableFace

Skipped = tuple[str, int, str, str]  # store, row, key, reason


@dataclass(frozen=True)
class TrainingSet:
    """Faces of several stores with classes.

    Attributes:
        stores: Where the faces are.
        store: int64 [n], which of the stores.
        row: int64 [n], the row there.
        label: int64 [n], consecutive from 0; no class spans two stores.
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


def join(parts: Sequence[tuple[Store, np.ndarray, np.ndarray | None]]) -> TrainingSet:
    """Makes one training set of several stores, each with classes of its own.

    Args:
        parts: A store, its labels int64 [n] (rows with -1 are left out), and weights float [n] or None
            (rows with weight 0 are left out).

    Raises:
        InputError: Fewer than two classes in all.
    """
    numbers, rows, labels, weights = [], [], [], []
    classes = 0
    for number, (_, part_labels, part_weights) in enumerate(parts):
        part_weights = np.ones(len(part_labels), np.float32) if part_weights is None else part_weights
        row = np.flatnonzero((part_labels >= 0) & (part_weights > 0))
        names, label = np.unique(part_labels[row], return_inverse=True)
        numbers.append(np.full(len(row), number))
        rows.append(row)
        labels.append(label + classes)
        weights.append(part_weights[row].astype(np.float32))
        classes += len(names)
    if classes < 2:
        where = " and ".join(str(store.path) for store, _, _ in parts)
        raise InputError(f"{where}: {classes} class(es) with used faces; training needs at least two")
    return TrainingSet(
        tuple(store for store, _, _ in parts),
        *(np.concatenate(arrays) for arrays in (numbers, rows, labels, weights)),
    )


class Batches(Dataset[tuple[np.ndarray, np.ndarray, np.ndarray, list[Skipped]]]):
    """The batch of each step. Every pass over the faces has an order of its own.

    Args:
        faces: The training set.
        batch_size: Faces a step.
        size: Height and width that the network takes.
        seed: Of the order and of the augmentation.
    """

    def __init__(self, faces: TrainingSet, batch_size: int, size: int, seed: int):
        self.faces, self.batch_size, self.size, self.seed = faces, batch_size, size, seed
        self.augment = Augmentation(size, seed)
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Skipped]]:
        """Returns the batch of a step.

        A face that cannot be read is replaced by the next readable one of the batch.

        Returns:
            uint8 RGB [b, size, size, 3]; int64 [b] labels; float32 [b] weights; the faces that could not be read.
            b is the batch size, or 0 if none of the batch can be read.
        """
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        items = np.array([self._item(int(position)) for position in positions])
        skipped: list[Skipped] = []
        faces = [self._face(item, int(position), skipped) for item, position in zip(items, positions, strict=True)]
        readable = np.array([index for index, face in enumerate(faces) if face is not None], np.int64)
        if not readable.size:
            return np.empty((0, self.size, self.size, 3), np.uint8), items[:0], self.faces.weight[:0], skipped
        chosen = readable[np.searchsorted(readable, np.arange(len(items))) % len(readable)]
        items = items[chosen]
        return np.stack([faces[index] for index in chosen]), self.faces.label[items], self.faces.weight[items], skipped

    def _item(self, position: int) -> int:
        epoch, place = divmod(position, len(self.faces))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((self.seed, epoch)).permutation(len(self.faces))
        return int(self._order[place])

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


def resized(face: np.ndarray, size: int) -> np.ndarray:
    """A face uint8 [height, width, 3] at [size, size, 3]; averaged over areas where it shrinks much."""
    if face.shape[:2] == (size, size):
        return face
    shrinks = min(face.shape[:2]) >= 2 * size
    return cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
