"""Embeddings as whole numbers of 8 bits, and their products: the same on every machine, for any number of threads."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

import numpy as np

LEVELS = 127
MOST_SCALE = 4000  # with unit rows, sums of products stay below 2^24, up to which float32 holds every whole number
CLIPPED = 1e-4
DEVIATIONS = 4


@dataclass(frozen=True)
class Quantiser:
    """Rounds unit rows to int8 codes.

    Attributes:
        scale: An embedding's number 1 / scale has the code 1.
        slack: A cosine and that of the codes differ by less, but for one or two pairs in a thousand.
    """

    scale: float
    slack: float

    @classmethod
    def of(cls, sample: np.ndarray) -> Quantiser:
        """For rows like these, float32 [n, d]: the largest numbers, one in ten thousand, are clipped.

        A product of two codes misses ``e_i . x_j + e_j . x_i``, with the rounding errors e. Over random directions its
        deviation is ``sqrt(2 / d)`` times the length of an error.
        """
        scale = min(LEVELS / max(float(np.quantile(np.abs(sample), 1 - CLIPPED)), 1e-6), MOST_SCALE)
        errors = sample - cls(scale, 0).encode(sample) / np.float32(scale)
        deviation = np.sqrt(np.mean(np.einsum("nd,nd->n", errors, errors)) * 2 / sample.shape[1])
        return cls(scale, float(DEVIATIONS * deviation))

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """Int8 [n, d] of float32 [n, d]."""
        return np.clip(np.rint(rows * np.float32(self.scale)), -LEVELS, LEVELS).astype(np.int8)

    def score(self, cosines: np.ndarray) -> np.ndarray:
        """Int32: the products of codes that stand for some cosines."""
        return np.floor(cosines * self.scale**2).astype(np.int32)


def products(queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Int32 [q, n]: products of codes, int8 [q, d] with int8 [n, d], by whichever kind of numbers is faster here.

    Both give the same: float32 adds whole numbers below 2^24 without rounding.
    """
    if int8_is_faster():
        return _int8_products(queries, rows)
    return _float_products(queries, rows)


@cache
def int8_is_faster() -> bool:
    """Whether this machine multiplies int8 matrices faster than float32 ones; a test of some milliseconds."""
    queries, rows = np.ones((256, 128), np.int8), np.ones((256, 128), np.int8)
    spent = []
    for work in (_int8_products, _float_products):
        work(queries[:8], rows[:8])
        started = time.perf_counter()
        work(queries, rows)
        spent.append(time.perf_counter() - started)
    return spent[0] < spent[1]


def _int8_products(queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    import torch  # takes a second and 0.4 GiB, which only the approximate graph needs

    found: np.ndarray = torch._int_mm(torch.from_numpy(queries), torch.from_numpy(rows).T).numpy()
    return found


def _float_products(queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.asarray(queries.astype(np.float32) @ rows.astype(np.float32).T, dtype=np.int32)
