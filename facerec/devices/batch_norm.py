"""Batch normalisation over the batches of all ranks, so that several ranks train what one would."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from facerec.devices.collectives import summed
from facerec.pipeline.ranks import world_size


def synchronised(network: nn.Module, device: torch.device) -> nn.Module:
    """The network, whose batch normalisations in training take means over all ranks; weights and names stay.

    On CUDA they are PyTorch's `SyncBatchNorm`, which refuses tensors on the CPU.
    """
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm):
                setattr(parent, name, _SharedBatchNorm(child))
    return network


class _SharedBatchNorm(nn.Module):
    """A batch normalisation with the weights of another; the ranks' batches are of one size."""

    def __init__(self, norm: Any):
        super().__init__()
        self.eps, self.momentum = norm.eps, norm.momentum
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean: Tensor
        self.running_var: Tensor
        self.num_batches_tracked: Tensor
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(norm, name))

    def forward(self, x: Tensor) -> Tensor:
        """[n, channels, ...] to the same."""
        mean, variance = self.running_mean, self.running_var
        if not self.training:
            return F.batch_norm(x, mean, variance, self.weight, self.bias, False, 0.0, self.eps)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        batch_mean = _mean(values.mean(axes))
        centred = values - batch_mean.view(shape)
        batch_variance = _mean(centred.square().mean(axes))
        with torch.no_grad():
            count = world_size() * x.numel() // x.shape[1]
            mean.lerp_(batch_mean, self.momentum)
            variance.lerp_(batch_variance * (count / max(count - 1, 1)), self.momentum)
            self.num_batches_tracked += 1
        scale = self.weight * (batch_variance + self.eps).rsqrt()
        return (centred * scale.view(shape) + self.bias.view(shape)).to(x.dtype)


def _mean(values: Tensor) -> Tensor:
    return summed(values) / world_size()
