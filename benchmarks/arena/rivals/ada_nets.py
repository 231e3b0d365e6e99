"""Ada-NETS's structure space without its networks: lists compared as sets, and components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_array

from arena.rivals.neighborhoods import products_at, sparse, with_self
from clustering.clusterer import Clusterer
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import components
from clustering.result import Clustering
from clustering.settings import Neighbors, Range, Share

AGREEMENT = 2 / 3


@dataclass(eq=False)
class StructureSpace(Clusterer):
    """The adjacency of Ada-NETS (Wang et al., ICLR 2022, arXiv 2202.03800), cleaned without its two networks.

    Similarity of a listed pair: (1 - eta) J + eta a, with their cosine a and the Jaccard similarity J of their expanded
    k-reciprocal neighbourhoods. Pairs at `min_similarity` or above share a cluster. The paper's adaptive filter and its
    graph network are trained and have no public weights for other recognisers; the threshold replaces both.

    Attributes:
        min_similarity: Least similarity of a pair; no published value.
        k: Faces of a list, the face itself counted.
        eta: Weight of the cosine.
    """

    name: ClassVar[str] = "structure_space"
    search_space: ClassVar[Mapping[str, Range]] = {"min_similarity": (0.1, 0.8), "k": [10, 20, 40, 80]}

    min_similarity: Share = 0.5
    k: Neighbors = 80
    eta: Share = 0.3

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph."""
        neighbors, cosines = with_self(graph, self.k)
        both = (1 - self.eta) * structural(neighbors, cosines > 0) + self.eta * cosines
        rows, places = np.nonzero((cosines > 0) & (both >= self.min_similarity))
        return Clustering.of(components(len(graph), rows, neighbors[rows, places]))


def structural(neighbors: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Float64 [n, k]: the Jaccard similarity of R*(i) and R*(j) of each listed pair (Zhong et al. 2017, eq. 4-6)."""
    expanded = expanded_reciprocal(neighbors, present)
    sizes = np.asarray(expanded.sum(axis=1)).ravel()
    common = products_at(expanded, expanded.T.tocsr(), neighbors)
    return common / (sizes[:, None] + sizes[neighbors] - common)


def expanded_reciprocal(neighbors: np.ndarray, present: np.ndarray) -> csr_array:
    """R*(i) as a matrix of ones [n, n]: R(i), and R'(j) of those j in R(i) of which two thirds lie in R(i).

    R(i) are the faces of i's list that list i, too; R'(j) is the same of lists of half the length.
    """
    whole, half = reciprocal(neighbors, present), reciprocal(*(part[:, : neighbors.shape[1] // 2 or 1] for part in
                                                              (neighbors, present)))  # fmt: skip
    common = whole @ half.T.tocsr()
    sizes = np.asarray(half.sum(axis=1)).ravel()
    pairs = whole.multiply(common).tocoo()
    agree = pairs.data >= AGREEMENT * sizes[pairs.col]
    chosen = csr_array((np.ones(np.count_nonzero(agree)), (pairs.row[agree], pairs.col[agree])), shape=whole.shape)
    expanded = (whole + chosen @ half).tocsr()
    expanded.data[:] = 1
    return expanded


def reciprocal(neighbors: np.ndarray, present: np.ndarray) -> csr_array:
    """A matrix of ones [n, n] where both faces list each other; each face lists itself."""
    listed = sparse(neighbors, present.astype(np.float64))
    return listed.multiply(listed.T.tocsr()).tocsr()
