"""LANDER: linkage probabilities of the edges of one graph (paper section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from clustering.backends.hilander.encoders import ENCODERS, EdgeBatch, GraphAttention, GraphConvolution
from clustering.backends.hilander.level import EDGE_INPUTS
from clustering.backends.weights import default_device, load_weights
from clustering.settings import check_choice
from facerec.pipeline.files import InputError

Inputs = Literal["features", "similarities", "both"]
INPUTS: tuple[Inputs, ...] = get_args(Inputs)
SETTINGS = ("inputs", "dimension", "width", "hidden", "encoder", "heads")


class LinkageModel(nn.Module):
    """Predicts r_ij, the probability that the nodes of an edge share an identity.

    As in the paper with ``inputs="features"``: encoder, a perceptron over both ends, softmax. With
    ``"similarities"`` the perceptron sees `edge_inputs` alone and no embedding, so that the model works for any
    dimension and carries over to other recognisers; ``"both"`` adds the two up.

    Args:
        inputs: One of `INPUTS`.
        dimension: Dimension of the node features; 0 for any (only with ``"similarities"``).
        width: Width of the encoder.
        hidden: Hidden units of the perceptron.
        encoder: One of `ENCODERS`: a plain graph convolution, the one of the public reference, or graph attention.
        heads: Attention heads.
    """

    engine: ClassVar[str] = "native"

    def __init__(
        self,
        inputs: str = "similarities",
        dimension: int = 0,
        width: int = 256,
        hidden: int = 32,
        encoder: str = "graph",
        heads: int = 1,
    ):
        super().__init__()
        check_choice("inputs", inputs, INPUTS)
        check_choice("encoder", encoder, ENCODERS)
        self.inputs, self.dimension, self.width, self.hidden = inputs, dimension, width, hidden
        self.encoder_name, self.heads = encoder, heads
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

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    def forward(self, graph: EdgeBatch, rows: Tensor | None = None) -> Tensor:
        """Log-probabilities of "other identity" and "same identity", float32 [b, k, 2].

        Values of missing neighbours are meaningless.

        Args:
            graph: The edges of all n nodes.
            rows: int64 [b], the nodes whose edges are scored; None for all.
        """
        return torch.log_softmax(self.scores(graph, rows), dim=-1)

    def scores(self, graph: EdgeBatch, rows: Tensor | None = None) -> Tensor:
        """The edge head's two outputs, float32 [b, k, 2]."""
        edges = graph if rows is None else graph.at(rows)
        if self.inputs == "similarities":
            return self._head(self.edge_mlp(edges.edges))
        parts = self.encoder.parts(graph.features)
        near, places = edges.neighbors.unique(return_inverse=True)
        source = self.src_mlp(self.encoder(graph.at(near), parts))
        hidden = source.index_select(0, places.flatten()).view(*places.shape, -1)
        hidden = hidden + self.dst_mlp(self.encoder(edges, parts))[:, None]
        return self._head(hidden if self.inputs == "features" else hidden + self.edge_mlp(edges.edges))

    def _head(self, hidden: Tensor) -> Tensor:
        """Scores float32 [b, k, 2] of hidden values [b, k, hidden]."""
        scores: Tensor = self.head(hidden.flatten(0, 1))
        return scores.view(*hidden.shape[:2], 2)

    def log_odds(self, inputs: Tensor) -> Tensor:
        """Log-odds that pairs are of one identity, float32 [e]; only for models with ``inputs="similarities"``.

        Args:
            inputs: float32 [e, EDGE_INPUTS], `edge_inputs` or `pair_inputs`.
        """
        scores: Tensor = self.head(self.edge_mlp(inputs))
        return scores[:, 1] - scores[:, 0]

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
        """The constructor's arguments, and the engine."""
        return {
            "inputs": self.inputs, "dimension": self.dimension, "width": self.width, "hidden": self.hidden,
            "encoder": self.encoder_name, "heads": self.heads, "engine": self.engine,
        }  # fmt: skip

    @classmethod
    def load(cls, folder: Path, settings: Mapping[str, Any]) -> LinkageModel:
        """Reads a model whose weights `save_weights` wrote.

        Raises:
            InputError: Unusable settings, no or an unreadable file, or weights of other names or shapes.
        """
        model = cls._of_settings(folder, settings)
        load_weights(folder, model)
        return model.to(default_device())

    @classmethod
    def _of_settings(cls, folder: Path, settings: Mapping[str, Any]) -> LinkageModel:
        file = folder / "config.yaml"
        settings = {name: value for name, value in settings.items() if name != "engine"}
        if set(settings) != set(SETTINGS):
            raise InputError(f"{file}: model settings {', '.join(map(str, settings))}; expected {', '.join(SETTINGS)}")
        sizes = [settings[name] for name in ("dimension", "width", "hidden", "heads")]
        if not all(type(size) is int and 0 <= size <= 1 << 16 for size in sizes) or 0 in sizes[1:]:
            raise InputError(f"{file}: dimension, width, hidden and heads are {sizes}; expected whole numbers")
        with torch.device("meta"):
            return cls(**settings)
