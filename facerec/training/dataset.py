"""What training sees at each step: a pure function of the seed and the step, on every process."""

from __future__ import annotations

import numpy as np
from torch.utils.data import Dataset

from facerec.stores.pixels import resized
from facerec.stores.store import UnreadableFace
from facerec.training.augment import Augmentation
from facerec.training.samplers import Sampler
from facerec.training.training_set import TrainingSet

Skipped = tuple[str, int, str, str]  # store, row, key, reason


class Batches(Dataset[tuple[np.ndarray, np.ndarray, np.ndarray, list[Skipped]]]):
    """The batch of each step, or a rank's share of it.

    Args:
        faces: The training set.
        sampler: Says which faces are in a batch.
        augment: Varies a face and brings it to the size that the network takes.
        rank: Which share; see `slots`.
        ranks: How many shares there are.
        parts: In how many parts a batch is worked on.
    """

    def __init__(
        self, faces: TrainingSet, sampler: Sampler, augment: Augmentation, rank: int = 0, ranks: int = 1, parts: int = 1
    ):
        self.faces, self.sampler, self.augment = faces, sampler, augment
        self.slots = slots(sampler.batch_size, rank, ranks, parts)

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
            size = self.augment.size
            return np.empty((0, size, size, 3), np.uint8), items[:0], self.faces.weight[:0], skipped
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
        return self.augment(squared(face, 2 * self.augment.size), position)


def squared(face: np.ndarray, largest: int) -> np.ndarray:
    """A face uint8 [height, width, 3] as a square, stretched as embedding stretches it, of at most a size."""
    height, width = face.shape[:2]
    return resized(face, min(max(height, width), largest)) if height != width or height > largest else face


def slots(batch_size: int, rank: int, ranks: int, parts: int) -> np.ndarray:
    """Int64 [batch_size / ranks], the positions in a batch that are a rank's: of each part its share, in order.

    So the parts that the ranks work on at a time are together those that one rank alone would work on.
    """
    return np.arange(batch_size).reshape(parts, ranks, -1)[:, rank].ravel()
