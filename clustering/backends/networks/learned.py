"""What the graph networks share: layers, training, and a model folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import trange
from typing_extensions import Self

from clustering.backends.weights import default_device, load_weights, save_weights
from clustering.graph.knn_graph import KnnGraph
from clustering.settings import Range
from facerec.pipeline.files import InputError, write_yaml

REMEMBERED = 8
REMEMBERED_ROWS = 100_000


class Network(nn.Module):
    """A network whose constructor's arguments are whole numbers, which it keeps as `sizes`."""

    def __init__(self, **sizes: int):
        super().__init__()
        self.sizes = sizes
        self.remembered: dict[bytes, np.ndarray] = {}

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    def recall(self, graph: KnnGraph, compute: Callable[[KnnGraph], np.ndarray]) -> np.ndarray:
        """What `compute` makes of a graph, kept for the last few: tuning asks for the same again and again."""
        if len(graph) > REMEMBERED_ROWS:
            return compute(graph)
        digest = hashlib.blake2b()
        for array in (graph.embeddings, graph.neighbors, graph.similarities):
            digest.update(np.ascontiguousarray(array).data)
        key = digest.digest()
        if key not in self.remembered:
            while len(self.remembered) >= REMEMBERED:
                del self.remembered[next(iter(self.remembered))]
            self.remembered[key] = compute(graph)
        return self.remembered[key]


class SubgraphNetwork(Network):
    """Scores the nodes of many small graphs at once.

    Layers are ``relu(W [X | A X])``, with A the row-normalised adjacency of each graph; the head is a perceptron.
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
    """Mean binary cross-entropy of those that count; logits, truth and which count are all [m, k]."""
    chosen = torch.from_numpy(counted).to(logits.device)
    return binary_cross_entropy_with_logits(logits[chosen], torch.from_numpy(truth[counted]).to(logits))


def optimise(
    model: nn.Module, losses: Sequence[Callable[[], Tensor]], epochs: int, learning_rate: float, seed: int, name: str
) -> None:
    """Minimises losses one after the other in random order, with AdamW and a cosine schedule."""
    random = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(losses))
    model.train()
    for _ in trange(epochs, desc=name, unit="epoch", disable=None):
        for number in random.permutation(len(losses)):
            optimizer.zero_grad()
            losses[number]().backward()
            optimizer.step()
            schedule.step()
    model.eval()


@dataclass(frozen=True)
class Learned:
    """The members of `Clusterer` as backends have them that are one network and a few numbers.

    Attributes:
        model: The network.
    """

    name: ClassVar[str]
    learns: ClassVar[bool] = True
    distributed: ClassVar[bool] = False
    search_space: ClassVar[Mapping[str, Range]]
    network: ClassVar[type[Network]]

    model: Any

    def with_settings(self, **settings: Any) -> Self:
        """The same model, with other hyper-parameters."""
        return replace(self, **settings)

    @classmethod
    def own(cls) -> list[str]:
        """Names of the hyper-parameters."""
        return [item.name for item in fields(cls) if item.name != "model"]

    @classmethod
    def checked(cls, settings: Mapping[str, Any], training: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Settings of `fit` as hyper-parameters, and as those of the training with their defaults.

        Raises:
            InputError: Unknown settings, or sizes that are not positive.
        """
        known = [*cls.own(), *training]
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise InputError(f"{cls.name} has no setting {', '.join(unknown)}; it has {', '.join(known)}")
        chosen = {name: settings.get(name, default) for name, default in training.items()}
        for name, value in chosen.items():
            if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
                raise InputError(f"{name} is {value!r}; it must be a positive number")
        own = {name: value for name, value in settings.items() if name not in training}
        cls(None, **own)  # which refuses what it must, before the long work
        return own, chosen

    def check_dimension(self, graph: KnnGraph, dimension: int) -> None:
        """Refuses embeddings of another dimension than the model was trained on.

        Raises:
            InputError: Naming both.
        """
        if graph.embeddings.shape[1] != dimension:
            raise InputError(
                f"the model was trained on embeddings of {dimension} dimensions, these have "
                f"{graph.embeddings.shape[1]}; train it on embeddings of the same recogniser"
            )

    def save(self, folder: Path) -> None:
        """Writes config.yaml and model.safetensors."""
        own = {name: getattr(self, name) for name in self.own()}
        write_yaml(folder / "config.yaml", {"backend": self.name, **own, "model": self.model.sizes})
        save_weights(folder, self.model)

    @classmethod
    def load(cls, folder: Path, settings: Mapping[str, Any]) -> Self:
        """Reads a model folder.

        Raises:
            InputError: Missing or unknown settings; weights that are missing, unreadable or of other shapes.
        """
        if set(settings) != {*cls.own(), "model"}:
            raise InputError(
                f"{folder / 'config.yaml'}: settings {', '.join(settings)}; expected {', '.join([*cls.own(), 'model'])}"
            )
        own = {name: settings[name] for name in cls.own()}
        return cls(read_network(cls.network, folder, settings["model"]), **own)


def read_network(network: type[Network], folder: Path, sizes: Any) -> Network:
    """A network with its weights.

    Raises:
        InputError: Sizes that it doesn't take; weights that are missing, unreadable, not finite or of other shapes.
    """
    if not isinstance(sizes, dict) or not all(isinstance(size, int) and 0 < size <= 1 << 16 for size in sizes.values()):
        raise InputError(f"{folder / 'config.yaml'}: model is {sizes!r}; expected sizes as positive whole numbers")
    try:
        model = network(**sizes)
    except TypeError:
        raise InputError(f"{folder / 'config.yaml'}: model has {', '.join(sizes)}; train the model again") from None
    load_weights(folder, model)
    return model.to(default_device()).eval()
