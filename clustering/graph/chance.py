"""Which neighbours stand out from chance: those that fewer than one stranger is expected to match."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import betainc

from clustering.graph.blocks_on_disk import cached_json
from clustering.graph.builder import GraphBuilder
from clustering.graph.corpus_scale import levels_of_chance
from clustering.graph.exact import take

SAMPLED = 2048
LEAST_SPREAD, MOST_LOCATION = 1e-3, 0.999
EXPECTED = 1.0
"""A neighbour stands out if fewer strangers than this, among all faces, are expected to be as similar."""


class Chance(NamedTuple):
    """How alike strangers are, and how many there are.

    Attributes:
        faces: Readable ones.
        location: Typical cosine of two strangers.
        spread: Standard deviation of such cosines.
    """

    faces: int
    location: float
    spread: float

    @classmethod
    def of(cls, sample: np.ndarray, faces: int) -> Chance:
        """Measured on all pairs of some of the faces, float32 [m, d]; see `levels_of_chance`."""
        _, _, location, spread = levels_of_chance(sample)
        return cls(faces, min(location, MOST_LOCATION), max(spread, LEAST_SPREAD))

    def expected(self, cosines: np.ndarray) -> np.ndarray:
        """Float64: how many strangers are as alike as this, on average.

        Strangers count as random directions in D dimensions, whose cosines have the deviation ``1 / sqrt(D)``. A share
        of ``I(1 - c^2; (D - 1) / 2, 1 / 2) / 2`` of them has a cosine of c > 0 or more, with the regularised incomplete
        beta function I (Li 2011, equation 3). First c becomes ``(c - location) / (1 - location)``, and the spread is
        divided by ``1 - location``.

        Args:
            cosines: With a face.
        """
        dimensions = max(((1 - self.location) / self.spread) ** 2, 2.0)
        above = np.clip((cosines.astype(np.float64) - self.location) / (1 - self.location), 0, 1)
        return np.asarray(self.faces * betainc((dimensions - 1) / 2, 0.5, 1 - above**2) / 2)

    def stands_out(self, cosines: np.ndarray) -> np.ndarray:
        """Bool: whether fewer than `EXPECTED` strangers are expected to be as alike."""
        return np.asarray(self.expected(cosines) < EXPECTED)


def chance_of(builder: GraphBuilder) -> Chance:
    """Measured on some of the graph's faces, once: the result is kept on disk."""

    def measure() -> Chance:
        return Chance.of(take(builder.embeddings, builder.sample(builder.seed)[:SAMPLED]), len(builder.readable))

    return Chance(*cached_json(builder.steps / "chance.json", measure))
