"""Cosines of pairs of templates: the scores of 1:1 verification."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eval.metrics.templates import unit
from facerec.pipeline.files import InputError, row_blocks
from facerec.pipeline.values import as_labels

ROWS_PER_BLOCK = 512
PAIRS_PER_BLOCK = 1 << 16
CELLS_AT_ONCE = 1 << 27
SHIFT = 3.0 * (1 << 11)
"""Doubles near it are multiples of 2^-40. So adding it to a cosine, and subtracting it again, rounds to such one."""


@dataclass(frozen=True)
class PairScores:
    """The 1:1 comparisons.

    Attributes:
        genuine: float32, in rising order.
        impostor: float32, in rising order.
        pairs: float32 [p], all scores in the order of the pairs.
        is_genuine: bool [p].
    """

    genuine: np.ndarray
    impostor: np.ndarray
    pairs: np.ndarray
    is_genuine: np.ndarray

    @classmethod
    def of(cls, pairs: np.ndarray, is_genuine: np.ndarray) -> PairScores:
        """Sorts both kinds."""
        return cls(np.sort(pairs[is_genuine]), np.sort(pairs[~is_genuine]), pairs, is_genuine)


def pair_scores(features: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of each pair of templates, float32 [p].

    Products of blocks of rows with all columns that they meet. In double precision, then `rounded`: so equal faces get
    equal scores wherever they stand in a matrix, and ties are ties.

    Args:
        features: float64 [t, d], unit or zero rows.
        first: int [p], positions in `features`.
        second: int [p].

    Raises:
        InputError: See `positions`.
    """
    first, second = positions(first, second, len(features))
    rows, columns = _sides(first, second, len(features))
    named, met = _distinct(rows, len(features)), _distinct(columns, len(features))
    rank = np.zeros(len(features), dtype=np.int32)
    rank[named] = np.arange(len(named))
    if len(named) * len(met) <= CELLS_AT_ONCE:
        column = np.zeros(len(features), dtype=np.int32)
        column[met] = np.arange(len(met))
        return _products(features, named, met)[rank[rows], column[columns]]
    return _scores_by_block(features, rows, columns, named, rank)


def row_cosines(embeddings: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of each pair of rows, float32 [p], computed in double precision; for few pairs of many rows.

    Raises:
        InputError: See `positions`.
    """
    first, second = positions(first, second, len(embeddings))
    one, two = (unit(embeddings[side].astype(np.float64)) for side in (first, second))
    return rounded(np.einsum("pd,pd->p", one, two))


def rounded(cosines: np.ndarray) -> np.ndarray:
    """Cosines as scores: rounded to a multiple of 2^-40, then to float32.

    Float32 alone would keep what double precision gets wrong near 0. There 0 comes out as 1e-17 or as -1e-17, as the
    order of a sum has it, and ties would not be ties.

    Example:
        >>> rounded(np.array([1e-17, -1e-17, 0.25])).tolist()
        [0.0, 0.0, 0.25]
    """
    shifted = np.add(cosines, SHIFT, dtype=np.float64)
    scores = np.empty(shifted.shape, np.float32)
    return np.subtract(shifted, SHIFT, out=scores, dtype=np.float64, casting="same_kind")


def positions(first: np.ndarray, second: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Both sides of pairs, int64 [p] each.

    Raises:
        InputError: Other types or lengths, or one that is not from 0 to `count` - 1.
    """
    first = as_labels("first of pairs", first)
    second = as_labels("second of pairs", second, len(first))
    for name, side in (("first", first), ("second", second)):
        if len(side) and not 0 <= side.min() <= side.max() < count:
            wrong = int(np.argmax((side < 0) | (side >= count)))
            raise InputError(f"{name} of pair {wrong} is row {side[wrong]}; expected one from 0 to {count - 1}")
    return first, second


def double_cosines(features: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of each pair of templates, float64 [p], not rounded: the widely used scripts compare such scores."""
    scores = np.empty(len(first))
    for block in row_blocks(len(first), PAIRS_PER_BLOCK):
        scores[block] = np.einsum("pd,pd->p", features[first[block]], features[second[block]])
    return scores


def _scores_by_block(
    features: np.ndarray, rows: np.ndarray, columns: np.ndarray, named: np.ndarray, rank: np.ndarray
) -> np.ndarray:
    """The same where the pairs are few among many templates: each block of rows with the columns that it meets."""
    block = rank[rows] // ROWS_PER_BLOCK
    order = np.argsort(block.astype(np.uint16) if block.max(initial=0) < 2**16 else block, kind="stable")
    ends = np.cumsum(np.bincount(block))
    scores = np.empty(len(rows), dtype=np.float32)
    column = np.empty(len(features), dtype=np.int32)
    for index, (start, end) in enumerate(zip(np.r_[0, ends[:-1]], ends, strict=True)):
        pairs = order[start:end]
        met = _distinct(columns[pairs], len(features))
        column[met] = np.arange(len(met))
        top = index * ROWS_PER_BLOCK
        products = _products(features, named[top : top + ROWS_PER_BLOCK], met)
        scores[pairs] = products[rank[rows[pairs]] - top, column[columns[pairs]]]
    return scores


def _products(features: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """All products of some templates with others, float32 [rows, columns], computed in double precision."""
    right = features[columns].T
    products = np.empty((len(rows), len(columns)), dtype=np.float32)
    for some in row_blocks(len(rows), ROWS_PER_BLOCK):
        products[some] = rounded(features[rows[some]] @ right)
    return products


def _sides(first: np.ndarray, second: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs as rows and columns of a product: the lower position first, or as they stand if that one is smaller.

    The side with fewer distinct templates becomes the rows. Swapping first and second changes nothing.
    """
    low, high = np.minimum(first, second), np.maximum(first, second)
    sizes = [len(_distinct(side, count)) for side in (first, second, low, high)]
    if sizes[2] * sizes[3] <= sizes[0] * sizes[1]:
        return low, high
    return (first, second) if sizes[0] < sizes[1] else (second, first) if sizes[1] < sizes[0] else (low, high)


def _distinct(values: np.ndarray, limit: int) -> np.ndarray:
    seen = np.zeros(limit, dtype=bool)
    seen[values] = True
    return np.flatnonzero(seen)
