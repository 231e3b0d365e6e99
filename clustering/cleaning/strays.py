"""Strays: faces that do not show the person whose label they have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.cleaning.classes import Classes
from clustering.partition import cluster_sums
from clustering.similarity.centres import TINY, cosine_to_sum, mode_weights, nearest

ROUNDS = 4
"""Probabilities and centres are computed in turn, this many times."""
MODE_STEPS = 3
"""Steps of `mode_weights` before the first round."""
STRANGERS = 0.95
"""In the first round a right face has a higher cosine with its label's centre than this share of made-up strays."""


@dataclass(frozen=True)
class Strays:
    """Which faces are strays.

    Attributes:
        probability: float64 [n]: that a face does not show its label's person. It is 0 for faces without a label, and
            for the only face of a label.
        other: int64 [n]: the nearest other label.
        elsewhere: float64 [n]: the part of `probability` for another labelled person. The rest is for somebody without
            a label.
    """

    probability: np.ndarray
    other: np.ndarray
    elsewhere: np.ndarray


def find_strays(embeddings: np.ndarray, labels: np.ndarray, seed: int) -> Strays:
    """Finds strays with a classifier that learns from strays made of the faces themselves.

    A face has three features:

    - g is its cosine with the centre of its label's other faces.
    - o is its highest cosine with the centre of another label.
    - The third is 1 / (m + 1), where m is the weighted number of its label's other faces.

    The classifier tells three kinds of faces apart. Its examples are made of the labelled faces:

    - Right faces: the faces as they are, weighted by their probability of being right.
    - Strays of another labelled person: each face under a label that is drawn at random.
    - Strays of somebody without a label: the same, but o leaves out the face's own label.

    A face's probability of being right is also its weight in its label's centre. So probabilities and centres are
    computed in turn, `ROUNDS` times. In the first round a face is right if g > o, and if g is above the `STRANGERS`
    quantile of the made-up strays' g.

    Args:
        embeddings: float32 [n, d], unit or zero rows.
        labels: int64 [n], consecutive from 0; -1 for unknown and unreadable faces.
        seed: Seed of the drawn labels.
    """
    rows = np.flatnonzero(labels >= 0)
    drawn = labels[np.random.default_rng(seed).permutation(rows)]
    right = first_weights(embeddings, labels)
    for turn in range(ROUNDS):
        views = _Views.of(embeddings, labels, right, rows, drawn)
        if turn == 0:
            low = np.quantile(views.drawn[:, 0], STRANGERS) if views.usable.any() else 1.0
            weight = ((views.own[:, 0] > views.own[:, 1]) & (views.own[:, 0] > low)).astype(np.float64)
        else:
            weight = right[rows].astype(np.float64)
        several, usable = views.several, views.usable
        judge = Classes.fit(
            [views.own[several], views.elsewhere[usable], views.nobody[usable]],
            [weight[several], np.ones(usable.sum()), np.ones(usable.sum())],
        )
        posterior = np.tile([1.0, 0.0, 0.0], (len(rows), 1))
        posterior[several] = judge.posterior(views.own[several])
        right = np.zeros(len(labels), np.float32)
        right[rows] = posterior[:, 0]
    probability, elsewhere, other = np.zeros(len(labels)), np.zeros(len(labels)), np.full(len(labels), -1)
    probability[rows], elsewhere[rows], other[rows] = 1 - posterior[:, 0], posterior[:, 1], views.other
    return Strays(probability, other, elsewhere)


def first_weights(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Float32 [n] in [0, 1]: the weights of the faces in their label's centre before the first round.

    They are `mode_weights`, divided by the highest weight under the label. So strays weigh little.
    """
    known, weights = labels >= 0, mode_weights(embeddings, labels, MODE_STEPS)
    most = np.zeros(int(labels.max(initial=-1)) + 1, np.float32)
    np.maximum.at(most, labels[known], weights[known])
    weights[known] /= np.maximum(most[labels[known]], TINY)
    return weights


@dataclass(frozen=True)
class _Views:
    """The features of r labelled faces: under their own label, and as strays under a drawn label.

    Attributes:
        own: float64 [r, 3]: g, o and 1 / (m + 1), see `find_strays`, under the own label.
        elsewhere: float64 [r, 3]: under the drawn label; o includes the own label.
        nobody: float64 [r, 3]: under the drawn label; o leaves out the own label.
        other: int64 [r]: the nearest other label.
        several: Bool [r]: whether the own label has other faces.
        usable: Bool [r]: whether the drawn label is not the own one.
    """

    own: np.ndarray
    elsewhere: np.ndarray
    nobody: np.ndarray
    other: np.ndarray
    several: np.ndarray
    usable: np.ndarray

    @property
    def drawn(self) -> np.ndarray:
        """Float64 [m, 3]: the usable rows of `nobody`."""
        return self.nobody[self.usable]

    @classmethod
    def of(
        cls, embeddings: np.ndarray, labels: np.ndarray, weights: np.ndarray, rows: np.ndarray, drawn: np.ndarray
    ) -> _Views:
        own = labels[rows]
        sums = cluster_sums(embeddings, labels, weights)
        mass = np.bincount(own, weights[rows], len(sums))
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), TINY)
        ids, cosines = nearest(embeddings[rows], centres, 3)
        g = cosine_to_sum(embeddings, rows, sums, own, weights)
        here = cosine_to_sum(embeddings, rows, sums, drawn)
        other, o = _best(ids, cosines, own[:, None])
        _, o_without = _best(ids, cosines, np.stack([own, drawn], axis=1))
        rest = 1 / (1 + np.maximum(mass[own] - weights[rows], 0))
        there = 1 / (1 + mass[drawn])
        return cls(
            np.stack([g, o, rest], axis=1), np.stack([here, np.maximum(g, o_without), there], axis=1),
            np.stack([here, o_without, there], axis=1), other, np.bincount(own)[own] > 1, drawn != own,
        )  # fmt: skip


def _best(ids: np.ndarray, cosines: np.ndarray, without: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first label in each row of `ids` that is not in the same row of `without`, and its cosine."""
    allowed = (ids[:, :, None] != without[:, None, :]).all(axis=2)
    place, every = allowed.argmax(axis=1), np.arange(len(ids))
    return ids[every, place], cosines[every, place]
