"""A level's graph as tensors, and the layers that encode its nodes (paper section 3.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clustering.hilander.level import Level, edge_inputs

ENCODERS = ("graph", "reference", "gat")
NEGATIVE_SLOPE = 0.2
NODE_BLOCK = 8192


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
    def of(
        cls, level: Level, device: torch.device, features: bool = True, edges: bool = True, rows: slice = slice(None)
    ) -> Prepared:
        """Copies a level, or the edges of some `rows`, to a device.

        Without `features` or `edges`, what a model does not look at stays behind.
        """
        graph, valid = level.graph, level.graph.neighbors[rows] >= 0
        neighbors = np.where(valid, graph.neighbors[rows], 0).astype(np.int64)
        seen = graph.embeddings[rows] if features else np.zeros((len(neighbors), 0), np.float32)
        arrays = [
            np.require(seen, requirements=["C", "W"]),  # torch warns of memory that it must not write to
            neighbors,
            valid,
            np.where(valid, graph.similarities[rows], 0),
            edge_inputs(level, rows) if edges else np.zeros((*neighbors.shape, 0), np.float32),
        ]  # fmt: skip
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))

    def weights(self, shares: bool) -> Tensor:
        """w_ij, float32 [n, k]: a_ij over the number of neighbours, or as `shares` of the similarities, with sum 1.

        Of shares a negative cosine counts as 0, or they could be of any size; without a similar neighbour all are 0.
        """
        if not shares:
            return self.similarities / self.valid.sum(dim=1, keepdim=True).clamp(min=1)
        similar = self.similarities.clamp(min=0)
        total = similar.sum(dim=1, keepdim=True)
        return similar / torch.where(total > 0, total, 1)


class GraphConvolution(nn.Module):
    """``relu(W [h_i | sum_j w_ij h_j] + b)`` with w_ij of `Prepared.weights`: a plain graph convolution.

    Args:
        dimension: Of the node features.
        width: Of the encodings.
        shares: Whether the weights are shares, as in the paper's public reference. The others also tell how similar
            the neighbours are, and learn better.
    """

    def __init__(self, dimension: int, width: int, shares: bool = False):
        super().__init__()
        self.linear = nn.Linear(2 * dimension, width)
        self.shares = shares

    def forward(self, graph: Prepared) -> Tensor:
        """Encodes nodes: float32 [n, width]."""
        return torch.cat(list(self.blocks(graph)))

    def blocks(self, graph: Prepared) -> Iterator[Tensor]:
        """Encodes nodes some at a time: float32 [b, width] each."""
        own, near = self.linear.weight.chunk(2, dim=1)
        weights = graph.weights(self.shares)
        for start in range(0, len(weights), NODE_BLOCK):
            rows = slice(start, start + NODE_BLOCK)
            mean = gathered(graph.features, graph.neighbors[rows], weights[rows])
            out = torch.addmm(self.linear.bias, graph.features[rows], own.T)
            yield torch.relu_(torch.addmm(out, mean, near.T))


class GraphAttention(nn.Module):
    """A graph attention layer (Velickovic et al. 2018, equations 1-4 and 6): the mean of its heads, and a ReLU.

    ``z = W h``, ``alpha_ij = softmax_j(leaky_relu(<a_source, z_j> + <a_target, z_i>))`` over a node's neighbours (a
    node is none of its own), ``relu(mean_heads(sum_j alpha_ij z_j) + b)``.

    Args:
        dimension: Of the node features.
        width: Of the encodings, and of every head.
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

    def forward(self, graph: Prepared) -> Tensor:
        """Encodes nodes: float32 [n, width]."""
        encoded: Tensor = self.bias
        heads = self.linear.weight.chunk(len(self.source))
        for weight, source, target in zip(heads, self.source, self.target, strict=True):
            z = graph.features @ weight.T
            attention = self._attention(graph, z @ source, z @ target)
            encoded = encoded + gathered(z, graph.neighbors, attention) / len(self.source)
        return torch.relu(encoded)

    def blocks(self, graph: Prepared) -> Iterator[Tensor]:
        """All nodes at once, as every head's z is needed for all: float32 [n, width]."""
        yield self(graph)

    @staticmethod
    def _attention(graph: Prepared, source: Tensor, target: Tensor) -> Tensor:
        """alpha_ij, float32 [n, k]; rows without neighbours are 0."""
        scores = F.leaky_relu(source[graph.neighbors] + target[:, None], NEGATIVE_SLOPE)
        scores = scores.masked_fill(~graph.valid, torch.finfo(scores.dtype).min)
        return torch.softmax(scores, dim=1) * graph.valid


def gathered(values: Tensor, neighbors: Tensor, weights: Tensor) -> Tensor:
    """``sum_j w_ij v_j``, float32 [b, width], without the edges' [b, k, width].

    Args:
        values: float32 [n, width].
        neighbors: int64 [b, k].
        weights: float32 [b, k].
    """
    return F.embedding_bag(neighbors, values, per_sample_weights=weights, mode="sum")
