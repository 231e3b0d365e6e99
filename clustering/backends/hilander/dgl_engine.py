"""`LinkageModel` in DGL: `dgl.nn` layers and message passing over the same weights.

DGL is optional. It is imported only when a model computes with it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.func import functional_call

from clustering.backends.hilander.encoders import NEGATIVE_SLOPE, EdgeBatch, GraphAttention, fold_repeated_weight
from clustering.backends.hilander.lander import LinkageModel
from facerec.pipeline.files import InputError


def require() -> Any:
    """Imports DGL.

    Raises:
        InputError: It is not installed, or does not fit this Python or torch.
    """
    try:
        import dgl
        import dgl.nn.pytorch
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"engine is 'dgl', and DGL cannot be imported ({reason}); install dgl 1.1.3 or take engine 'native'"
        ) from None
    return dgl


class DglLinkageModel(LinkageModel):
    """`LinkageModel` computed by DGL: the same weights and results.

    Raises:
        InputError: DGL cannot be imported.
    """

    engine: ClassVar[str] = "dgl"

    def __init__(self, *settings: Any, **named: Any):
        require()
        super().__init__(*settings, **named)

    def scores(self, graph: EdgeBatch, rows: Tensor | None = None) -> Tensor:
        """The edge head's two outputs, float32 [b, k, 2]; 0 for missing neighbours."""
        hidden: Any = 0 if self.inputs == "features" else self.edge_mlp(graph.edges[graph.valid])
        if self.inputs != "similarities":
            layer, messages = self.encoder, dgl_graph(graph)
            encode = attention if isinstance(layer, GraphAttention) else convolution
            encoded = encode(layer, messages, graph)
            hidden = hidden + require().ops.u_add_v(messages, self.src_mlp(encoded), self.dst_mlp(encoded))
        found = self.head(hidden)
        scores = found.new_zeros(*graph.valid.shape, 2).masked_scatter(graph.valid[..., None], found)
        return scores if rows is None else scores[rows]


def dgl_graph(graph: EdgeBatch) -> Any:
    """A DGL graph with an edge from every neighbour that is there to its node, row by row."""
    nodes = torch.arange(len(graph.valid), device=graph.valid.device)[:, None].expand_as(graph.valid)
    ends = graph.neighbors[graph.valid], nodes[graph.valid]
    return require().graph(ends, num_nodes=len(graph.valid))


def convolution(layer: Any, messages: Any, graph: EdgeBatch) -> Tensor:
    """A layer of `GraphConvolution` by `dgl.nn.GraphConv`."""
    own, near = layer.parts(graph.features)
    width, dimension = own.shape
    conv = require().nn.pytorch.GraphConv(dimension, width, norm="none", allow_zero_in_degree=True)
    weights = graph.weights(layer.shares)[graph.valid]
    found = functional_call(
        conv, {"weight": near.T, "bias": layer.linear.bias}, (messages, graph.features), {"edge_weight": weights}
    )
    return torch.relu(found + graph.features @ own.T)


def attention(layer: Any, messages: Any, graph: EdgeBatch) -> Tensor:
    """A layer of `GraphAttention` by `dgl.nn.GATConv`."""
    heads, width = layer.source.shape
    conv = require().nn.pytorch.GATConv(
        graph.features.shape[1], width, heads, negative_slope=NEGATIVE_SLOPE, allow_zero_in_degree=True, bias=False
    )
    weights = {
        "fc.weight": fold_repeated_weight(layer.linear.weight, graph.features.shape[1]),
        "attn_l": layer.source[None],
        "attn_r": layer.target[None],
    }
    found = functional_call(conv, weights, (messages, graph.features))
    return torch.relu(found.mean(dim=1) + layer.bias)
