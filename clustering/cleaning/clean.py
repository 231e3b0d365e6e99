"""Label errors of a labelled set, found and taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.cleaning.parts import part_sizes
from clustering.cleaning.people import Mixtures, Twins, find_mixtures, find_twins
from clustering.cleaning.strays import Strays, find_strays
from clustering.partition import components, consecutive
from facerec.pipeline.embeddings import readable_rows, unit_rows
from facerec.pipeline.values import as_labels

PASSES = 2
PARTINGS = 2
"""How often labels of several people are parted in two, and then their parts."""


@dataclass(frozen=True)
class Cleaned:
    """What was found in labels, and labels without it.

    Labels are numbered here from 0 in ascending order; `names` has what they are called.

    Attributes:
        given: int64 [n], the labels; -1 for unknown or unreadable faces.
        names: int64 [labels], the names of these numbers in the user's labels.
        parted: int64 [n], the labels after people under one label were parted: the larger part keeps the number.
        merged: int64 [n], the same after people under two labels were joined: the lower number stays.
        mixed: float64 [n], the probability that the face's label is of two people; 0 in the part that keeps the number.
        twins: Pairs of `parted` labels that may be one person.
        strays: Strays under the labels of `merged`.
        least: Least probability of an error that counts as found.
    """

    given: np.ndarray
    names: np.ndarray
    parted: np.ndarray
    merged: np.ndarray
    mixed: np.ndarray
    twins: Twins
    strays: Strays
    least: float

    @property
    def is_stray(self) -> np.ndarray:
        """Bool [n]: the faces that count as strays."""
        return np.asarray(self.strays.probability >= self.least)

    @property
    def mixed_labels(self) -> np.ndarray:
        """Int64, the given labels that are of several people."""
        return np.unique(self.given[(self.given >= 0) & (self.parted != self.given)])

    @property
    def joined(self) -> np.ndarray:
        """Bool [pairs], the twins that were joined."""
        return np.asarray(self.twins.probability >= self.least)

    def name_of(self, numbers: np.ndarray) -> np.ndarray:
        """The names of numbers. Parts that left a label get new names, beyond the largest given one; -1 stays."""
        more = int(self.parted.max(initial=-1)) + 1 - len(self.names)
        last = int(self.names.max(initial=-1))
        return np.concatenate([self.names, last + 1 + np.arange(more), [-1]])[numbers]

    def labels(self, move: bool = False) -> np.ndarray:
        """Int64 [n], the cleaned labels by name.

        Args:
            move: Whether strays of a known person go to their label; else they have none.
        """
        there = self.strays.other
        moved = move & (self.strays.elsewhere >= self.least)
        return self.name_of(np.where(self.is_stray, np.where(moved, there, -1), self.merged))

    def confidence(self) -> np.ndarray:
        """Float32 [n]: the probability that a face is of the person whom its given label names."""
        return np.where(self.given < 0, 0, (1 - self.strays.probability) * (1 - self.mixed)).astype(np.float32)


def clean(embeddings: np.ndarray, labels: np.ndarray, least: float = 0.5, seed: int = 0) -> Cleaned:
    """Finds label errors: labels of several people, people under two labels, and strays.

    They are looked for in this order, because each kind hides the next. All is done twice. The second time a face
    counts in its label's figures by the probability that it is no stray.

    Args:
        embeddings: [n, d], unit or zero rows; others are normalised.
        labels: int64 [n], -1 for unknown.
        least: Least probability of an error that counts as found.
        seed: Seed of the examples that are made to learn from.

    Raises:
        InputError: Embeddings that cannot be used, or labels of another number or type.
    """
    embeddings = unit_rows(embeddings)
    labels = as_labels("labels", labels, len(embeddings))
    usable = np.where(readable_rows(embeddings), labels, -1)
    given = np.full(len(usable), -1, np.int64)
    names, given[usable >= 0] = np.unique(usable[usable >= 0], return_inverse=True)
    weights = np.ones(len(given), np.float32)
    for _ in range(PASSES):
        parted, mixed = _part(embeddings, given, weights, least, seed)
        twins = find_twins(embeddings, parted, weights, seed)
        merged = _join(parted, twins, least)
        strays = _as_numbered(find_strays(embeddings, consecutive(merged), seed), merged)
        weights = np.where(given < 0, 0, 1 - strays.probability).astype(np.float32)
    return Cleaned(given, names, parted, merged, mixed, twins, strays, least)


def _part(
    embeddings: np.ndarray, given: np.ndarray, weights: np.ndarray, least: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Labels parted where they are of several people, and the probability of this for faces that are parted off."""
    parted, mixed = given.copy(), np.zeros(len(given))
    for _ in range(PARTINGS):
        found = find_mixtures(embeddings, parted, weights, seed)
        several = found.probability >= least
        if not several.any():
            break
        leaves = _smaller_part(parted, found) & several[parted]
        mixed[leaves] = np.maximum(mixed[leaves], found.probability[parted[leaves]])
        new = int(parted.max()) + 1 + np.cumsum(several) - 1
        parted = np.where(leaves, new[parted], parted)
    return parted, mixed


def _smaller_part(labels: np.ndarray, found: Mixtures) -> np.ndarray:
    """Bool [n]: faces of the part with fewer faces; of equal ones the second."""
    sizes = part_sizes(labels, found.part, len(found.probability))
    smaller = np.where(sizes[:, 0] < sizes[:, 1], 0, 1)
    return np.asarray((labels >= 0) & (found.part == smaller[labels]))


def _join(labels: np.ndarray, twins: Twins, least: float) -> np.ndarray:
    """Labels with twins joined under the lower number."""
    joined = twins.probability >= least
    count = int(labels.max(initial=-1)) + 1
    group = components(count, twins.left[joined], twins.right[joined])
    lowest = np.unique(group, return_index=True)[1]
    return np.where(labels >= 0, lowest[group][labels], -1) if count else labels


def _as_numbered(strays: Strays, merged: np.ndarray) -> Strays:
    """The same strays, with `other` as a label of `merged`."""
    numbers = consecutive(merged)
    name = np.full(int(numbers.max(initial=-1)) + 2, -1)
    name[numbers[numbers >= 0]] = merged[numbers >= 0]
    return Strays(strays.probability, name[strays.other], strays.elsewhere)
