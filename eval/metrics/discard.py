"""Error versus discard: the FNMR at one threshold when the genuine pairs of lowest quality are left out.

    quality of a pair = the lower of its two
    EDC(r) = FNMR of the pairs with quality >= q, at the largest q for which the share of pairs below it is at most r

Source: Grother and Tabassi 2007, "Performance of biometric quality measures"; the areas as Schlett et al. 2023 advise.
Pairs of equal quality stay or go together. Between shares that can be left out the curve is a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facerec.pipeline.files import InputError
from facerec.pipeline.values import as_array


@dataclass(frozen=True)
class DiscardCurve:
    """The steps of the curve; arrays of [q], for the q distinct qualities in rising order.

    Attributes:
        share: float64, the share of pairs that is left out below each quality; rising, the first is 0.
        error: float64, the FNMR of the rest.
        quality: The lowest quality that is left.
    """

    share: np.ndarray
    error: np.ndarray
    quality: np.ndarray

    def at(self, share: float) -> float:
        """EDC at a share in [0, 1]."""
        return float(self.along(np.array([share]))[0])

    def along(self, shares: np.ndarray) -> np.ndarray:
        """EDC at shares [n]."""
        return self.error[np.searchsorted(self.share, shares, side="right") - 1]

    def mean(self, highest: float) -> float:
        """The area under the curve from 0 to `highest`, over its width: a mean FNMR."""
        ends = np.minimum(np.append(self.share[1:], 1.0), highest)
        return float(np.sum(self.error * np.maximum(ends - np.minimum(self.share, highest), 0)) / highest)


def error_discard(failed: np.ndarray, quality: np.ndarray) -> DiscardCurve:
    """The curve of genuine pairs.

    Args:
        failed: bool [g], the pairs that score below the threshold.
        quality: float [g], of each pair, finite.

    Raises:
        InputError: No pair, other shapes or types, or a quality that is NaN or infinite.

    Example:
        >>> curve = error_discard(np.array([True, False, True, False]), np.array([1, 3, 2, 4]))
        >>> curve.at(0), curve.at(.3), curve.at(.5), curve.mean(.5)
        (0.5, 0.3333333333333333, 0.0, 0.41666666666666663)
    """
    failed, quality = as_array("failed", failed), as_array("quality", quality)
    if failed.ndim != 1 or failed.shape != quality.shape or not len(failed) or not np.isfinite(quality).all():
        shapes = f"failed {list(failed.shape)}, quality {list(quality.shape)}"
        raise InputError(f"{shapes}; expected one of each for every pair, and finite qualities")
    if failed.dtype.kind != "b":
        raise InputError(f"failed: {failed.dtype}; expected bool, whether each pair scores below the threshold")
    values, inverse = np.unique(quality, return_inverse=True)
    pairs, failures = np.bincount(inverse), np.bincount(inverse, weights=failed)
    below = np.cumsum(pairs) - pairs
    left = np.cumsum(failures[::-1])[::-1]
    return DiscardCurve(below / len(failed), left / (len(failed) - below), values)


def perfect_discard(failed: np.ndarray) -> DiscardCurve:
    """The curve of a quality that leaves out all failures first."""
    return error_discard(np.sort(failed)[::-1], np.arange(len(failed)))
