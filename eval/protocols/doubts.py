"""What is odd about a list of comparisons or their scores, and makes figures say something else than they seem to."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from facerec.pipeline.complaint import printable
from facerec.pipeline.counts import counted

logger = logging.getLogger(__name__)


def say_repeated_pairs(where: Callable[[int], str], first: np.ndarray, second: np.ndarray) -> None:
    """Says how many pairs are in a list before, whichever side comes first, and how many compare something with itself.

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


def say_all_equal(lowest: float, highest: float, count: int, source: object) -> None:
    """Says if all comparisons have one score, so that nothing tells anyone apart.

    Args:
        lowest: Of the scores.
        highest: Of the scores.
        count: How many they are.
        source: The embeddings, for the message.
    """
    if count > 1 and highest - lowest < 1e-6:
        logger.warning(
            "%s: all %d comparisons score %.6f: the embeddings are all alike; check the recogniser and its input",
            printable(str(source)), count, highest,
        )  # fmt: skip
