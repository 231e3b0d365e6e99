"""Drops the unlabelled faces of labelled people, merges them into the labelled classes, or keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from clustering.graph.constraints import Constraints
from clustering.partition import consecutive
from clustering.pseudolabels.labelled_people import Overlap
from clustering.pseudolabels.rules import record

ACTIONS: Mapping[str, str] = {"drop": "drops", "merge": "moves to the labelled class", "keep": "keeps"}


def agreeing(found: Overlap, labels: np.ndarray, known: Constraints, dropped: np.ndarray) -> Overlap:
    """The labelled people that were found, in agreement with what a person said about the faces.

    - Faces of the same person are all of one labelled person if at least half of them were found as that person.
      Otherwise none is.
    - Of two faces that are different people only the one of the higher score is of a labelled person. The other one's
      cluster is not.
    - A face that is not to be used is of nobody.

    Args:
        found: The people that were found.
        labels: int64 [n], clusters; -1 for unassigned.
        known: What the person said about pairs of faces.
        dropped: Bool [n], faces that are not to be used.
    """
    rows = known.linked
    group, person = known.person[rows], found.person[rows]
    cells, votes = np.unique(np.stack([group, person])[:, person >= 0], axis=1, return_counts=True)
    sizes = np.bincount(group, minlength=1)
    elected = np.full(len(sizes), -1)
    enough = np.flatnonzero(2 * votes >= sizes[cells[0]])
    elected[cells[0, enough]] = cells[1, enough]  # of two halves the last one
    settled = found.person.copy()
    settled[rows] = elected[group]
    one, other = known.apart.T
    for pair in known.apart[(settled[one] == settled[other]) & (settled[one] >= 0)]:
        if settled[pair[0]] != settled[pair[1]]:
            continue  # another pair has changed one of them
        lower = pair[np.argmin(found.score[pair])]
        mates = labels == labels[lower] if labels[lower] >= 0 else np.arange(len(labels)) == lower
        settled[mates & (settled == settled[lower])] = -1
    settled[dropped] = -1
    return replace(found, person=settled)


def without_labelled_people(
    found: Overlap, labels: np.ndarray, action: str, truth: np.ndarray | None, decided: np.ndarray
) -> tuple[np.ndarray, dict[str, Any]]:
    """Labels without the faces of labelled people, unless these are kept; and its `record`."""
    after = labels if action == "keep" else consecutive(np.where(found.person >= 0, -1, labels))
    why = f"{ACTIONS[action]} faces of labelled people (score from {found.threshold:.3f} on)"
    dropped = decided & (action == "drop")  # others have a class
    return after, record("overlap", why, labels, after, truth, dropped)


def with_labelled_people(labels: np.ndarray, person: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Labels with one more class for each labelled person that was found.

    Args:
        labels: int64 [n], consecutive from 0; -1 for unassigned.
        person: int64 [n], labels of the people found, -1 for nobody; None if no one was looked for.

    Returns:
        int64 [n] labels; and int64 [classes], the label of the person that a class is the same as, or -1.
    """
    count = int(labels.max(initial=-1)) + 1
    if person is None:
        return labels, np.full(count, -1, dtype=np.int64)
    people, number = np.unique(person[person >= 0], return_inverse=True)
    labels = labels.copy()
    labels[person >= 0] = count + number
    return labels, np.concatenate([np.full(count, -1), people]).astype(np.int64)
