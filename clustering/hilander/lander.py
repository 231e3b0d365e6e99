"""LANDER: linkage probabilities of the edges of one graph (paper section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from clustering.hilander.level import EDGE_INPUTS, Level, edge_inputs
from facerec.artifacts import InputError

INPUTS = ("features", "similarities", "both")
NODE_BLOCK = 4096


@dataclass(frozen=True)
class Prepared:
    """A level's graph as tensors.

    Attributes:
        features: float32 [n, d].
        neighbors: int64 [n, k], 0 where missing.
        valid: Bool [n, k].
        similarities: float32 [n, k], 0 where missing.
        edges: float32 [n, k, EDGE_INPUTS], `edge_inputs`.
    """

    features: Tensor
    neighbors: Tensor
    valid: Tensor
    similarities: Tensor
    edges: Tensor

    @classmethod
    def of(cls, level: Level, device: torch.device) -> Prepared:
        """Copies a level to a device."""
        graph = level.graph
        neighbors = torch.from_numpy(np.where(graph.valid, graph.neighbors, 0).astype(np.int64))
        tensors = [
            torch.from_numpy(np.array(graph.embeddings)), neighbors, torch.from_numpy(graph.valid),
            torch.from_numpy(np.where(graph.valid, graph.similarities, 0)), torch.from_numpy(edge_inputs(level)),
        ]  # fmt: skip
        return cls(*(tensor.to(device) for tensor in tensors))


class GraphConvolution(nn.Module):
    """``relu(W [h_i | mean_j a_ij h_j])``: a graph convolution over fixed-k neighbour arrays."""

    def __init__(self, dimension: int, width: int):
        super().__init__()
        self.linear = nn.Linear(2 * dimension, width)

    def forward(self, graph: Prepared) -> Tensor:
        """Encodes nodes block by block: float32 [n, width]."""
        counts = graph.valid.sum(dim=1, keepdim=True).clamp(min=1)
        encoded = []
        for start in range(0, len(graph.features), NODE_BLOCK):
            rows = slice(start, start + NODE_BLOCK)
            neighbors = graph.features[graph.neighbors[rows]]
            mean = torch.bmm(graph.similarities[rows, None], neighbors)[:, 0] / counts[rows]
            encoded.append(torch.relu(self.linear(torch.cat([graph.features[rows], mean], dim=1))))
        return torch.cat(encoded)


class Lander(nn.Module):
    """Predicts r_ij, the probability that the nodes of an edge share an identity.

    As in the paper with ``inputs="features"``: encoder, a perceptron over both ends, softmax. With
    ``"similarities"`` the perceptron sees `edge_inputs` alone and no embedding, so that the model works for any
    dimension and carries over to other recognisers; ``"both"`` adds the two up.

    Args:
        inputs: One of `INPUTS`.
        dimension: Of the node features; 0 for any (only with ``"similarities"``).
        width: Of the encoder.
        hidden: Of the perceptron.
    """

    def __init__(self, inputs: str = "similarities", dimension: int = 0, width: int = 256, hidden: int = 32):
        super().__init__()
        if inputs not in INPUTS:
            raise InputError(f"inputs is {inputs!r}; it must be one of {', '.join(INPUTS)}")
        self.inputs, self.dimension, self.width, self.hidden = inputs, dimension, width, hidden
        if inputs != "similarities":
            self.encoder = GraphConvolution(dimension, width)
            self.src_mlp = nn.Linear(width, hidden)
            self.dst_mlp = nn.Linear(width, hidden)
        if inputs != "features":
            self.edge_mlp = nn.Linear(EDGE_INPUTS, hidden)
        self.head = nn.Sequential(nn.PReLU(), nn.Linear(hidden, hidden), nn.PReLU(), nn.Linear(hidden, 2))

    def forward(self, graph: Prepared) -> Tensor:
        """Log-probabilities of "other identity" and "same identity": float32 [n, k, 2]."""
        joined = []
        ends = None if self.inputs == "similarities" else self._ends(graph)
        for start in range(0, len(graph.neighbors), NODE_BLOCK):
            rows = slice(start, start + NODE_BLOCK)
            hidden = 0 if self.inputs == "features" else self.edge_mlp(graph.edges[rows])
            if ends is not None:
                hidden = hidden + ends[0][rows, None] + ends[1][graph.neighbors[rows]]
            joined.append(torch.log_softmax(self.head(hidden), dim=-1))
        return torch.cat(joined)

    def _ends(self, graph: Prepared) -> tuple[Tensor, Tensor]:
        encoded = self.encoder(graph)
        return self.src_mlp(encoded), self.dst_mlp(encoded)

    @torch.inference_mode()
    def link(self, level: Level) -> np.ndarray:
        """Linkage probabilities r_ij, float32 [n, k]; 0 for missing neighbours."""
        graph = Prepared.of(level, next(self.parameters()).device)
        return (self(graph)[..., 1].exp() * graph.valid).cpu().numpy()

    def check_dimension(self, dimension: int) -> None:
        """Refuses features of another dimension than the model was trained on.

        Raises:
            InputError: Naming both.
        """
        if self.dimension not in (0, dimension):
            raise InputError(
                f"the model was trained on node features of {self.dimension} dimensions, these have {dimension}; "
                "train it on embeddings of the same recogniser"
            )

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"inputs": self.inputs, "dimension": self.dimension, "width": self.width, "hidden": self.hidden}

    def save(self, folder: Path) -> None:
        """Writes model.safetensors."""
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        safetensors.torch.save_file(state, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path, settings: Mapping[str, Any]) -> Lander:
        """Reads a model that `save` wrote.

        Raises:
            InputError: Unusable settings, no or an unreadable file, or weights of other names or shapes.
        """
        model, file = cls._of_settings(folder, settings), folder / "model.safetensors"
        if not file.is_file():
            raise InputError(f"{file}: no such file; train the model again")
        try:
            state = safetensors.torch.load_file(file)
        except (OSError, safetensors.SafetensorError) as error:
            raise InputError(f"{file}: not readable as safetensors ({error}); it may be truncated") from None
        wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        there = {name: tuple(tensor.shape) for name, tensor in state.items()}
        for name in sorted(wanted.keys() | there.keys()):
            if wanted.get(name) != there.get(name):
                raise InputError(
                    f"{file}: {name} has shape {there.get(name)}, config.yaml asks for {wanted.get(name)}; "
                    "take both files from the same training"
                )
        model.load_state_dict(state)
        if not all(tensor.isfinite().all() for tensor in state.values()):
            raise InputError(f"{file}: NaN or infinite weights; train the model again")
        return model.to(default_device())

    @classmethod
    def _of_settings(cls, folder: Path, settings: Mapping[str, Any]) -> Lander:
        file = folder / "config.yaml"
        names = ("inputs", "dimension", "width", "hidden")
        if set(settings) != set(names):
            raise InputError(f"{file}: model settings {', '.join(settings)}; expected {', '.join(names)}")
        sizes = [settings[name] for name in names[1:]]
        if not all(isinstance(size, int) and 0 <= size <= 1 << 16 for size in sizes):
            raise InputError(f"{file}: dimension, width and hidden are {sizes}; expected whole numbers")
        return cls(**settings)


def default_device() -> torch.device:
    """CUDA if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
