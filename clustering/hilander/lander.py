"""LANDER: linkage probabilities of the edges of one graph (paper section 3.3)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from clustering.base import check_choice
from clustering.hilander.encoders import ENCODERS, GraphAttention, GraphConvolution, Prepared
from clustering.hilander.level import EDGE_INPUTS, Level
from facerec.artifacts import InputError

INPUTS = ("features", "similarities", "both")
ENGINES = ("native", "dgl")
BLOCK_VALUES = 1 << 19
LINK_ROWS = 16_384
LATER_SETTINGS = {"encoder": "graph", "heads": 1, "engine": "native"}  # which older config.yaml do not have


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
        encoder: One of `ENCODERS`: a plain graph convolution, the one of the public reference, or graph attention.
        heads: Of the attention.
        engine: One of `ENGINES`, with the same weights and results: fixed-k neighbour arrays or DGL.
    """

    def __init__(
        self,
        inputs: str = "similarities",
        dimension: int = 0,
        width: int = 256,
        hidden: int = 32,
        encoder: str = "graph",
        heads: int = 1,
        engine: str = "native",
    ):
        super().__init__()
        check_choice("inputs", inputs, INPUTS)
        check_choice("encoder", encoder, ENCODERS)
        check_choice("engine", engine, ENGINES)
        if engine == "dgl":
            _dgl_engine().require()
        self.inputs, self.dimension, self.width, self.hidden = inputs, dimension, width, hidden
        self.encoder_name, self.heads, self.engine = encoder, heads, engine
        if inputs != "similarities":
            self.encoder = (
                GraphAttention(dimension, width, heads)
                if encoder == "gat"
                else GraphConvolution(dimension, width, shares=encoder == "reference")
            )
            self.src_mlp = nn.Linear(width, hidden)
            self.dst_mlp = nn.Linear(width, hidden)
        if inputs != "features":
            self.edge_mlp = nn.Linear(EDGE_INPUTS, hidden)
        slopes = 1 if inputs == "similarities" else hidden
        self.head = nn.Sequential(nn.PReLU(slopes), nn.Linear(hidden, hidden), nn.PReLU(slopes), nn.Linear(hidden, 2))

    def forward(self, graph: Prepared) -> Tensor:
        """Log-probabilities of "other identity" and "same identity", float32 [n, k, 2].

        Those of missing neighbours mean nothing.
        """
        return torch.log_softmax(self._scores(graph), dim=-1)

    def _scores(self, graph: Prepared) -> Tensor:
        """The edge head's two outputs, float32 [n, k, 2]."""
        if self.engine == "dgl":
            return _dgl_engine().scores(self, graph)
        ends = None if self.inputs == "similarities" else self._ends(graph)
        rows = max(1, BLOCK_VALUES // (self.hidden * graph.neighbors.shape[1]))
        blocks = [slice(start, start + rows) for start in range(0, len(graph.neighbors), rows)]
        # For the gradient, wide blocks are computed again, or the hidden values of all edges would be kept.
        if ends is not None and len(blocks) > 1 and torch.is_grad_enabled():
            again = partial(checkpoint, self._block, graph, ends, use_reentrant=False, preserve_rng_state=False)
            return torch.cat([again(block) for block in blocks])
        return torch.cat([self._block(graph, ends, block) for block in blocks])

    def _ends(self, graph: Prepared) -> tuple[Tensor, Tensor]:
        """What a node adds to the hidden values of edges as a neighbour and as their own node: float32 [n, hidden]."""
        source: list[Tensor] = []
        target: list[Tensor] = []
        for encoded in self.encoder.blocks(graph):
            source.append(self.src_mlp(encoded))
            target.append(self.dst_mlp(encoded))
        joined = torch.cat(source)
        source.clear()  # so that no more than one of the two is held twice
        return joined, torch.cat(target)

    def _block(self, graph: Prepared, ends: tuple[Tensor, Tensor] | None, rows: slice) -> Tensor:
        """Scores of the edges of some nodes, float32 [b, k, 2]."""
        neighbors = graph.neighbors[rows]
        hidden = None if self.inputs == "features" else self.edge_mlp(graph.edges[rows])
        if ends is not None:
            joined = ends[0].index_select(0, neighbors.flatten()).view(*neighbors.shape, -1)
            joined += ends[1][rows, None]
            hidden = joined if hidden is None else hidden + joined
        assert hidden is not None
        out: Tensor = self.head(hidden.flatten(0, 1))
        return out.view(*neighbors.shape, 2)

    @torch.inference_mode()
    def link(self, level: Level) -> np.ndarray:
        """Linkage probabilities r_ij, float32 [n, k]; 0 for missing neighbours."""
        device, edges = next(self.parameters()).device, self.inputs != "features"
        if self.inputs != "similarities":
            return self._linkage(Prepared.of(level, device, edges=edges))
        starts = range(0, max(len(level.graph), 1), LINK_ROWS)  # edges on their own: a block of them at a time
        blocks = (slice(start, start + LINK_ROWS) for start in starts)
        return np.concatenate([self._linkage(Prepared.of(level, device, features=False, rows=rows)) for rows in blocks])

    def _linkage(self, graph: Prepared) -> np.ndarray:
        scores = self._scores(graph)
        return (torch.sigmoid(scores[..., 1] - scores[..., 0]) * graph.valid).cpu().numpy()

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
        return {
            "inputs": self.inputs, "dimension": self.dimension, "width": self.width, "hidden": self.hidden,
            "encoder": self.encoder_name, "heads": self.heads, "engine": self.engine,
        }  # fmt: skip

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
        settings = {**LATER_SETTINGS, **settings}
        names = ("inputs", "dimension", "width", "hidden", *LATER_SETTINGS)
        if set(settings) != set(names):
            raise InputError(f"{file}: model settings {', '.join(settings)}; expected {', '.join(names)}")
        sizes = [settings[name] for name in ("dimension", "width", "hidden", "heads")]
        if not all(isinstance(size, int) and 0 <= size <= 1 << 16 for size in sizes) or 0 in sizes[1:]:
            raise InputError(f"{file}: dimension, width, hidden and heads are {sizes}; expected whole numbers")
        return cls(**settings)


def _dgl_engine() -> ModuleType:
    """The module, imported only when it is asked for: DGL is optional."""
    return importlib.import_module("clustering.hilander.dgl_engine")


def default_device() -> torch.device:
    """CUDA if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
