"""FC-ES: edge probabilities from common neighbours, lists that stop early, and Infomap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from arena.rivals.neighborhoods import products_at, sparse, with_self
from clustering.backends.communities import optional
from clustering.backends.infomap import modules
from clustering.clusterer import Clusterer
from clustering.graph.knn_graph import KnnGraph
from clustering.result import Clustering
from clustering.settings import Neighbors, PositiveFloat, Range, Share

SEED = 100


@dataclass(eq=False)
class FcEs(Clusterer):
    """FC-ES (Liu, "Face Clustering via Early Stopping and Edge Recall", 2024, arXiv 2408.13431), without labels.

    A face's list is followed in order of cosine up to the first neighbour whose edge probability is below `theta`.
    Infomap, directed, takes the links before it, weighted by probability. Defaults are the paper's for MS1M.

    Attributes:
        theta: Least edge probability, see `edge_probability`.
        k: Faces of a list, the face itself counted.
        tau: Scale of squared distances.
    """

    name: ClassVar[str] = "fc_es"
    search_space: ClassVar[Mapping[str, Range]] = {"theta": (0.05, 0.7), "k": [10, 20, 40, 80]}

    theta: Share = 0.22
    k: Neighbors = 80
    tau: PositiveFloat = 0.5

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph."""
        neighbors, cosines = with_self(graph, self.k)
        probability = edge_probability(neighbors, cosines, self.tau)
        probability[:, 0] = 1
        kept = np.logical_and.accumulate(probability >= self.theta, axis=1) & (cosines > 0)
        kept[:, 0] = False
        rows, places = np.nonzero(kept)
        links = np.stack([rows, neighbors[rows, places], np.minimum(probability[rows, places], 1)], axis=1)
        library = optional("infomap", "communities")
        return Clustering.of(modules(library, len(graph), links, SEED, directed=True))


def edge_probability(neighbors: np.ndarray, cosines: np.ndarray, tau: float) -> np.ndarray:
    """The neighbour-based edge probability of every entry of the lists, float64 [n, k] in [0, 1].

    p_ih = exp(-(2 - 2 a_ih) / tau) / sum over h of N_i, and P_ij = 1/2 sum over h in N_i and N_j of (p_ih + p_jh).

    Args:
        neighbors: int64 [n, k], N_i, the face itself first.
        cosines: float64 [n, k], a_ih; 0 for entries that are missing.
        tau: Scale.
    """
    present = cosines > 0
    p = np.where(present, np.exp((2 * cosines - 2) / tau), 0)
    p /= p.sum(axis=1, keepdims=True)
    inside, shares = sparse(neighbors, present.astype(np.float64)), sparse(neighbors, p)
    own = products_at(shares, inside.T.tocsr(), neighbors)
    others = products_at(inside, shares.T.tocsr(), neighbors)
    return np.where(present, (own + others) / 2, 0)
