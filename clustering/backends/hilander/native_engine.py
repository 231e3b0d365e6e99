"""Linkage probabilities of all edges of a level, block by block: inference of `LinkageModel`.

The head's products run in two buffers that are used again and again. New memory for every few edges would often come
from the system, which can take as long as the products.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from clustering.backends.hilander.encoders import EdgeBatch, node_features
from clustering.backends.hilander.lander import LinkageModel
from clustering.backends.hilander.level import Level
from clustering.graph.shared_rows import exchange, own_blocks
from facerec.pipeline.files import row_blocks

BLOCK_VALUES = {"cpu": 1 << 20, "cuda": 1 << 25}  # hidden values of the edges in a block
HEAD_VALUES = {"cpu": 1 << 18, "cuda": 1 << 25}  # hidden values in the head at once: buffers of 1 MiB, or 128 MiB
KEPT_VALUES = {"cpu": 1 << 22, "cuda": 1 << 30}  # hidden values of all nodes up to which none is encoded twice


@torch.inference_mode()
def link(model: LinkageModel, level: Level) -> np.ndarray:
    """Linkage probabilities r_ij, float32 [n, k]; 0 for missing neighbours."""
    device, (n, k) = model.device, level.graph.neighbors.shape
    block, at_once = (
        max(1, values[device.type] // (model.hidden * max(k, 1))) for values in (BLOCK_VALUES, HEAD_VALUES)
    )
    nodes = _Nodes(model, level, block)
    room = torch.empty(2, min(at_once, n), k, model.hidden, dtype=torch.float32, device=device)
    linkage = np.zeros((n, k), dtype=np.float32)
    for rows in own_blocks(n, block):
        graph = EdgeBatch.of(level, nodes.features, model.inputs != "features", rows)
        linkage[rows] = probabilities(graph, _log_odds(model, graph, nodes.source, nodes.target(graph), room))
    exchange(linkage, block)
    return linkage


def probabilities(graph: EdgeBatch, log_odds: Tensor) -> np.ndarray:
    """Linkage probabilities float32 [b, k] of the edges of b nodes, 0 for missing neighbours, of their log-odds."""
    return (torch.sigmoid(log_odds) * graph.valid).cpu().numpy()


class _Nodes:
    """The two terms of an edge's hidden values that depend on one node each: its neighbour, and its own node.

    ``source``, float32 [n, hidden], has the first term; it is [0, hidden] if the model does not look at nodes. It is
    kept for all nodes, because edges of any block may need it. The second term is kept only for this process's nodes,
    and only if it is small enough. Otherwise nodes are encoded twice: 10 % more work, half the memory.

    Args:
        model: The model that encodes.
        level: The level, of n nodes.
        block: Nodes in a block.
    """

    def __init__(self, model: LinkageModel, level: Level, block: int):
        self._model, device, hidden = model, model.device, model.hidden
        self._kept: Tensor | None
        n = len(level.sizes)
        if model.inputs == "similarities":
            self.features = self.source = torch.zeros(0, hidden, dtype=torch.float32, device=device)
            self._kept = model.edge_mlp.bias.expand(n, -1)
            return
        self.features = node_features(level, device)
        self._parts = model.encoder.parts(self.features)
        self.source = torch.empty(n, hidden, dtype=torch.float32, device=device)
        self._kept = torch.empty_like(self.source) if n * hidden <= KEPT_VALUES[device.type] else None
        for rows in own_blocks(n, block):
            encoded = model.encoder(EdgeBatch.of(level, self.features, edges=False, rows=rows), self._parts)
            torch.addmm(model.src_mlp.bias, encoded, model.src_mlp.weight.T, out=self.source[rows])
            if self._kept is not None:
                self._kept[rows] = self._target(encoded)
        exchange(self.source, block)

    def target(self, graph: EdgeBatch) -> Tensor:
        """The second term, of the edges' own nodes: float32 [b, hidden]."""
        if self._kept is not None:
            return self._kept[graph.nodes]
        return self._target(self._model.encoder(graph, self._parts))

    def _target(self, encoded: Tensor) -> Tensor:
        layer, others = self._model.dst_mlp, self._model.inputs == "both"
        bias = layer.bias + self._model.edge_mlp.bias if others else layer.bias
        return torch.addmm(bias, encoded, layer.weight.T)


def _log_odds(model: LinkageModel, graph: EdgeBatch, source: Tensor, target: Tensor, room: Tensor) -> Tensor:
    """How much higher the head scores "same identity" than "other identity", float32 [b, k], for the edges of b nodes.

    Args:
        model: With the head.
        graph: Of the b nodes.
        source: `_Nodes.source`.
        target: float32 [b, hidden], from `_Nodes.target`.
        room: float32 [2, nodes at a time, k, hidden], overwritten.
    """
    slope, weight, bias, last_slope, last_weight, last_bias = model.head.parameters()
    same, found = last_weight[1] - last_weight[0], room.new_empty(graph.neighbors.shape)
    for rows in row_blocks(len(found), room.shape[1]):
        near = graph.neighbors[rows]
        hidden, other = room[:, : len(near)].flatten(1, 2)
        by_node = hidden.view(*near.shape, model.hidden)
        if len(source):
            torch.index_select(source, 0, near.flatten(), out=hidden)
            by_node += target[rows, None]
        else:
            by_node[:] = target[rows, None]
        if model.inputs != "features":
            hidden.addmm_(graph.edges[rows].flatten(0, 1), model.edge_mlp.weight.T)
        _rectify(hidden, slope, other)
        torch.addmm(bias, hidden, weight.T, out=other)
        _rectify(other, last_slope, hidden)
        torch.mv(other, same, out=found[rows].view(-1))
    return found.add_(last_bias[1] - last_bias[0])


def _rectify(values: Tensor, slope: Tensor, room: Tensor) -> None:
    """`torch.nn.PReLU` in place, with room for as many values."""
    torch.clamp_max(values, 0, out=room)
    values.addcmul_(room, slope - 1)
