"""Graclus: multilevel weighted kernel K-means for the normalised cut of the kNN graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix
from typing_extensions import Self

from clustering.clusterer import Clusterer
from clustering.graph.edges import Edges
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.partition import components
from clustering.result import Clustering
from clustering.settings import Neighbors, Range, Share, Within

TINY = 1e-30


@dataclass(eq=False)
class Graclus(Clusterer):
    """Graclus (Dhillon, Guan and Kulis, TPAMI 2007), the variant for the normalised cut.

    Coarsening: nodes are matched with the neighbour of the heaviest edge, ``w_ij (1 / d_i + 1 / d_j)``, all mutual best
    pairs at once. This ends when there are as many nodes as clusters are wanted. These nodes are the first clusters.

    Refinement: on the way back to the faces, nodes move to the nearest neighbouring cluster, many at once, as long as
    the normalised cut falls. The distance is that of the kernel whose K-means objective is the normalised cut.

    The paper starts from spectral or region-growing clusters of a graph with a few nodes per cluster, and also moves
    nodes along chains. This implementation does neither.

    The number of clusters is ``n / faces_per_cluster``, but at least the number of connected components. `learn`
    measures `faces_per_cluster`.

    Attributes:
        faces_per_cluster: Mean faces per cluster, >= 1.
        min_similarity: Edges below it are left out.
        k: Neighbours per face.
        sweeps: Largest number of refinement sweeps per level.
    """

    name: ClassVar[str] = "graclus"
    search_space: ClassVar[Mapping[str, Range]] = {"min_similarity": (0.1, 0.8), "k": [5, 10, 20]}

    faces_per_cluster: Annotated[float, Within(1)] = 20.0
    min_similarity: Share = 0.3
    k: Neighbors = 10
    sweeps: Annotated[int, Within(0)] = 10

    @classmethod
    def _learn(cls, faces: LabelledFaces, seed: int, settings: Mapping[str, Any]) -> Self:
        return super()._learn(faces, seed, {"faces_per_cluster": faces.per_identity, **settings})

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; a face without an edge is a cluster of its own."""
        edges = Edges.of(graph.narrowed(self.k), least=max(self.min_similarity, TINY))
        weights = edges.adjacency(len(graph), edges.similarity.astype(np.float64))
        labels, rows = np.full(len(graph), -1), np.flatnonzero(graph.readable)
        wanted = max(round(len(rows) / self.faces_per_cluster), 1)
        labels[rows] = multilevel(weights[rows][:, rows], wanted, self.sweeps)
        return Clustering.of(labels)


def multilevel(weights: csr_matrix, clusters: int, sweeps: int) -> np.ndarray:
    """Clusters of a graph by coarsening and refinement.

    Args:
        weights: Sparse [n, n], symmetric, positive, without a diagonal.
        clusters: How many clusters are wanted. A graph with more components gets more.
        sweeps: Largest number of refinement sweeps per level.

    Returns:
        int64 [n].
    """
    levels, maps = [weights], []
    while levels[-1].shape[0] > clusters:
        groups = match(levels[-1], levels[-1].shape[0] - clusters)
        if groups.max() + 1 == levels[-1].shape[0]:
            break
        maps.append(groups)
        levels.append(coarsened(levels[-1], groups))
    labels = np.arange(levels[-1].shape[0])
    for level, groups in zip(levels[-2::-1], maps[::-1], strict=True):
        labels = refine(level, labels[groups], sweeps)
    return labels


def match(weights: csr_matrix, most: int) -> np.ndarray:
    """Int64 [n]: the group of each node. Two nodes that are each other's best share a group, for the `most` best pairs.

    The diagonal has the weight within each node. It is not an edge, but counts in the degree.
    """
    edges = weights.tocoo()
    outer = edges.row != edges.col
    i, j = edges.row[outer], edges.col[outer]
    inverse = 1 / np.maximum(degrees(weights), TINY)
    value = edges.data[outer] * (inverse[i] + inverse[j])
    order = np.lexsort((j, -value, i))
    nodes, first = np.unique(i[order], return_index=True)
    best, strength = np.full(weights.shape[0], -1), np.zeros(weights.shape[0])
    best[nodes], strength[nodes] = j[order][first], value[order][first]
    pairs = np.flatnonzero((best >= 0) & (best[best] == np.arange(len(best))) & (best > np.arange(len(best))))
    if not len(pairs) and len(nodes):
        pairs = np.array([strength.argmax()])
    pairs = pairs[np.argsort(-strength[pairs], kind="stable")[:most]]
    return components(weights.shape[0], pairs, best[pairs])


def degrees(weights: csr_matrix) -> np.ndarray:
    """Float64 [n]: sums of rows."""
    return np.asarray(weights.sum(axis=1)).ravel()


def indicator(labels: np.ndarray) -> csr_matrix:
    """Sparse [n, clusters]: 1 where a node is in a cluster."""
    return csr_matrix((np.ones(len(labels)), (np.arange(len(labels)), labels)))


def coarsened(weights: csr_matrix, groups: np.ndarray) -> csr_matrix:
    """The graph of groups: the sums of weights between them, and on the diagonal those within them."""
    members = indicator(groups)
    return (members.T @ weights @ members).tocsr()


def normalized_cut(weights: csr_matrix, labels: np.ndarray) -> float:
    """``sum_c links(c, rest) / degree(c)``. A cluster without edges adds 0."""
    members = indicator(labels)
    degree = members.T @ degrees(weights)
    within = (members.T @ weights @ members).diagonal()
    return float(np.sum((degree - within) / np.maximum(degree, TINY)))


def refine(weights: csr_matrix, labels: np.ndarray, sweeps: int) -> np.ndarray:
    """Moves nodes as long as the normalised cut falls; no cluster is emptied.

    Nodes that move at once may undo each other's gain. Then only the half that gains most moves, and so on.
    """
    cut, share = normalized_cut(weights, labels), 1.0
    for _ in range(sweeps):
        target, gain = nearest_clusters(weights, labels)
        movers = np.flatnonzero(target != labels)
        movers = movers[np.argsort(-gain[movers], kind="stable")][: int(np.ceil(share * len(movers)))]
        moved = labels.copy()
        moved[movers] = target[movers]
        while len(lost := np.setdiff1d(labels, moved)):
            moved = np.where(np.isin(labels, lost), labels, moved)
        value = normalized_cut(weights, moved)
        if value < cut - 1e-9:
            labels, cut = moved, value
        else:
            share /= 2
        if not len(movers):
            break
    return labels


def nearest_clusters(weights: csr_matrix, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of the clusters that a node has edges to, its own among them.

    Equation 4 of the paper, with table 2's weights d_i for the normalised cut and the kernel ``K = D^-1 W D^-1``. The
    squared distance of node i to the mean of cluster c is, up to terms of i alone:

        links(c, c) / degree(c)^2 - 2 links(i, c) / (d_i degree(c))

    Returns:
        int64 [n], and float64 [n]: how much nearer it is than the own cluster, times the node's weight.
    """
    members = indicator(labels)
    degree = degrees(weights)
    cluster_degree = np.maximum(members.T @ degree, TINY)
    within = (members.T @ weights @ members).diagonal()
    links = (weights @ members + members * TINY).tocoo()  # so that a node without an edge into its own cluster has one
    i, c = links.row, links.col
    distance = within[c] / cluster_degree[c] ** 2 - 2 * links.data / np.maximum(degree[i], TINY) / cluster_degree[c]
    order = np.lexsort((c != labels[i], distance, i))
    nodes, first = np.unique(i[order], return_index=True)
    nearest, gain = labels.copy(), np.zeros(len(labels))
    nearest[nodes] = c[order][first]
    own = np.flatnonzero(c == labels[i])
    gain[i[own]] = distance[own]
    gain[nodes] -= distance[order][first]
    return nearest, gain * degree
