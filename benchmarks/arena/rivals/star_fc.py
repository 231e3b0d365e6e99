"""STAR-FC's graph parsing without its network: edges by cosine, pruned by node intimacy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from arena.rivals.neighborhoods import products_at, sparse, with_self
from clustering.clusterer import Clusterer
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import components
from clustering.result import Clustering
from clustering.settings import Neighbors, Range, Share


@dataclass(eq=False)
class StarFc(Clusterer):
    """The parsing of STAR-FC (Shen et al., CVPR 2021, arXiv 2103.13225), with cosines for its network's scores.

    Edges above `min_similarity` are kept. Node intimacy of an edge (i, j) is max(c / n_i, c / n_j) for c common
    neighbours of n_i and n_j. Edges with an intimacy above `intimacy` make the components. Its weights are for one
    recogniser of 256 dimensions and lie where this project cannot load them from, so the network is left out.

    Attributes:
        min_similarity: Cosine that an edge must exceed. The paper has .7 for its network's scores.
        intimacy: Node intimacy that an edge must exceed. The paper has .72.
        k: Faces of a list, the face itself counted.
    """

    name: ClassVar[str] = "star_fc"
    search_space: ClassVar[Mapping[str, Range]] = {
        "min_similarity": (0.2, 0.8), "intimacy": (0.0, 0.9), "k": [10, 20, 40, 80],
    }  # fmt: skip

    min_similarity: Share = 0.7
    intimacy: Share = 0.72
    k: Neighbors = 80

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph."""
        neighbors, cosines = with_self(graph, self.k)
        edges = cosines > self.min_similarity
        edges[:, 0] = False
        rows, places = np.nonzero(edges & (intimacy(neighbors, edges) > self.intimacy))
        return Clustering.of(components(len(graph), rows, neighbors[rows, places]))


def intimacy(neighbors: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Float64 [n, k]: node intimacy of every entry of the lists, by the directed edges bool [n, k]; 0 without edges."""
    linked = sparse(neighbors, edges.astype(np.float64))
    degree = edges.sum(axis=1)
    common = products_at(linked, linked, neighbors)
    fewest = np.minimum(degree[:, None], degree[neighbors])
    return np.where(fewest > 0, common / np.maximum(fewest, 1), 0)
