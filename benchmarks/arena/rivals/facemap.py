"""FaceMap, also called Adapt-InfoMap: each list is cut at its outlying step, then Infomap clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from arena.rivals.neighborhoods import with_self
from clustering.backends.communities import optional
from clustering.backends.infomap import modules
from clustering.clusterer import Clusterer
from clustering.graph.knn_graph import KnnGraph
from clustering.result import Clustering
from clustering.settings import Count, Neighbors, Range

LEAST_SPREAD = 1e-12
SEED = 100


@dataclass(eq=False)
class FaceMap(Clusterer):
    """FaceMap (Yu et al., 2022, arXiv 2203.10090): an outlier test adapts each face's transition probabilities.

    Defaults are those of the authors for MS1M. Corpora with fewer than `k` faces have shorter lists.

    Attributes:
        k: Faces of a list, the face itself counted.
        window: Number of steps of a list that are tested together.
    """

    name: ClassVar[str] = "facemap"
    search_space: ClassVar[Mapping[str, Range]] = {"window": [1, 2, 3, 5, 10, 20], "k": [10, 20, 40, 80, 160]}

    k: Neighbors = 256
    window: Count = 20

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph."""
        neighbors, cosines = with_self(graph, self.k)
        p = cosines / cosines.sum(axis=1, keepdims=True)
        last = cut(p[:, :-1] - p[:, 1:], self.window)
        kept = (np.arange(p.shape[1]) <= last[:, None]) & (cosines > 0)
        kept[:, 0] = False
        rows, places = np.nonzero(kept)
        links = np.stack([rows, neighbors[rows, places], p[rows, places]], axis=1)
        return Clustering.of(modules(optional("infomap", "communities"), len(graph), links, SEED))


def cut(steps: np.ndarray, window: int) -> np.ndarray:
    """Int64 [n]: the last place of each list that is kept.

    A window of w steps from j on is compared with all steps from j on: z = |mean of the window - mean| / deviation.
    The list is cut at j + (w + 1) // 2 of the greatest z, the earliest of equal ones.

    Args:
        steps: float64 [n, k - 1], how much the ranked transition probabilities fall from one place to the next.
        window: w; less where the lists are shorter.
    """
    length = steps.shape[1]
    window = min(window, length)
    starts = np.arange(length - window + 1)
    counts = length - starts
    summed = np.pad(np.cumsum(steps, axis=1), ((0, 0), (1, 0)))
    squares = np.cumsum((steps**2)[:, ::-1], axis=1)[:, ::-1][:, starts]
    tested = (summed[:, starts + window] - summed[:, starts]) / window
    mean = (summed[:, -1:] - summed[:, starts]) / counts
    spread = np.sqrt(np.maximum(squares / counts - mean**2, 0))
    z = np.where(spread > LEAST_SPREAD, np.abs(tested - mean) / np.maximum(spread, LEAST_SPREAD), 0)
    return starts[z.argmax(axis=1)] + (window + 1) // 2
