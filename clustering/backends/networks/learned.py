"""Base classes of the graph networks: layers, settings of training, and model folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from typing_extensions import Self

from clustering.backends.weights import default_device, load_weights, save_weights, seeded
from clustering.clusterer import Clusterer, TwoStep
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.settings import Count, PositiveFloat, check_settings, divided
from facerec.pipeline.files import InputError


class Network(nn.Module):
    """A network whose constructor's arguments are whole numbers, which it keeps as `sizes`."""

    def __init__(self, **sizes: int):
        super().__init__()
        self.sizes = sizes

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    def settings(self) -> dict[str, int]:
        """The constructor's arguments, as a model folder keeps them."""
        return self.sizes

    def estimate(self, graph: KnnGraph) -> np.ndarray:
        """What the network finds in a whole graph; only networks that judge whole graphs have it."""
        raise NotImplementedError


class SubgraphNetwork(Network):
    """Scores the nodes of many small graphs at once.

    Layers are ``relu(W [X | A X])``, where A is the row-normalised adjacency of each graph. The head is a perceptron.
    """

    def __init__(self, dimension: int, width: int, layers: int):
        super().__init__(dimension=dimension, width=width, layers=layers)
        widths = [dimension, *[width] * layers]
        self.layers = nn.ModuleList(nn.Linear(2 * a, b) for a, b in pairwise(widths))
        self.head = nn.Sequential(nn.Linear(width, width), nn.PReLU(), nn.Linear(width, 1))

    def forward(self, features: Tensor, adjacency: Tensor) -> Tensor:
        """Logits, float32 [graphs, nodes].

        Args:
            features: float32 [graphs, nodes, dimension].
            adjacency: float32 [graphs, nodes, nodes].
        """
        for layer in self.layers:
            features = torch.relu(layer(torch.cat([features, torch.bmm(adjacency, features)], dim=2)))
        return self.head(features)[..., 0]


def row_normalized(weights: Tensor) -> Tensor:
    """Rows that sum up to 1; rows of zeros stay so."""
    return weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-12)


def relative_features(graph: KnnGraph, rows: np.ndarray, nodes: np.ndarray, there: Tensor) -> tuple[Tensor, Tensor]:
    """What small graphs around some faces see of their nodes.

    Args:
        graph: Of n faces.
        rows: int64 [m], the faces in the middle.
        nodes: int64 [m, s].
        there: Bool [m, s], on the device to use: which nodes there are.

    Returns:
        The nodes' embeddings, float32 [m, s, d]; and, 0 for nodes that are not there, float32 [m, s, d + 1]: embedding
        minus that of the face in the middle, and their cosine.
    """
    faces = torch.from_numpy(np.asarray(graph.embeddings[nodes])).to(there.device)
    middle = torch.from_numpy(np.asarray(graph.embeddings[rows])).to(there.device)[:, None]
    cosine = (faces * middle).sum(dim=2, keepdim=True)
    return faces, torch.cat([faces - middle, cosine], dim=2) * there[..., None]


def entropy(logits: Tensor, truth: np.ndarray, counted: np.ndarray) -> Tensor:
    """Mean binary cross-entropy of the entries that are `counted`; all three arguments are [m, k]."""
    chosen = torch.from_numpy(counted).to(logits.device)
    return binary_cross_entropy_with_logits(logits[chosen], torch.from_numpy(truth[counted]).to(logits))


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    The defaults are set by hand, not searched: small enough to be trained on a CPU.

    Attributes:
        width: Width of the layers.
        epochs: Passes over all versions of the labelled faces, with AdamW and a cosine schedule.
        learning_rate: The highest.
    """

    width: Count = 64
    epochs: Count = 2
    learning_rate: PositiveFloat = 0.003

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(eq=False)
class Learned(Clusterer):
    """Base class of the backends that consist of a network and a few numbers.

    Attributes:
        network: The class of the model.
        training: The class of the settings of `train`.
        model: The network.
    """

    learns: ClassVar[bool] = True
    network: ClassVar[type[Network]]
    training: ClassVar[type[Training]]

    model: Any = field(default_factory=lambda: None, repr=False)  # by factory: no plain value that help lists

    @classmethod
    def train(cls, faces: LabelledFaces, k: int, seed: int, training: Any) -> Network:
        """Trains the network. Torch has been seeded before.

        Args:
            faces: The labelled faces.
            k: Neighbours a face.
            seed: Of everything else that is random.
            training: Settings, of the class `training`.
        """
        raise NotImplementedError

    @classmethod
    def _learn(cls, faces: LabelledFaces, seed: int, settings: Mapping[str, Any]) -> Self:
        own, training = divided(cls.name, settings, cls._names()[1:], cls.training)
        untrained = cls(None, **own)  # which refuses what it must, before the long work
        with seeded(seed):
            return replace(untrained, model=cls.train(faces, untrained.k, seed, training))

    @classmethod
    def _read(cls, folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "model": read_network(cls.network, folder, settings["model"])}

    def _write(self, folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
        save_weights(folder, self.model)
        return {**settings, "model": self.model.settings()}

    def check_dimension(self, graph: KnnGraph) -> None:
        """Refuses embeddings of another dimension than the model was trained on.

        Raises:
            InputError: Naming both.
        """
        dimension, there = self.model.sizes["dimension"], graph.embeddings.shape[1]
        if there != dimension:
            raise InputError(
                f"the model was trained on embeddings of {dimension} dimensions, these have {there}; "
                "train it on embeddings of the same recogniser"
            )


@dataclass(eq=False)
class GraphNetwork(Learned, TwoStep):
    """Base class of the backends whose network judges a whole graph, whatever the thresholds."""

    def estimate(self, graph: KnnGraph) -> np.ndarray:
        """What the network finds in the graph of k neighbours."""
        self.check_dimension(graph)
        return self.model.estimate(graph)


def read_network(network: type[Network], folder: Path, sizes: Any) -> Network:
    """A network with its weights.

    Raises:
        InputError: Sizes that it doesn't take; weights that are missing, unreadable, not finite or of other shapes.
    """
    if not isinstance(sizes, dict) or not all(type(size) is int and 0 < size <= 1 << 16 for size in sizes.values()):
        raise InputError(f"{folder / 'config.yaml'}: model is {sizes!r}; expected sizes as positive whole numbers")
    try:
        with torch.device("meta"):
            model = network(**sizes)
    except TypeError:
        names = ", ".join(map(str, sizes))
        raise InputError(f"{folder / 'config.yaml'}: model has {names}; train the model again") from None
    load_weights(folder, model)
    return model.to(default_device()).eval()
