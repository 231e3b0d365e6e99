"""Warnings about lists of comparisons, or their scores, that make figures misleading."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from eval.metrics.fnmr import LEAST_AUC
from facerec.pipeline.complaint import printable
from facerec.pipeline.counts import counted

logger = logging.getLogger(__name__)


def say_repeated_pairs(where: Callable[[int], str], first: np.ndarray, second: np.ndarray) -> None:
    """Warns of pairs that a list has several times, in either order, and of pairs of something with itself.

    Args:
        where: Row to the words that name its line.
        first: int [p], what is compared, from 0.
        second: int [p].
    """
    low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second)
    keys = low * (int(high.max(initial=0)) + 1) + high
    ordered = np.sort(keys)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if repeated.size:
        rows = np.flatnonzero(np.isin(keys, repeated))
        again = int(rows[np.flatnonzero(keys[rows] == keys[rows[0]])[1]])
        logger.warning(
            "%s: this pair stands there before (%s); each line counts, so remove the repeated ones",
            printable(where(again)), counted(len(rows) - len(repeated), "such line"),
        )  # fmt: skip
    own = np.flatnonzero(low == high)
    if own.size:
        logger.warning(
            "%s: compares something with itself (%s), which any recogniser matches; remove them",
            printable(where(int(own[0]))), counted(len(own), "such line"),
        )  # fmt: skip


def say_unreadable(source: object, number: int, total: str, what: str) -> None:
    """Warns of faces that could not be read, or of templates without any that could.

    Args:
        source: The embeddings, for the message.
        number: How many there are.
        total: Of how many, in words.
        what: What is wrong with them, and how they are counted then.
    """
    if number:
        logger.warning("%s: %s of %s %s", printable(str(source)), f"{number:,}", total, what)


def say_all_equal(lowest: float, highest: float, count: int, source: object) -> None:
    """Warns if all comparisons have the same score.

    Args:
        lowest: Lowest score.
        highest: Highest score.
        count: Number of comparisons.
        source: The embeddings, for the message.
    """
    if count > 1 and highest - lowest < 1e-6:
        logger.warning(
            "%s: all %d comparisons score %.6f: the embeddings are all alike; check the recogniser and its input",
            printable(str(source)), count, highest,
        )  # fmt: skip


def say_chance(auc: float, source: object) -> None:
    """Warns if genuine pairs score hardly higher than impostor pairs.

    Args:
        auc: Area under the ROC.
        source: The embeddings, for the message.
    """
    if auc < LEAST_AUC:
        logger.warning(
            "%s: genuine pairs score hardly higher than impostor pairs (AUC %.3f); check that the embeddings are in "
            "the order of the faces, and that 1 marks genuine pairs", printable(str(source)), auc,
        )  # fmt: skip


def say_copies(number: int, source: object) -> None:
    """Warns of genuine pairs that are copies of one picture.

    Args:
        number: How many genuine pairs have a cosine of 1.
        source: The embeddings, for the message.
    """
    if number:
        logger.warning(
            "%s: %s with a cosine of 1, as copies of one picture have; they make the figures too good, so keep one",
            printable(str(source)), counted(number, "genuine pair"),
        )  # fmt: skip
