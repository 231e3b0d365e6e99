"""Drops the unlabelled faces of labelled people, merges them into the labelled classes, or keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clustering.partition import consecutive
from clustering.pseudolabels.labelled_people import Overlap
from clustering.pseudolabels.rules import record

ACTIONS: Mapping[str, str] = {"drop": "drops", "merge": "moves to the labelled class", "keep": "keeps"}


def without_labelled_people(
    found: Overlap, labels: np.ndarray, action: str, truth: np.ndarray | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Labels without the faces of labelled people, unless these are kept; and its `record`."""
    after = labels if action == "keep" else consecutive(np.where(found.person >= 0, -1, labels))
    why = f"{ACTIONS[action]} faces of labelled people (score from {found.threshold:.3f} on)"
    return after, record("overlap", why, labels, after, truth)


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
