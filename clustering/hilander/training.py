"""Meta-training of Hi-LANDER (paper section 3.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from tqdm import trange

from clustering.hilander.climb import climb
from clustering.hilander.hierarchy import HiLander, fellowship
from clustering.hilander.lander import Lander, Prepared, default_device
from clustering.hilander.level import Level
from clustering.knn import KnnGraph
from clustering.resample import LabelledFaces, versions

TRUE_EDGE = 0.5


@dataclass(frozen=True)
class TrainingGraph:
    """A level built with the true edges, and what should be predicted on it.

    Attributes:
        graph: The level.
        same: Bool [n, k]: whether the two ends share an identity, q_ij.
        density: float32 [n]: equation (4) with the true edges.
    """

    graph: Prepared
    same: Tensor
    density: Tensor


def train_hilander(
    embeddings: np.ndarray,
    labels: np.ndarray,
    seed: int = 0,
    inputs: str = "similarities",
    features: str = "average",
    k: int = 10,
    p_tau: float = 0.5,
    epochs: int = 20,
    learning_rate: float = 0.01,
    hidden: int = 32,
) -> HiLander:
    """Learns to link from labelled faces.

    Args:
        embeddings: float32 [n, d], all readable.
        labels: int64 [n], all known.
        seed: Of initial weights and resampling.
        inputs: What the model sees, see `Lander`.
        features: Of clusters, see `HiLander`.
        k: Neighbours at inference; training mixes graphs of k and k / 2.
        p_tau: Least linkage probability of an edge.
        epochs: Passes over all graphs, with AdamW and a cosine schedule.
        learning_rate: Its highest.
        hidden: Width of the edge perceptron.
    """
    torch.manual_seed(seed)
    dimension = embeddings.shape[1] * (2 if features == "both" else 1)
    model = Lander(inputs, 0 if inputs == "similarities" else dimension, hidden=hidden).to(default_device())
    graphs = [
        graph
        for version in versions(LabelledFaces(embeddings, labels), seed).values()
        for neighbors in sorted({k, max(k // 2, 1)})
        for graph in training_graphs(*version, features, neighbors)
    ]
    optimise(model, graphs, epochs, learning_rate, seed)
    return calibrated(HiLander(model, k, p_tau, features), embeddings, labels, seed)


def training_graphs(embeddings: np.ndarray, labels: np.ndarray, features: str, k: int) -> Iterator[TrainingGraph]:
    """The levels that true edges make; the last, on which none is left, included."""
    device = default_device()

    def link(level: Level) -> np.ndarray:
        return true_linkage(level, labels)

    for step in climb(KnnGraph.build(embeddings, k), link, TRUE_EDGE, features, k):
        same = torch.from_numpy(step.linkage > TRUE_EDGE).to(device)
        yield TrainingGraph(Prepared.of(step.level, device), same, torch.from_numpy(step.density).to(device))


def true_linkage(level: Level, labels: np.ndarray) -> np.ndarray:
    """q_ij, float32 [n, k]: 1 where both ends are of one identity, which is that of their peaks."""
    own = labels[level.faces]
    return (level.graph.valid & (own[:, None] == own[level.graph.neighbors])).astype(np.float32)


def optimise(model: Lander, graphs: list[TrainingGraph], epochs: int, learning_rate: float, seed: int) -> None:
    """Minimises the loss: a step a graph in random order, so every level of every version counts alike."""
    random = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(graphs))
    for _ in trange(epochs, desc="Hi-LANDER", unit="epoch", disable=None):
        for number in random.permutation(len(graphs)):
            optimizer.zero_grad()
            graph = graphs[number]
            loss(model(graph.graph), graph).backward()
            optimizer.step()
            schedule.step()


def loss(log_probability: Tensor, graph: TrainingGraph) -> Tensor:
    """Equations (8)-(11): ``L_conn + L_den`` of one graph.

    Args:
        log_probability: float32 [n, k, 2] of "other" and "same".
        graph: With the truth.
    """
    return connectivity_loss(log_probability, graph) + density_loss(log_probability, graph)


def connectivity_loss(log_probability: Tensor, graph: TrainingGraph) -> Tensor:
    """Equations (9)-(10): cross-entropy of the edges to nodes that are truly as dense, over the number of all edges."""
    entropy = -torch.where(graph.same, log_probability[..., 1], log_probability[..., 0])
    counted = graph.graph.valid & (graph.density[:, None] <= graph.density[graph.graph.neighbors])
    return (entropy * counted).sum() / graph.graph.valid.sum().clamp(min=1)


def density_loss(log_probability: Tensor, graph: TrainingGraph) -> Tensor:
    """Equation (11): mean squared error of the density that follows from the linkage by (3)-(4)."""
    coefficients = 2 * log_probability[..., 1].exp() - 1
    density = (coefficients * graph.graph.similarities * graph.graph.valid).mean(dim=1)
    return (density - graph.density).square().mean()


def calibrated(hilander: HiLander, embeddings: np.ndarray, labels: np.ndarray, seed: int) -> HiLander:
    """The same with its confidence fitted on faces of known identity, over all `versions` of them.

    Where every clustered face is right or every one wrong there is nothing to fit, and it stays as it is.
    """
    cosines, right = [], []
    for version in versions(LabelledFaces(embeddings, labels), seed).values():
        graph = KnnGraph.build(version.embeddings, hilander.k)
        clusters = hilander.cluster(graph).labels
        belonging, alone = fellowship(graph.embeddings, clusters)
        cosines.append(belonging[~alone])
        right.append((version.labels == majority(clusters, version.labels))[~alone])
    x, y = np.concatenate(cosines), np.concatenate(right)
    if y.all() or not y.any():
        return hilander
    fitted = LogisticRegression(C=1e3).fit(x[:, None], y)
    return replace(hilander, slope=float(fitted.coef_[0, 0]), offset=float(fitted.intercept_[0]))


def majority(clusters: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Int64 [n]: the most frequent identity of each face's cluster; of equally frequent ones the lowest."""
    _, identities = np.unique(labels, return_inverse=True)
    pairs, counts = np.unique(np.stack([clusters, identities]), axis=1, return_counts=True)
    order = np.lexsort((pairs[1], -counts, pairs[0]))
    heads = order[np.unique(pairs[0][order], return_index=True)[1]]
    winner = np.unique(labels)[pairs[1, heads]]
    return winner[np.searchsorted(pairs[0, heads], clusters)]
