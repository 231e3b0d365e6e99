"""Meta-training of Hi-LANDER (paper section 3.5)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from clustering.backends.hilander.climb import Features, climb, pseudo_density
from clustering.backends.hilander.encoders import EdgeBatch, Encoder, node_features
from clustering.backends.hilander.engines import link as link_level
from clustering.backends.hilander.lander import Inputs, LinkageModel
from clustering.backends.hilander.level import Level
from clustering.backends.hilander.pair_training import learn_to_join
from clustering.backends.weights import default_device
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.learning.optimisation import optimise
from clustering.learning.simulated import recognisers
from clustering.learning.versions import versions
from clustering.settings import Count, Neighbors, Positive, Within, check_settings

Merging = Literal["pairs", "edges"]
TRUE_EDGE = 0.5
"""A p_tau between the true linkage of two identities, 0, and that of one, 1."""
TRUE_SHARE = 0.4
"""Share of the epochs that train on levels made with true edges."""
OWN_THRESHOLDS = (0.5, 0.8)
"""p_tau of the model's own levels: a loose one and a strict one."""
STEP_NODES = 2048
"""Nodes whose edges a step sees, at most."""


class Course(NamedTuple):
    """Epochs, learning rate and number of simulated corpora, see `MetaTraining`."""

    epochs: int
    learning_rate: float
    simulated: int


FROM_NOTHING, FROM_PACKAGED = Course(20, 0.01, 8), Course(5, 0.001, 4)
"""Training from random and from packaged weights. With more or larger steps packaged weights forget other corpora."""


@dataclass(frozen=True)
class TrainingGraph:
    """A level, and what should be predicted on it.

    Attributes:
        graph: The level.
        same: Bool [n, k]: whether the two ends share an identity, q_ij.
        density: float32 [n]: equation (4) with the true edges.
        counted: Bool [n, k]: the edges to nodes that are truly as dense, equation (10).
    """

    graph: EdgeBatch
    same: Tensor
    density: Tensor
    counted: Tensor

    @classmethod
    def of(cls, level: Level, identities: np.ndarray) -> TrainingGraph:
        """What is true of a level whose nodes are of these identities, on the device for training."""
        device = default_device()
        linkage = true_linkage(level.graph, identities)
        density = pseudo_density(level.graph, linkage)
        counted = level.graph.valid & (density[:, None] <= density[level.graph.neighbors])
        truth = (torch.from_numpy(array).to(device) for array in (linkage > TRUE_EDGE, density, counted))
        return cls(EdgeBatch.of(level, node_features(level, device)), *truth)

    def of_rows(self, rows: Tensor) -> TrainingGraph:
        """What is true of the edges of some nodes."""
        return TrainingGraph(self.graph.at(rows), self.same[rows], self.density[rows], self.counted[rows])


@dataclass(frozen=True)
class MetaTraining:
    """How a linkage model is trained.

    Attributes:
        inputs: What the model sees, see `LinkageModel`.
        features: What a level sees of the clusters below it, see `HiLander`.
        k: Neighbours at inference; training to link edges mixes graphs of k and k / 2.
        epochs: Passes over all graphs, with AdamW and a cosine schedule. By default 5 if training goes on from the
            packaged weights, as it does to judge pairs, else 20.
        learning_rate: The highest; by default .001 or .01.
        hidden: Width of the edge perceptron. Packaged weights have 32; with another width pairs begin from nothing.
        encoder: Encoder of the model, see `LinkageModel`; only models that see features have one.
        heads: Heads of graph attention.
        own_levels: False trains only on levels made with true edges, as in the paper.
        simulated: How many simulated recognisers' corpora (`clustering.learning.simulated`) to learn from beside the
            faces, which keeps the model fit for other recognisers. Only models that see no embedding can. By default
            4 or 8.
    """

    inputs: Inputs = "similarities"
    features: Features = "average"
    k: Neighbors = 10
    epochs: Annotated[int | None, Within(1)] = None
    learning_rate: Annotated[float | None, Positive] = None
    hidden: Count = 32
    encoder: Encoder = "graph"
    heads: Count = 1
    own_levels: bool = True
    simulated: Annotated[int | None, Within(0)] = None

    def __post_init__(self) -> None:
        check_settings(self)

    def course(self, default: Course) -> Course:
        """The settings that were given, with defaults for the rest."""
        given = {name: getattr(self, name) for name in Course._fields}
        return default._replace(**{name: value for name, value in given.items() if value is not None})


def train_linkage_model(
    faces: LabelledFaces, seed: int, training: MetaTraining, merging: Merging, start: LinkageModel | None
) -> LinkageModel:
    """Learns from labelled faces to judge pairs, see `learn_to_join`, or to link edges.

    The graphs for edges are those of several `versions` of the faces. The paper makes all levels with the true edges.
    There a whole identity soon is one node, and the model never sees the half-merged clusters that its own edges leave.
    So only the first `TRUE_SHARE` of the epochs uses these levels. The others use levels that the model makes, at
    several thresholds. A node's true identity is that of most of its faces.

    Args:
        faces: Labelled faces.
        seed: Seed of initial weights and resampling.
        training: How to train.
        merging: What the model is to judge, see `HiLander`.
        start: A model whose weights it begins with; random ones if None. It stays as it is.
    """
    course = training.course(FROM_PACKAGED if start else FROM_NOTHING)
    dimension = faces.embeddings.shape[1] * (2 if training.features in ("both", "reference") else 1)
    parts = list(versions(faces, seed, alike=True).values())
    if training.inputs == "similarities":
        dimension, parts = 0, parts + list(recognisers(course.simulated, seed))
    torch.manual_seed(seed)
    model = copy.deepcopy(start) or LinkageModel(
        training.inputs, dimension, hidden=training.hidden, encoder=training.encoder, heads=training.heads
    ).to(default_device())
    graphs = graphs_of(parts, training.k)
    if merging == "edges":
        learn_to_link(model, graphs, seed, training, course)
    else:
        learn_to_join(model, graphs, course.epochs, course.learning_rate, seed)
    return model


def graphs_of(parts: Iterable[LabelledFaces], k: int) -> list[tuple[KnnGraph, np.ndarray]]:
    """The graph and the identities of each corpus."""
    return [(KnnGraph.build(part.embeddings, k), part.labels) for part in parts]


def learn_to_link(
    model: LinkageModel, wide: list[tuple[KnnGraph, np.ndarray]], seed: int, training: MetaTraining, course: Course
) -> None:
    """Trains a model on the levels of several graphs, and of the same with half as many neighbours."""
    k, epochs, features = training.k, course.epochs, training.features
    narrow = [(graph.narrowed(max(k // 2, 1)), labels) for graph, labels in wide]
    first = max(1, round(TRUE_SHARE * epochs)) if training.own_levels else epochs
    graphs = [level for part in wide + narrow for level in training_graphs(*part, features)]
    train_on_levels(model, graphs, first, course.learning_rate, seed)
    if epochs > first:
        graphs = [level for part in wide + narrow for level in own_graphs(model, *part, features)]
        train_on_levels(model, graphs, epochs - first, course.learning_rate, seed + 1)


def training_graphs(graph: KnnGraph, labels: np.ndarray, features: str) -> Iterator[TrainingGraph]:
    """The levels that true edges make of faces of these identities, up to the first level without any edge."""

    def link(level: Level) -> np.ndarray:
        return true_linkage(level.graph, labels[level.faces])

    for step in climb(graph, link, TRUE_EDGE, features, graph.k):
        yield TrainingGraph.of(step.level, labels[step.level.faces])


def own_graphs(model: LinkageModel, graph: KnnGraph, labels: np.ndarray, features: str) -> Iterator[TrainingGraph]:
    """The levels that a model's own edges make at each of `OWN_THRESHOLDS`; the lowest, of single faces, once."""
    for p_tau in OWN_THRESHOLDS:
        nodes = np.arange(len(labels))
        for number, step in enumerate(climb(graph, partial(link_level, model), p_tau, features, graph.k)):
            if number or p_tau == OWN_THRESHOLDS[0]:
                yield TrainingGraph.of(step.level, majority(nodes, labels))
            nodes = step.clusters[nodes]


def majority(nodes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The most frequent identity of the faces below each node; of equally frequent ones the lowest.

    Args:
        nodes: int64 [faces]: the node that each face is below; consecutive from 0.
        labels: int64 [faces].

    Example:
        >>> majority(np.array([0, 0, 0, 1, 1]), np.array([7, 9, 9, 3, 2]))
        array([9, 2])
    """
    identities, numbers = np.unique(labels, return_inverse=True)
    pairs, counts = np.unique(nodes * len(identities) + numbers, return_counts=True)
    node, identity = np.divmod(pairs, len(identities))
    order = np.lexsort((identity, -counts, node))
    return identities[identity[order[np.unique(node[order], return_index=True)[1]]]]


def true_linkage(graph: KnnGraph, identities: np.ndarray) -> np.ndarray:
    """q_ij, float32 [n, k]: 1 where both ends are of one identity.

    Args:
        graph: Of n nodes.
        identities: Identity of each node, int64 [n].
    """
    return (graph.valid & (identities[:, None] == identities[graph.neighbors])).astype(np.float32)


def train_on_levels(
    model: LinkageModel, graphs: list[TrainingGraph], epochs: int, learning_rate: float, seed: int
) -> None:
    """Minimises the loss: a step a graph in random order, so every level of every version counts alike."""
    random = np.random.default_rng(seed)
    losses = [partial(loss_of_some, model, graph, random) for graph in graphs]
    optimise(model, losses, epochs, learning_rate, random, "Hi-LANDER")


def loss_of_some(model: LinkageModel, graph: TrainingGraph, random: np.random.Generator) -> Tensor:
    """The loss of a graph; of a large one that of the edges of `STEP_NODES` nodes at random."""
    rows = None
    if len(graph.density) > STEP_NODES:
        chosen = random.choice(len(graph.density), STEP_NODES, replace=False)
        rows = torch.from_numpy(chosen).to(graph.density.device)
    return loss(model(graph.graph, rows), graph if rows is None else graph.of_rows(rows))


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
    return (entropy * graph.counted).sum() / graph.graph.valid.sum().clamp(min=1)


def density_loss(log_probability: Tensor, graph: TrainingGraph) -> Tensor:
    """Equation (11): mean squared error of the density that follows from the linkage by (3)-(4)."""
    coefficients = 2 * log_probability[..., 1].exp() - 1
    density = (coefficients * graph.graph.similarities * graph.graph.valid).mean(dim=1)
    return (density - graph.density).square().mean()
