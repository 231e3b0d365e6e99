"""Some nodes' edges as tensors, and the layers that encode nodes (paper section 3.3)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clustering.backends.hilander.level import Level, edge_inputs

Encoder = Literal["graph", "reference", "gat"]
ENCODERS: tuple[Encoder, ...] = get_args(Encoder)
NEGATIVE_SLOPE = 0.2


@dataclass(frozen=True)
class EdgeBatch:
    """The edges of b nodes as tensors, beside the features of all n.

    Attributes:
        features: float32 [n, d].
        nodes: Which nodes these are: a slice, or int64 [b].
        neighbors: int64 [b, k], 0 where missing.
        valid: Bool [b, k].
        similarities: float32 [b, k], 0 where missing.
        edges: float32 [b, k, EDGE_INPUTS], `edge_inputs`.
    """

    features: Tensor
    nodes: slice | Tensor
    neighbors: Tensor
    valid: Tensor
    similarities: Tensor
    edges: Tensor

    @classmethod
    def of(cls, level: Level, features: Tensor, edges: bool = True, rows: slice = slice(None)) -> EdgeBatch:
        """Copies a level's edges, or those of some `rows`, to the device of the features.

        Args:
            level: Of n nodes.
            features: float32 [n, d], `node_features`; not looked at here.
            edges: Whether the model looks at `edge_inputs`.
            rows: Of these nodes.
        """
        graph, valid = level.graph, level.graph.neighbors[rows] >= 0
        arrays = [
            np.where(valid, graph.neighbors[rows], 0).astype(np.int64),
            valid,
            np.where(valid, graph.similarities[rows], 0),
            edge_inputs(level, rows) if edges else np.zeros((*valid.shape, 0), np.float32),
        ]
        return cls(features, rows, *(torch.from_numpy(array).to(features.device) for array in arrays))

    def at(self, nodes: Tensor) -> EdgeBatch:
        """The edges of some nodes, from a batch with the edges of all.

        Args:
            nodes: int64 [b].
        """
        return EdgeBatch(
            self.features, nodes, self.neighbors[nodes], self.valid[nodes], self.similarities[nodes], self.edges[nodes]
        )

    def weights(self, shares: bool) -> Tensor:
        """w_ij, float32 [b, k]: a_ij over the number of neighbours, or as `shares` of the similarities, with sum 1.

        Of shares a negative cosine counts as 0, or they could be of any size; without a similar neighbour all are 0.
        """
        if not shares:
            return self.similarities / self.valid.sum(dim=1, keepdim=True).clamp(min=1)
        similar = self.similarities.clamp(min=0)
        total = similar.sum(dim=1, keepdim=True)
        return similar / torch.where(total > 0, total, 1)


def node_features(level: Level, device: torch.device) -> Tensor:
    """Float32 [n, d]: the features of a level's nodes, on the device; not copied if that is the CPU."""
    with warnings.catch_warnings():  # torch warns of memory that it must not write to; nothing writes to features
        warnings.simplefilter("ignore")
        return torch.from_numpy(np.ascontiguousarray(level.graph.embeddings)).to(device)


class GraphConvolution(nn.Module):
    """``relu(W [h_i | sum_j w_ij h_j] + b)`` with w_ij of `EdgeBatch.weights`: a plain graph convolution.

    Args:
        dimension: Dimension of the node features.
        width: Width of the encodings.
        shares: Whether the weights are shares, as in the paper's public reference. The others also tell how similar
            the neighbours are, and learn better.
    """

    def __init__(self, dimension: int, width: int, shares: bool = False):
        super().__init__()
        self.linear = nn.Linear(2 * dimension, width)
        self.shares = shares

    def parts(self, features: Tensor) -> tuple[Tensor, ...]:
        """Computes what all nodes of a level share: the weights of a node and of its neighbours, [width, d] each."""
        return tuple(fold_repeated_weight(weight, features.shape[1]) for weight in self.linear.weight.chunk(2, dim=1))

    def forward(self, graph: EdgeBatch, parts: tuple[Tensor, ...]) -> Tensor:
        """Encodes nodes: float32 [b, width].

        Args:
            graph: Of b nodes.
            parts: Of its level.
        """
        own, near = parts
        mean = weighted_neighbor_sum(graph.features, graph.neighbors, graph.weights(self.shares))
        out = torch.addmm(self.linear.bias, graph.features[graph.nodes], own.T)
        return out.addmm_(mean, near.T).relu_()


class GraphAttention(nn.Module):
    """A graph attention layer (Velickovic et al. 2018, equations 1-4 and 6): the mean of its heads, and a ReLU.

    ``z = W h``, ``alpha_ij = softmax_j(leaky_relu(<a_source, z_j> + <a_target, z_i>))`` over a node's neighbours (a
    node is none of its own), ``relu(mean_heads(sum_j alpha_ij z_j) + b)``. No z is computed: ``<a, W h>`` is
    ``<W^T a, h>``, and the sum of the z is W times the sum of the h.

    Args:
        dimension: Dimension of the node features.
        width: Width of the encodings, and of every head.
        heads: Attention heads.
    """

    def __init__(self, dimension: int, width: int, heads: int = 1):
        super().__init__()
        self.linear = nn.Linear(dimension, heads * width, bias=False)
        self.source = nn.Parameter(torch.empty(heads, width))
        self.target = nn.Parameter(torch.empty(heads, width))
        self.bias = nn.Parameter(torch.zeros(width))
        for weight in (self.linear.weight, self.source, self.target):
            nn.init.xavier_normal_(weight, gain=nn.init.calculate_gain("relu"))

    def parts(self, features: Tensor) -> tuple[Tensor, ...]:
        """Computes what all nodes of a level share.

        Returns:
            For each head W, [width, d], then ``<a_source, z>`` and ``<a_target, z>`` of all nodes, [n] each.
        """
        found: list[Tensor] = []
        for weight, source, target in zip(
            self.linear.weight.chunk(len(self.source)), self.source, self.target, strict=True
        ):
            weight = fold_repeated_weight(weight, features.shape[1])
            found += [weight, features @ (source @ weight), features @ (target @ weight)]
        return tuple(found)

    def forward(self, graph: EdgeBatch, parts: tuple[Tensor, ...]) -> Tensor:
        """Encodes nodes: float32 [b, width].

        Args:
            graph: Of b nodes.
            parts: Of its level.
        """
        encoded: Tensor = self.bias
        for weight, source, target in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            attention = self._attention(graph, source, target[graph.nodes])
            mean = weighted_neighbor_sum(graph.features, graph.neighbors, attention)
            encoded = encoded + mean @ weight.T / len(self.source)
        return torch.relu(encoded)

    @staticmethod
    def _attention(graph: EdgeBatch, source: Tensor, target: Tensor) -> Tensor:
        """alpha_ij, float32 [b, k]; rows without neighbours are 0.

        Args:
            graph: Of b nodes.
            source: float32 [n], of neighbours.
            target: float32 [b], of the nodes.
        """
        scores = F.leaky_relu(F.embedding(graph.neighbors, source[:, None])[..., 0] + target[:, None], NEGATIVE_SLOPE)
        scores = scores.masked_fill(~graph.valid, torch.finfo(scores.dtype).min)
        return torch.softmax(scores, dim=1) * graph.valid


def fold_repeated_weight(weight: Tensor, dimension: int) -> Tensor:
    """Weights for features that a model sees twice over, as on the lowest level: ``[A | B] [h | h] = (A + B) h``.

    Args:
        weight: float32 [width, c d].
        dimension: d.

    Returns:
        float32 [width, d].
    """
    return sum(weight.split(dimension, dim=1)[1:], start=weight[:, :dimension])


def weighted_neighbor_sum(values: Tensor, neighbors: Tensor, weights: Tensor) -> Tensor:
    """``sum_j w_ij v_j``, float32 [b, width], without the edges' [b, k, width].

    Args:
        values: float32 [n, width].
        neighbors: int64 [b, k].
        weights: float32 [b, k].
    """
    return F.embedding_bag(neighbors, values, per_sample_weights=weights, mode="sum")
