"""L2C: a learned pairwise similarity, and a clustering network trained on its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import faiss
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize
from typing_extensions import Self

from clustering.backends.networks.learned import Learned, Network, Training
from clustering.backends.weights import default_device
from clustering.graph.edges import ordered_edges
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.learning.optimisation import optimise
from clustering.learning.versions import versions
from clustering.result import Clustering
from clustering.settings import Count, Neighbors, Seed, Within
from facerec.pipeline.files import InputError
from facerec.pipeline.values import INT_SEEDS

MAX_CLUSTERS = 1000
BATCH = 4096
CLUSTERING_BATCH = 1024
KMEANS_ITERATIONS = 5
SHARPNESS = 10.0


@dataclass(frozen=True)
class PairTraining(Training):
    """As `Training`.

    Attributes:
        pairs: Pairs of neighbours drawn from each version, at most, to bound the time, and as many random pairs. Set by
            hand.
    """

    pairs: Count = 32_768


class PairNetwork(Network):
    """Predicts whether two faces are of one identity: a perceptron over ``[|a - b|, a * b, cosine]``.

    Args:
        dimension: Dimension of the embeddings.
        width: Width of the layers.
    """

    def __init__(self, dimension: int, width: int):
        super().__init__(dimension=dimension, width=width)
        self.head = nn.Sequential(
            nn.Linear(2 * dimension + 1, width), nn.PReLU(), nn.Linear(width, width), nn.PReLU(), nn.Linear(width, 1)
        )

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits, float32 [m], of pairs of embeddings, float32 [m, d] each."""
        product = a * b
        return self.head(torch.cat([(a - b).abs(), product, product.sum(dim=1, keepdim=True)], dim=1))[:, 0]


class ClusteringNetwork(nn.Module):
    """``softmax(s x W)``: how likely a face is in each cluster; a column of W starts as a cluster's centre.

    Args:
        centres: float32 [clusters, d].
    """

    def __init__(self, centres: Tensor):
        super().__init__()
        self.centres = nn.Parameter(centres.clone())

    def forward(self, faces: Tensor) -> Tensor:
        """Probabilities, float32 [m, clusters]."""
        return torch.softmax(SHARPNESS * faces @ normalize(self.centres).T, dim=1)


@dataclass(eq=False)
class L2c(Learned):
    """Learning to Cluster (Hsu, Lv and Kira, ICLR 2018), meta-trained on labelled faces.

    A pair network is trained on labelled pairs. To cluster, it judges pairs of neighbours and random pairs. Then a
    clustering network is trained to put faces that were judged the same into one cluster, and other faces into
    different ones.

    In contrast to the paper, the loss of a pair is the likelihood of Hsu et al. (ICLR 2019), which has no margin to
    choose, see `likelihood_loss`.

    The number of clusters is ``n / faces_per_cluster``; `learn` measures `faces_per_cluster`, and some clusters may
    stay empty. Each cluster is an output of the network, so time and memory grow with faces times clusters. More than
    `MAX_CLUSTERS` clusters are refused.

    Attributes:
        faces_per_cluster: Mean faces per cluster, >= 1.
        passes: Passes over the pairs of neighbours while clustering.
        steps: Smallest number of training steps while clustering.
        k: Neighbours per face.
        seed: Seed of first centres and random pairs.
    """

    name: ClassVar[str] = "l2c"
    network: ClassVar[type[Network]] = PairNetwork
    training: ClassVar[type[Training]] = PairTraining

    faces_per_cluster: Annotated[float, Within(1)] = 20.0
    passes: Count = 3
    steps: Count = 200
    k: Neighbors = 10
    seed: Seed = 0

    @classmethod
    def _learn(cls, faces: LabelledFaces, seed: int, settings: Mapping[str, Any]) -> Self:
        return super()._learn(faces, seed, {"faces_per_cluster": faces.per_identity, "seed": seed, **settings})

    @classmethod
    def train(cls, faces: LabelledFaces, k: int, seed: int, training: PairTraining) -> PairNetwork:
        """Trains the pair network."""
        model = PairNetwork(faces.embeddings.shape[1], training.width).to(default_device())
        train_pairs(model, faces, k, seed, training)
        return model

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; confidence is the probability of the face's cluster.

        Raises:
            InputError: More than `MAX_CLUSTERS` clusters would be needed.
        """
        self.check_dimension(graph)
        clusters = max(round(int(graph.readable.sum()) / self.faces_per_cluster), 1)
        if clusters > MAX_CLUSTERS:
            raise InputError(
                f"l2c is meant for up to {MAX_CLUSTERS:,} clusters; {len(graph):,} faces at {self.faces_per_cluster:g} "
                f"a cluster are {clusters:,}, each an output of its network; use another backend"
            )
        labels, confidence = np.full(len(graph), -1), np.zeros(len(graph), dtype=np.float32)
        rows, edges = ordered_edges(graph.narrowed(self.k), -1)
        if len(rows):
            faces = torch.from_numpy(np.array(graph.embeddings[rows])).to(self.model.device)
            pairs = torch.from_numpy(np.stack([edges.i, edges.j])).to(self.model.device)
            labels[rows], confidence[rows] = self._assign(faces, pairs, clusters)
        return Clustering.of(labels, confidence)

    def _assign(self, faces: Tensor, pairs: Tensor, clusters: int) -> tuple[np.ndarray, np.ndarray]:
        """Trains a clustering network on neighbours, int64 [2, e], and as many random pairs; labels and confidence."""
        network = ClusteringNetwork(first_centres(faces, min(clusters, len(faces)), self.seed)).to(faces.device)
        random = torch.Generator(device=faces.device).manual_seed(self.seed)

        def loss(some: Tensor) -> Tensor:
            drawn = torch.randint(len(faces), some.shape, generator=random, device=faces.device)
            i, j = torch.cat([some, drawn], dim=1)
            with torch.no_grad():
                same = torch.sigmoid(self.model(faces[i], faces[j]))
            return likelihood_loss(network(faces[i]), network(faces[j]), same)

        losses = [partial(loss, some) for some in pairs.split(CLUSTERING_BATCH, dim=1)]
        if pairs.shape[1]:
            epochs = max(self.passes, -(-self.steps // len(losses)))
            optimise(network, losses, epochs, 0.01, np.random.default_rng(self.seed), "L2C")
        with torch.inference_mode():
            found = [network(some).max(dim=1) for some in faces.split(BATCH)]
        labels, confidence = (torch.cat([getattr(part, name) for part in found]) for name in ("indices", "values"))
        return labels.cpu().numpy(), confidence.clamp(max=1).cpu().numpy()


def first_centres(faces: Tensor, clusters: int, seed: int) -> Tensor:
    """Float32 [clusters, d]: centres of a few iterations of spherical K-means."""
    rows = faces.cpu().numpy()
    kmeans = faiss.Kmeans(
        rows.shape[1], clusters, niter=KMEANS_ITERATIONS, seed=seed % INT_SEEDS, spherical=True,
        min_points_per_centroid=1, max_points_per_centroid=len(rows),
    )  # fmt: skip
    kmeans.train(rows)
    return torch.from_numpy(kmeans.centroids)


def likelihood_loss(p: Tensor, q: Tensor, same: Tensor) -> Tensor:
    """Mean of ``-s log P - (1 - s) log(1 - P)``, P = sum_c p_c q_c the probability that a pair shares a cluster.

    Args:
        p: float32 [m, clusters], of the pairs' first faces.
        q: Likewise, of the second ones.
        same: float32 [m], s: the predicted probability that they share an identity.
    """
    together = (p * q).sum(dim=1).clamp(1e-6, 1 - 1e-6)
    return -(same * together.log() + (1 - same) * (1 - together).log()).mean()


def train_pairs(model: PairNetwork, faces: LabelledFaces, k: int, seed: int, training: PairTraining) -> None:
    """Trains on neighbours and on random pairs of all versions of the faces.

    Args:
        model: The network.
        faces: The labelled faces.
        k: Neighbours per face.
        seed: Seed of the pairs drawn and the order.
        training: Settings of the training.
    """
    random = np.random.default_rng(seed)
    losses = []
    for version in versions(faces, seed, alike=True).values():
        graph = KnnGraph.build(version.embeddings, k)
        i, column = np.nonzero(graph.valid)
        drawn = random.permutation(len(i))[: training.pairs]
        near = np.stack([i[drawn], graph.neighbors[i[drawn], column[drawn]]])
        pairs = np.hstack([near, random.integers(0, len(graph), near.shape)])
        pairs = pairs[:, random.permutation(pairs.shape[1])]
        pieces = np.split(pairs, range(BATCH, pairs.shape[1], BATCH), axis=1)
        losses += [partial(pair_loss, model, version, some) for some in pieces]
    optimise(model, losses, training.epochs, training.learning_rate, np.random.default_rng(seed), "L2C")


def pair_loss(model: PairNetwork, faces: LabelledFaces, pairs: np.ndarray) -> Tensor:
    """Mean binary cross-entropy of pairs, int64 [2, m]."""
    a, b = (torch.from_numpy(np.asarray(faces.embeddings[rows])).to(model.device) for rows in pairs)
    same = torch.from_numpy(faces.labels[pairs[0]] == faces.labels[pairs[1]]).to(model.device).float()
    return binary_cross_entropy_with_logits(model(a, b), same)
