"""GCN-V+E: a second network judges the links to neighbours of higher confidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from clustering.backends.networks.gcn_v import ConfidenceNetwork, VertexTraining, linked, train_confidence
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
from clustering.graph.denser import denser
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.learning.optimisation import optimise
from clustering.learning.versions import versions
from clustering.result import Clustering
from clustering.settings import Cosine, Count, Neighbors, Range, Share
from facerec.pipeline.files import blocks

LAYERS = 2
BATCH = 512


@dataclass(frozen=True)
class EdgeTraining(Training):
    """As `Training`.

    Attributes:
        faces: Faces drawn at random from each version, at most, to bound the time. Set by hand.
    """

    epochs: Count = 3
    faces: Count = 4096


class ConfidenceAndConnectivity(Network):
    """The networks of both steps.

    Args:
        dimension: Dimension of the embeddings.
        width: Width of the first network's layers.
        edge_width: Width of the second network's layers.
    """

    def __init__(self, dimension: int, width: int, edge_width: int):
        super().__init__(dimension=dimension, width=width, edge_width=edge_width)
        self.vertices = ConfidenceNetwork(dimension, width)
        self.edges = SubgraphNetwork(dimension + 1, edge_width, LAYERS)

    @torch.inference_mode()
    def estimate(self, graph: KnnGraph) -> np.ndarray:
        """Float32 [n, 1 + k]: each face's confidence, and the connectivity of its edges (0 to less sure faces)."""
        confidence = self.vertices.estimate(graph)
        candidates = denser(graph, confidence)
        connectivity = np.zeros(candidates.shape, dtype=np.float32)
        for rows in blocks(np.arange(len(graph)), BATCH):
            logits = self.edges(*subgraphs(graph, rows, candidates, self.device))
            connectivity[rows] = torch.sigmoid(logits).cpu().numpy()
        return np.hstack([confidence[:, None], np.where(candidates, connectivity, 0)])


@dataclass(eq=False)
class GcnE(GraphNetwork):
    """GCN-V+E (Yang et al., CVPR 2020), meta-trained on labelled faces.

    GCN-V estimates the confidence. The neighbours of a face that have a higher confidence are the nodes of a small
    graph, on which a second network estimates which of them have the face's identity. The face is linked to the most
    likely one. In contrast to the paper, that network sees the cosine and not only the difference of the embeddings.

    Attributes:
        p_tau: Smallest estimated probability of a link.
        min_similarity: Smallest cosine of a link, as in GCN-V. The estimated probability alone does not transfer well
            to other corpora.
        k: Neighbours per face.
    """

    name: ClassVar[str] = "gcn_e"
    search_space: ClassVar[Mapping[str, Range]] = {"p_tau": (0.0, 0.9), "min_similarity": (0.3, 0.8)}
    network: ClassVar[type[Network]] = ConfidenceAndConnectivity
    training: ClassVar[type[Training]] = EdgeTraining

    p_tau: Share = 0.3
    min_similarity: Cosine = 0.55
    k: Neighbors = 40

    @classmethod
    def train(cls, faces: LabelledFaces, k: int, seed: int, training: EdgeTraining) -> ConfidenceAndConnectivity:
        """Trains both networks, one after the other; the first as GCN-V does by default."""
        vertices = VertexTraining()
        model = ConfidenceAndConnectivity(faces.embeddings.shape[1], vertices.width, training.width)
        model.vertices = train_confidence(faces, k, seed, vertices)
        train_connectivity(model.to(default_device()), faces, k, seed, training)
        return model

    def decide(self, graph: KnnGraph, estimate: np.ndarray) -> Clustering:
        """Links by the confidence and the connectivity, float32 [n, 1 + k]."""
        near = np.where(graph.similarities >= self.min_similarity, estimate[:, 1:], -np.inf)
        return linked(graph, estimate[:, 0], near, self.p_tau)


def subgraphs(graph: KnnGraph, rows: np.ndarray, candidates: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """The graphs of some faces' candidates.

    Args:
        graph: Of n faces with k neighbours.
        rows: int64 [m]: the faces.
        candidates: Bool [n, k]: which neighbours are nodes; the others are left without edges.
        device: Where the tensors go.

    Returns:
        Features, float32 [m, k, d + 1]: each candidate's embedding minus the face's, and their cosine; and the
        row-normalised adjacency, float32 [m, k, k]: cosines between candidates, negative ones as 0.
    """
    there = torch.from_numpy(candidates[rows]).to(device)
    faces, features = relative_features(graph, rows, graph.neighbors[rows], there)
    adjacency = torch.bmm(faces, faces.transpose(1, 2)).clamp(min=0) * (there[:, :, None] & there[:, None])
    return features, row_normalized(adjacency)


def train_connectivity(
    model: ConfidenceAndConnectivity, faces: LabelledFaces, k: int, seed: int, training: EdgeTraining
) -> None:
    """Trains the second network on all versions of the faces, on the candidates that the first one gives.

    Args:
        model: With a trained first network.
        faces: The labelled faces.
        k: Neighbours per face.
        seed: Seed of the faces drawn and the order.
        training: Settings of the training.
    """
    random = np.random.default_rng(seed)
    losses = []
    for version in versions(faces, seed, alike=True).values():
        graph = KnnGraph.build(version.embeddings, k)
        candidates = denser(graph, model.vertices.estimate(graph))
        some = np.flatnonzero(candidates.any(axis=1))
        some = random.permutation(some)[: training.faces]
        losses += [
            partial(connectivity_loss, model, graph, version.labels, rows, candidates) for rows in blocks(some, BATCH)
        ]
    optimise(model.edges, losses, training.epochs, training.learning_rate, np.random.default_rng(seed), "GCN-E")


def connectivity_loss(
    model: ConfidenceAndConnectivity, graph: KnnGraph, labels: np.ndarray, rows: np.ndarray, candidates: np.ndarray
) -> Tensor:
    """Mean binary cross-entropy of the candidates of some faces."""
    same = labels[graph.neighbors[rows]] == labels[rows, None]
    logits = model.edges(*subgraphs(graph, rows, candidates, model.device))
    return entropy(logits, same, candidates[rows])
