"""The scale of a corpus: how similar its recogniser finds faces of different people.

The same cosine means different things to different recognisers. With many, two strangers have a cosine near 0. With
others all faces share a direction, and two strangers have a cosine of 0.8. An affine map of the cosines brings both to
the same scale, and keeps the order of neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.embeddings import readable_rows, weighted_sums

SAMPLE, LARGE_SAMPLE = 512, 2048
ONE_DEVIATION, TWO_DEVIATIONS = 0.1587, 0.0228
"""Shares of a normal distribution that are more than one, or two, standard deviations below its mean."""
LEAST_SPREAD = 0.02
"""Least spread, so that nothing is divided by 0 if all faces are equal."""
USUAL = 0.034
"""Corrected cosine of two strangers."""
TOLERATED = 0.1
"""Highest cosine of two strangers at which nothing is corrected."""
MOST = 0.999  # cosine that all faces share, so that nothing is divided by 0
HIGHEST = 0.3
"""Highest location of a corpus that is not corrected."""
FEWEST, FEWEST_CORRECTED = 3, 50
"""Fewest faces that are measured, and fewest whose cosines are corrected."""
DISTINCT = 2.0
"""Deviations by which nearest neighbours of different people stand out, at least."""
TIED = 0.25
"""Rows with the same digits that are too many to go by their order, as a share of a sample."""
KEPT = "corpus_scale"


@dataclass(frozen=True)
class CorpusScale:
    """The cosines of different people in a corpus, and the correction that follows from them.

    Attributes:
        location: Typical cosine of two faces of different people.
        spread: Standard deviation of such cosines.
        common: Cosine that all faces share, c; 0 for most recognisers. The corrected cosine is ``(a - c) / (1 - c)``.
        alike: Whether all faces are so alike that they seem to be of one person.
    """

    location: float = 0.0
    spread: float = 0.1
    common: float = 0.0
    alike: bool = False

    @classmethod
    def of(cls, graph: KnnGraph) -> CorpusScale:
        """Measures a corpus on the pairs of some faces and on every face's nearest neighbour, once for each graph.

        Almost all pairs are of different people. So the location is the median, and the spread is the distance from
        the median to the quantile that is one standard deviation lower in a normal distribution. With few people,
        genuine pairs raise the median. So if two lower quantiles put strangers more than one standard deviation below
        the median, location and spread are computed from these quantiles instead.

        If strangers have a cosine of at most `TOLERATED`, nothing is corrected. Otherwise `LARGE_SAMPLE` faces are
        measured, and cosines are corrected so that strangers have a cosine of `USUAL`, as with the recognisers that the
        packaged Hi-LANDER was trained on.

        Faces of one person are alike, too, but their nearest neighbours stand out less. On real faces it is by 1.4
        standard deviations, and at most by 1.9 from 40 faces on. For 200 faces of different people it is by 2 to 7. If
        they stand out by less than `DISTINCT`, or if the corpus is very small, nothing is corrected.

        Args:
            graph: A graph of n faces.

        Returns:
            The scale; the default one if there are fewer than three faces.
        """
        kept = vars(graph)  # as a cached property is kept: all embeddings are read to measure one
        if KEPT not in kept:
            kept[KEPT] = cls._measured(graph)
        found: CorpusScale = kept[KEPT]
        return found

    @classmethod
    def _measured(cls, graph: KnnGraph) -> CorpusScale:
        faces = sample(graph.embeddings, SAMPLE)
        if len(faces) < FEWEST:
            return cls()
        location, lower, strangers, deviation = levels_of_chance(faces)
        if strangers <= TOLERATED:
            return cls(min(location, HIGHEST), max(location - lower, LEAST_SPREAD))
        location, lower, strangers, deviation = levels_of_chance(sample(graph.embeddings, LARGE_SAMPLE))
        nearest = graph.similarities[graph.valid[:, 0], 0]
        few = len(faces) < FEWEST_CORRECTED or not len(nearest)
        if few or np.median(nearest) - strangers < DISTINCT * deviation:
            return cls(min(location, HIGHEST), max(location - lower, LEAST_SPREAD), alike=True)
        common = min(max(strangers - USUAL, 0.0) / (1 - USUAL), MOST)
        return cls(location, max(location - lower, LEAST_SPREAD * (1 - common)), common)

    def corrected(self, cosines: np.ndarray) -> np.ndarray:
        """Corrects cosines: ``(a - c) / (1 - c)``, at least -1. They stay the same if ``common`` is 0."""
        if not self.common:
            return cosines
        found = (cosines - np.float32(self.common)) / np.float32(1 - self.common)
        return np.asarray(np.maximum(found, -1), dtype=np.float32)

    @property
    def usual(self) -> tuple[float, float]:
        """Location and spread of corrected cosines."""
        return (self.location - self.common) / (1 - self.common), self.spread / (1 - self.common)

    def cosine(self, corrected: float) -> float:
        """The cosine whose corrected value is given, the inverse of `corrected`."""
        return self.common + (1 - self.common) * corrected if self.common else corrected

    def correct(self, graph: KnnGraph) -> KnnGraph:
        """Returns the graph with corrected similarities; the same graph if ``common`` is 0."""
        if not self.common:
            return graph
        similarities = np.where(graph.valid, self.corrected(graph.similarities), 0)
        return KnnGraph(graph.embeddings, graph.neighbors, similarities)


def levels_of_chance(faces: np.ndarray) -> tuple[float, float, float, float]:
    """Location, the quantile one deviation lower, and location and deviation of strangers by the lower tail.

    Args:
        faces: float32 [m, d], at least two, unit rows.
    """
    cosines = (faces @ faces.T)[~np.tri(len(faces), dtype=bool)]  # of all pairs
    far, lower, median = (float(x) for x in np.quantile(cosines, [TWO_DEVIATIONS, ONE_DEVIATION, 0.5]))
    strangers, deviation = min(2 * lower - far, median), lower - far
    return strangers if median - strangers > deviation else median, lower, strangers, deviation


def sample(embeddings: np.ndarray, most: int) -> np.ndarray:
    """At most so many readable rows, chosen by digits of their own values: the same ones in any order of the rows.

    The digits are those of the first value. Many rows may have the same ones, for example if that unit of a network is
    dead. Then those of `weighted_sums` decide between them.
    """
    readable = np.flatnonzero(readable_rows(embeddings))
    digits = _digits(embeddings[:, 0])[readable]
    order = np.argsort(digits, kind="stable")
    most = min(most, len(order))
    if most and np.count_nonzero(digits == digits[order[most - 1]]) > TIED * most:
        order = np.lexsort((_digits(weighted_sums(embeddings))[readable], digits))
    return np.asarray(embeddings[readable[order[:most]]])


def _digits(values: np.ndarray) -> np.ndarray:
    return np.asarray(values.astype(np.float64) * 1e4 % 1)
