"""GCN-V: a graph network estimates a confidence for each face, and faces link to neighbours of higher confidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from clustering.backends.networks.learned import GraphNetwork, Network, Training
from clustering.backends.weights import default_device
from clustering.graph.denser import decode
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.learning.optimisation import optimise
from clustering.learning.versions import versions
from clustering.partition import trees
from clustering.result import Clustering
from clustering.settings import Cosine, Count, Neighbors, Range


@dataclass(frozen=True)
class VertexTraining(Training):
    """As `Training`; a step is a whole graph, so an epoch has few of them and there are more epochs."""

    width: Count = 128
    epochs: Count = 25


class ConfidenceNetwork(Network):
    """One graph convolution, ``relu(W [x | A x])``, and a perceptron on top: the confidence of each vertex.

    Args:
        dimension: Dimension of the embeddings.
        width: Width of the layers.
    """

    def __init__(self, dimension: int, width: int):
        super().__init__(dimension=dimension, width=width)
        self.convolution = nn.Linear(2 * dimension + 1, width)
        self.head = nn.Sequential(nn.Linear(width, width), nn.PReLU(), nn.Linear(width, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Float32 [n] of `convolved` inputs, float32 [n, 2 d + 1]."""
        return self.head(torch.relu(self.convolution(inputs)))[:, 0]

    @torch.inference_mode()
    def estimate(self, graph: KnnGraph) -> np.ndarray:
        """Float32 [n]: the estimated confidence of every face."""
        return self(torch.from_numpy(convolved(graph)).to(self.device)).cpu().numpy()


@dataclass(eq=False)
class GcnV(GraphNetwork):
    """GCN-V (Yang et al., CVPR 2020), meta-trained on labelled faces.

    The confidence of a vertex is high if its neighbours are similar and of its own identity. Each face is linked to its
    most similar neighbour of higher confidence. The resulting trees are the clusters. In contrast to the paper, the
    network also sees the mean cosine of the neighbours, and is trained on all `versions` of the labelled faces.

    Attributes:
        min_similarity: Smallest cosine of a link.
        k: Neighbours per face.
    """

    name: ClassVar[str] = "gcn_v"
    search_space: ClassVar[Mapping[str, Range]] = {"min_similarity": (0.2, 0.9), "k": [10, 20, 40]}
    network: ClassVar[type[Network]] = ConfidenceNetwork
    training: ClassVar[type[Training]] = VertexTraining

    min_similarity: Cosine = 0.55
    k: Neighbors = 40

    @classmethod
    def train(cls, faces: LabelledFaces, k: int, seed: int, training: VertexTraining) -> ConfidenceNetwork:
        """Trains the network."""
        return train_confidence(faces, k, seed, training)

    def decide(self, graph: KnnGraph, estimate: np.ndarray) -> Clustering:
        """Links by the estimated confidence, float32 [n]."""
        return linked(graph, estimate, graph.similarities, self.min_similarity)


def linked(graph: KnnGraph, confidence: np.ndarray, score: np.ndarray, least: float) -> Clustering:
    """Clusters that are trees: each face is linked to the neighbour of highest score among those surer than itself.

    Of equally sure faces the one of lower index counts as the surer.

    Args:
        graph: Of n faces with k neighbours.
        confidence: float32 [n].
        score: float32 [n, k], of the edges.
        least: Links of lower score are left out.
    """
    clusters, _ = trees(decode(graph, score, confidence, least))
    return Clustering.of(np.where(graph.readable, clusters, -1))


def convolved(graph: KnnGraph) -> np.ndarray:
    """Float32 [n, 2 d + 1]: ``[x | A x | mean cosine]``.

    A is the paper's ``D^-1 (A + I)``: cosines of the neighbours, negative ones as 0, and 1 for the face itself.
    """
    n = len(graph)
    weights = np.where(graph.valid, np.maximum(graph.similarities, 0), 0)
    degree = 1 + weights.sum(axis=1)
    rows, columns = np.nonzero(weights)
    values = weights[rows, columns] / degree[rows]
    adjacency = csr_matrix((values, (rows, graph.neighbors[rows, columns])), (n, n), dtype=np.float32)
    mean = adjacency @ graph.embeddings + graph.embeddings / degree[:, None]
    cosine = weights.sum(axis=1) / np.maximum(graph.valid.sum(axis=1), 1)
    return np.hstack([graph.embeddings, mean, cosine[:, None]]).astype(np.float32)


def true_confidence(graph: KnnGraph, labels: np.ndarray) -> np.ndarray:
    """Float32 [n]: ``c_i = 1/k sum_j (+1 or -1) a_ij``, + where j is of i's identity (equation 1)."""
    same = np.where(labels[graph.neighbors] == labels[:, None], 1, -1)
    total = np.where(graph.valid, same * graph.similarities, 0).sum(axis=1)
    return (total / np.maximum(graph.valid.sum(axis=1), 1)).astype(np.float32)


def train_confidence(faces: LabelledFaces, k: int, seed: int, training: Training) -> ConfidenceNetwork:
    """Trains on all versions of the faces, with graphs of k and k / 2 neighbours; mean squared error.

    Args:
        faces: The labelled faces.
        k: Neighbours per face.
        seed: Seed of the initial weights, the versions and the order.
        training: Settings of the training.
    """
    torch.manual_seed(seed)
    model = ConfidenceNetwork(faces.embeddings.shape[1], training.width).to(default_device())
    losses = []
    for version in versions(faces, seed, alike=True).values():
        whole = KnnGraph.build(version.embeddings, k)
        for neighbors in sorted({k, max(k // 2, 1)}):
            graph = whole.narrowed(neighbors)
            pair = (convolved(graph), true_confidence(graph, version.labels))
            losses.append(partial(confidence_loss, model, *(torch.from_numpy(part).to(model.device) for part in pair)))
    optimise(model, losses, training.epochs, training.learning_rate, np.random.default_rng(seed), "GCN-V")
    return model


def confidence_loss(model: ConfidenceNetwork, inputs: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error of the confidence."""
    return (model(inputs) - truth).square().mean()
