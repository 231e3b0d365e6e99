"""People under two labels, and labels with several people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.cleaning.classes import Classes
from clustering.cleaning.parts import GroupSums, by_part, part_sizes, two_parts
from clustering.cleaning.strays import first_weights
from clustering.partition import consecutive, places_in_groups
from clustering.similarity.centres import nearest

NEIGHBOURS = 3
TURNS = 3
FEWEST = 2
"""Fewest faces of a part that can be a person's."""
UNLIKE, PAIRS = 0.005, 20_000
"""Share of pairs of strangers that may be as alike as a part's faces, and pairs on which that is measured."""
FLOOR = 0.25
"""Least weight of a face far from its part's mode."""
APART = 0.6
"""Share of a label's faces in one part, less that of the other label's, from which the parts tell both apart."""
STRANGERS = 0.95
"""At first a label counts as one person's if its parts are more alike than those of this share of made mixtures."""


@dataclass(frozen=True)
class Twins:
    """Pairs of labels that may be one person, each once.

    Attributes:
        left: int64 [p], the lower label.
        right: int64 [p].
        probability: float64 [p], that they are one person.
    """

    left: np.ndarray
    right: np.ndarray
    probability: np.ndarray


def find_twins(embeddings: np.ndarray, labels: np.ndarray, weights: np.ndarray, seed: int) -> Twins:
    """Finds people under two labels, among each label and its `NEIGHBOURS` nearest ones.

    Examples of one person under two labels are the halves of each label, cut at random. Examples of two people are the
    pairs themselves, weighted by the probability that they are. It is found in `TURNS` turns. In the first turn they
    are all pairs but those of a label and its nearest one. `GroupSums.features` says what is looked at.

    Args:
        embeddings: float32 [n, d].
        labels: int64 [n], consecutive from 0; -1 for faces that are left out.
        weights: float32 [n], how much each face counts.
        seed: Seed of the halves.
    """
    count = int(labels.max(initial=-1)) + 1
    whole = GroupSums.of(embeddings, labels, weights, count)
    left, right, rank = _pairs(whole.centres)
    if not len(left):
        return Twins(left, right, np.zeros(0))
    pairs = whole.features(left, right)
    parts, halved = halves(labels, seed)
    cut = GroupSums.of(embeddings, parts, weights, 2 * count)
    same = cut.features(2 * halved, 2 * halved + 1)
    apart = (rank > 0).astype(np.float64) if np.any(rank > 0) else np.ones(len(left))
    return Twins(left, right, _in_turns(pairs, apart, same))


def _in_turns(features: np.ndarray, usual: np.ndarray, examples: np.ndarray) -> np.ndarray:
    """Float64 [m]: the probability that each row of `features` is like the examples; `TURNS` turns find it.

    The features themselves are the examples of the other class, weighted by their probability of being of it.

    Args:
        features: float64 [m, features].
        usual: float64 [m], that probability in the first turn.
        examples: float64 [e, features].
    """
    for _ in range(TURNS):
        posterior = Classes.fit([features, examples], [usual, np.ones(len(examples))]).posterior(features)
        usual = posterior[:, 0]
    return posterior[:, 1]


def _pairs(centres: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each label with its nearest ones: both labels, int64 [p]; and how many are nearer to either."""
    ids, _ = nearest(centres, centres, min(NEIGHBOURS + 1, len(centres)))
    own = np.repeat(np.arange(len(centres)), ids.shape[1])
    other = ids.ravel()
    rank = np.tile(np.arange(ids.shape[1]), len(centres))
    kept = own != other
    own, other, rank = own[kept], other[kept], rank[kept] - 1
    lower, higher = np.minimum(own, other), np.maximum(own, other)
    order = np.lexsort((rank, higher, lower))
    first = np.unique(np.stack([lower, higher])[:, order], axis=1, return_index=True)[1]
    chosen = order[first]
    return lower[chosen], higher[chosen], np.maximum(rank[chosen], 0)


def halves(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cuts each label of two faces or more in two, at random and at a random place.

    Returns:
        int64 [n], twice the label or one more, -1 for labels of one face; and int64, the labels that were cut.
    """
    generator = np.random.default_rng(seed)
    sizes = np.bincount(labels[labels >= 0])
    order = np.lexsort((generator.random(len(labels)), labels))
    order = order[labels[order] >= 0]
    place = places_in_groups(sizes)
    cut = 1 + np.floor(generator.random(len(sizes)) * np.maximum(sizes - 1, 1)).astype(np.int64)
    parts = np.full(len(labels), -1)
    own = labels[order]
    parts[order] = np.where(sizes[own] > 1, 2 * own + (place < cut[own]), -1)
    return parts, np.flatnonzero(sizes > 1)


@dataclass(frozen=True)
class Mixtures:
    """Labels that may have several people's faces.

    Attributes:
        probability: float64 [labels], that it has.
        part: int64 [n], 0 or 1: on which side a face is if they are parted; -1 for faces without a label.
    """

    probability: np.ndarray
    part: np.ndarray


def find_mixtures(embeddings: np.ndarray, labels: np.ndarray, weights: np.ndarray, seed: int) -> Mixtures:
    """Finds labels with two people or more.

    Each label's faces are parted in two, see `two_parts`. Examples of several people are made, parted in the same way:
    each label together with another that is alike, with one that is drawn, and with two that are drawn. Examples of one
    person are the labels themselves, weighted by the probability of being one. It is found in `TURNS` turns. In the
    first turn they are those whose parts are more alike than nearly all of the made ones. Labels with a part of fewer
    than `FEWEST` faces are one person's.

    Args:
        embeddings: float32 [n, d].
        labels: int64 [n], consecutive from 0; -1 for faces that are left out.
        weights: float32 [n], how much each face counts.
        seed: Seed of what is drawn.
    """
    count = int(labels.max(initial=-1)) + 1
    part, found, features = _parted(embeddings, labels, weights)
    probability = np.zeros(count)
    if count < 2 or not len(found):
        return Mixtures(probability, part)
    joined = _joined(embeddings, labels, weights, seed)
    made = np.concatenate([_told_apart(embeddings, labels, each, weights) for each in joined] or [np.zeros((0, 5))])
    if not len(made):
        return Mixtures(probability, part)
    alone = (features[:, 1] > np.quantile(made[:, 1], STRANGERS)).astype(np.float64)
    two = _in_turns(features, alone, made)
    probability[found] = np.where(_coherent(embeddings, labels, part, weights)[found], two, 0)
    return Mixtures(probability, part)


def _coherent(embeddings: np.ndarray, labels: np.ndarray, part: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Bool [labels]: whether the faces in the middle of each part are alike; strays together are not.

    A part may have two people itself. Then the faces in the middle of each of its own two parts are alike.
    """
    count = int(labels.max()) + 1
    both = by_part(labels, part)
    least = strangers_cosine(embeddings, labels)
    one = _middle_cosine(embeddings, both, 2 * count) >= least
    unlike = np.where((both >= 0) & ~one[both], both, -1)
    finer = by_part(unlike, two_parts(embeddings, unlike, weights))
    two = (_middle_cosine(embeddings, finer, 4 * count) >= least).reshape(-1, 2).all(axis=1)
    return np.asarray((one | two).reshape(-1, 2).all(axis=1))


def _middle_cosine(embeddings: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Float64 [count]: the mean cosine within each group, -1 for one face; faces near its mode count most."""
    middle = FLOOR + (1 - FLOOR) * first_weights(embeddings, groups)
    return np.nan_to_num(GroupSums.of(embeddings, groups, middle, count).within, nan=-1.0)


def strangers_cosine(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """The cosine that all but `UNLIKE` of pairs of faces with different labels stay below."""
    rows = np.flatnonzero(labels >= 0)
    left, right = np.random.default_rng(0).choice(rows, (2, PAIRS))
    apart = labels[left] != labels[right]
    cosines = np.einsum("pd,pd->p", embeddings[left[apart]], embeddings[right[apart]])
    return float(np.quantile(cosines, 1 - UNLIKE)) if len(cosines) else 1.0


def _parted(
    embeddings: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The parts of the faces; the labels whose parts both have enough faces; and these parts' features."""
    count = int(labels.max(initial=-1)) + 1
    part = two_parts(embeddings, labels, weights)
    sizes = part_sizes(np.where(weights > 0.5, labels, -1), part, count)
    found = np.flatnonzero(sizes.min(axis=1) >= FEWEST)
    groups = GroupSums.of(embeddings, by_part(labels, part), weights, 2 * count)
    return part, found, groups.features(2 * found, 2 * found + 1)


def _told_apart(embeddings: np.ndarray, labels: np.ndarray, joined: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The features of joined labels whose two parts are, by and large, the two labels.

    Others say nothing about two people: one of them has too few faces to be parted off.
    """
    part, found, features = _parted(embeddings, joined, weights)
    first = np.full(int(joined.max()) + 1, -1)
    rows = np.flatnonzero(joined >= 0)
    first[joined[rows[::-1]]] = labels[rows[::-1]]
    left = labels[rows] == first[joined[rows]]
    shares = [
        np.bincount(joined[rows], side * part[rows], len(first))
        / np.maximum(np.bincount(joined[rows], side, len(first)), 1)
        for side in (left, ~left)
    ]
    return features[(np.abs(shares[0] - shares[1]) >= APART)[found]]


def _joined(embeddings: np.ndarray, labels: np.ndarray, weights: np.ndarray, seed: int) -> list[np.ndarray]:
    """Labels of `FEWEST` faces or more together: two that are alike, two drawn at random, three; int64 [n] each."""
    enough = np.bincount(labels[(labels >= 0) & (weights > 0.5)], minlength=int(labels.max(initial=-1)) + 1) >= FEWEST
    labels = np.append(np.where(enough, np.cumsum(enough) - 1, -1), -1)[labels]
    count = int(labels.max(initial=-1)) + 1
    if count < 2:
        return []
    order = np.random.default_rng(seed).permutation(count)
    centres = GroupSums.of(embeddings, labels, weights, count).centres
    ids, _ = nearest(centres, centres, 3)
    third = ids[:, min(2, count - 1)]
    mutual = np.flatnonzero((third[third] == np.arange(count)) & (third > np.arange(count)))
    alike = np.full(count, -1)
    alike[mutual] = alike[third[mutual]] = np.arange(len(mutual))
    numbers = [np.append(each, -1)[labels] for each in (_in_groups(order, 2), alike, _in_groups(order, 3))]
    return [consecutive(each) for each in numbers if np.any(each >= 0)]


def _in_groups(order: np.ndarray, size: int) -> np.ndarray:
    """Int64 [labels]: the group of each label if as many at a time are one, in this order; -1 for those left over."""
    groups = np.full(len(order), -1)
    whole = len(order) // size * size
    groups[order[:whole]] = np.arange(whole) // size
    return groups
