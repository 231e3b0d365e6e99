"""The two most different parts of each label's faces, for all labels at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.partition import cluster_sums
from clustering.similarity.centres import BLOCK, TINY
from facerec.pipeline.files import blocks

POWER_STEPS = 10
MEANS_STEPS = 5


@dataclass(frozen=True)
class GroupSums:
    """Sums of groups of faces, and how alike two groups are.

    Attributes:
        sums: float32 [groups, d], (weighted) sums of embeddings.
        mass: float64 [groups], the sums of the weights w.
        squares: float64 [groups], the sums of w².
    """

    sums: np.ndarray
    mass: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, embeddings: np.ndarray, labels: np.ndarray, weights: np.ndarray, count: int) -> GroupSums:
        """The sums of `count` groups of faces; `labels` int64 [n] names the group of each, -1 for none."""
        rows = np.flatnonzero(labels >= 0)
        sums = np.zeros((count, embeddings.shape[1]), np.float32)
        found = cluster_sums(embeddings, labels, weights)
        sums[: len(found)] = found
        mass = np.bincount(labels[rows], weights[rows], count)
        return cls(sums, mass, np.bincount(labels[rows], weights[rows].astype(np.float64) ** 2, count))

    @property
    def within(self) -> np.ndarray:
        """Float64 [groups]: the mean cosine of two faces of a group; NaN where there is no pair."""
        pairs = self.mass**2 - self.squares
        lengths = np.einsum("gd,gd->g", self.sums, self.sums, dtype=np.float64)
        enough = pairs > 1e-6 * np.maximum(self.mass, 1) ** 2
        return np.where(enough, (lengths - self.squares) / np.where(enough, pairs, 1), np.nan)

    @property
    def centres(self) -> np.ndarray:
        """Float32 [groups, d], unit rows."""
        return self.sums / np.maximum(np.linalg.norm(self.sums, axis=1, keepdims=True), TINY)

    def features(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """What tells whether two groups are one person.

        - The mean cosine b of a face here and a face there.
        - b over the geometric mean of both groups' mean cosines within. It is about 1 for one person, however clear
          the pictures are.
        - The cosine of both centres.
        - The lower mean within. A group of one face has that of all groups.
        - ``1/m + 1/m'``, of the sizes m and m'.

        Args:
            left: int64 [p], groups.
            right: int64 [p], the other one of each pair.

        Returns:
            float64 [p, 5].
        """
        within, usual = self.within, float(np.nanmean(self.within)) if np.isfinite(self.within).any() else 0.5
        inside = np.clip(np.where(np.isnan(within), usual, within), 0.05, 1)
        a, b = self.sums[left], self.sums[right]
        dots = np.einsum("pd,pd->p", a, b, dtype=np.float64)
        between = dots / np.maximum(self.mass[left] * self.mass[right], TINY)
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        ratio = np.clip(between / np.sqrt(inside[left] * inside[right]), -2, 2)
        sizes = 1 / np.maximum(self.mass[left], 0.5) + 1 / np.maximum(self.mass[right], 0.5)
        lower = np.minimum(inside[left], inside[right])
        return np.stack([between, ratio, dots / np.maximum(lengths, TINY), lower, sizes], axis=1)


def two_parts(embeddings: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Int64 [n]: 0 or 1, which of two parts of its label each face is in; -1 for faces without a label.

    The first cut is by the sign along the direction of most variance (power iteration). Spherical 2-means makes it
    better. A label of one face has one part.

    Args:
        embeddings: float32 [n, d].
        labels: int64 [n], consecutive from 0; -1 for faces that are left out.
        weights: float32 [n], how much each face counts.
    """
    count = int(labels.max(initial=-1)) + 1
    rows = np.flatnonzero(labels >= 0)
    means = GroupSums.of(embeddings, labels, weights, count)
    centre = means.sums / np.maximum(means.mass, TINY)[:, None]
    direction = np.random.default_rng(0).normal(size=centre.shape).astype(np.float32)
    place = np.zeros(len(labels), np.float32)
    for _ in range(POWER_STEPS):
        direction -= centre * (_dots(centre, direction) / np.maximum(_dots(centre, centre), TINY))[:, None]
        direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), TINY)
        place[rows] = _along(embeddings, rows, labels, direction) - _dots(centre, direction)[labels[rows]]
        direction = cluster_sums(embeddings, labels, weights * place)
    part = np.where(place > 0, 1, 0)
    for _ in range(MEANS_STEPS):
        halves = GroupSums.of(embeddings, by_part(labels, part), weights, 2 * count).centres
        part[rows] = _along(embeddings, rows, 2 * labels + 1, halves) > _along(embeddings, rows, 2 * labels, halves)
    return np.where(labels >= 0, part, -1)


def by_part(labels: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Int64 [n]: twice the label, plus 0 or 1 for the part; -1 for faces without a label."""
    return np.where(labels >= 0, 2 * labels + part, -1)


def part_sizes(labels: np.ndarray, part: np.ndarray, count: int) -> np.ndarray:
    """Int64 [count, 2]: the faces in both parts of each label."""
    both = by_part(labels, part)
    return np.bincount(both[both >= 0], minlength=2 * count).reshape(-1, 2)


def _dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("cd,cd->c", a, b)


def _along(embeddings: np.ndarray, rows: np.ndarray, labels: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Float32 [r]: the product of each face with its label's direction."""
    found = np.zeros(len(rows), np.float32)
    for some in blocks(np.arange(len(rows)), BLOCK):
        found[some] = np.einsum("nd,nd->n", embeddings[rows[some]], directions[labels[rows[some]]])
    return found
