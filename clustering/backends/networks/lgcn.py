"""L-GCN: a graph network judges the links of each face, on the graph of its neighbours and their neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from clustering.backends.networks.learned import (
    GraphNetwork,
    Network,
    SubgraphNetwork,
    Training,
    entropy,
    relative_features,
    row_normalized,
)
from clustering.backends.weights import default_device
from clustering.graph.edges import Edges
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.learning.optimisation import optimise
from clustering.learning.versions import versions
from clustering.partition import components
from clustering.result import Clustering
from clustering.settings import Count, Neighbors, Range, Share
from facerec.pipeline.files import blocks

LAYERS = 3
SECOND_HOP, LINKS = 2, 5
BATCH = 256
STEP = 0.05


@dataclass(frozen=True)
class PivotTraining(Training):
    """As `Training`.

    Attributes:
        faces: Pivots drawn at random from each version, at most, to bound the time. Set by hand.
    """

    faces: Count = 2048


class LinkNetwork(Network):
    """Estimates which neighbours of a pivot are of its identity.

    Args:
        dimension: Dimension of the embeddings.
        width: Width of the layers.
    """

    def __init__(self, dimension: int, width: int):
        super().__init__(dimension=dimension, width=width)
        self.edges = SubgraphNetwork(dimension + 1, width, LAYERS)

    @torch.inference_mode()
    def estimate(self, graph: KnnGraph) -> np.ndarray:
        """Float32 [n, k]: the estimated probability of every edge, 0 where there is none."""
        found = np.zeros(graph.neighbors.shape, dtype=np.float32)
        for rows in blocks(np.arange(len(graph)), BATCH):
            found[rows] = torch.sigmoid(self(graph, rows)).cpu().numpy()
        return np.where(graph.valid, found, 0)

    def forward(self, graph: KnnGraph, rows: np.ndarray) -> Tensor:
        """Logits, float32 [m, k], of the edges of some faces."""
        nodes = instance_nodes(graph, rows)
        features, adjacency = instance_graphs(graph, rows, nodes, self.device)
        return self.edges(features, adjacency)[:, 1 : graph.k + 1]


@dataclass(eq=False)
class Lgcn(GraphNetwork):
    """L-GCN (Wang et al., CVPR 2019), meta-trained on labelled faces.

    Each face is the pivot of a graph of its k neighbours and their neighbours, with all features relative to its own.
    A graph network estimates which of the k have its identity. Links at `p_tau` or above make clusters. As long as a
    cluster has more than `max_size` faces, it is cut at a threshold higher by `STEP` (the paper's pseudo label
    propagation). In contrast to the paper, the network also sees the cosine with the pivot, has fewer and narrower
    layers, and uses a plain mean instead of attention.

    Attributes:
        p_tau: Smallest estimated probability of a link.
        max_size: Larger clusters are cut further.
        k: Neighbours per face, the first hop.
    """

    name: ClassVar[str] = "lgcn"
    search_space: ClassVar[Mapping[str, Range]] = {"p_tau": (0.5, 0.95), "max_size": [100, 300, 1000]}
    network: ClassVar[type[Network]] = LinkNetwork
    training: ClassVar[type[Training]] = PivotTraining

    p_tau: Share = 0.8
    max_size: Count = 1000
    k: Neighbors = 20

    @classmethod
    def train(cls, faces: LabelledFaces, k: int, seed: int, training: PivotTraining) -> LinkNetwork:
        """Trains the network."""
        model = LinkNetwork(faces.embeddings.shape[1], training.width).to(default_device())
        train_links(model, faces, k, seed, training)
        return model

    def decide(self, graph: KnnGraph, estimate: np.ndarray) -> Clustering:
        """Cuts at the estimated probabilities of the edges, float32 [n, k]."""
        labels = propagated(len(graph), Edges.of(graph, estimate), self.p_tau, self.max_size)
        return Clustering.of(np.where(graph.readable, labels, -1))


def propagated(nodes: int, edges: Edges, least: float, max_size: int) -> np.ndarray:
    """Int64 [nodes]: components of the edges at a threshold; larger ones than `max_size` are cut at higher ones."""
    edges = edges.where(edges.similarity >= least)
    while True:
        labels = components(nodes, edges.i, edges.j)
        large = np.bincount(labels, minlength=1)[labels] > max_size if nodes else np.zeros(0, bool)
        least += STEP * (1 - least)
        kept = edges.where(~large[edges.i] | (edges.similarity >= least))
        if not large.any() or least > 1 - 1e-6:
            return labels
        edges = kept


def instance_nodes(graph: KnnGraph, rows: np.ndarray) -> np.ndarray:
    """Int64 [m, 1 + k + k SECOND_HOP]: pivot, its neighbours, the first of theirs; -1 where missing or repeated."""
    first = graph.neighbors[rows]
    second = np.where(first[..., None] >= 0, graph.neighbors[first, :SECOND_HOP], -1).reshape(len(rows), -1)
    nodes = np.hstack([rows[:, None], first, second]).astype(np.int64)
    order = np.argsort(nodes, axis=1, kind="stable")
    ranked = np.take_along_axis(nodes, order, axis=1)
    repeated = np.zeros(nodes.shape, dtype=bool)
    np.put_along_axis(repeated, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
    return np.where(repeated, -1, nodes)


def instance_graphs(
    graph: KnnGraph, rows: np.ndarray, nodes: np.ndarray, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Features and adjacency of the graphs of some pivots.

    Args:
        graph: Of n faces.
        rows: int64 [m], the pivots.
        nodes: int64 [m, s], -1 where there is none.
        device: Where the tensors go.

    Returns:
        Features, float32 [m, s, d + 1]: embedding minus the pivot's, and their cosine; and the row-normalised
        adjacency, float32 [m, s, s]: an edge where either node is among the other's first `LINKS` neighbours.
    """
    there = torch.from_numpy(nodes >= 0).to(device)
    ids = torch.from_numpy(nodes).to(device)
    _, features = relative_features(graph, rows, nodes, there)
    listed = torch.from_numpy(graph.neighbors[nodes, :LINKS].astype(np.int64)).to(device)
    edges = torch.zeros(len(rows), nodes.shape[1], nodes.shape[1], dtype=torch.bool, device=device)
    for column in range(listed.shape[2]):
        edges |= listed[:, :, None, column] == ids[:, None]
    edges = (edges | edges.transpose(1, 2)) & there[:, :, None] & there[:, None]
    return features, row_normalized(edges.float())


def train_links(model: LinkNetwork, faces: LabelledFaces, k: int, seed: int, training: PivotTraining) -> None:
    """Trains on all versions of the faces.

    Args:
        model: The network.
        faces: The labelled faces.
        k: Neighbours per face.
        seed: Seed of the pivots drawn and the order.
        training: Settings of the training.
    """
    random = np.random.default_rng(seed)
    losses = []
    for version in versions(faces, seed, alike=True).values():
        graph = KnnGraph.build(version.embeddings, k)
        some = random.permutation(len(graph))[: training.faces]
        losses += [partial(link_loss, model, graph, version.labels, rows) for rows in blocks(some, BATCH)]
    optimise(model, losses, training.epochs, training.learning_rate, np.random.default_rng(seed), "L-GCN")


def link_loss(model: LinkNetwork, graph: KnnGraph, labels: np.ndarray, rows: np.ndarray) -> Tensor:
    """Mean binary cross-entropy of the edges of some pivots."""
    same = labels[graph.neighbors[rows]] == labels[rows, None]
    return entropy(model(graph, rows), same, graph.valid[rows])
