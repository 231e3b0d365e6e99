"""Tensors and gradients of the processes that ``torchrun`` started.

Each rank has the loss of the whole batch. The gradients that are made here are those of the sum of the ranks' losses.
`DistributedDataParallel` takes the mean over ranks, so the backbone's gradient is that of the one loss.

The differentiable collectives are here because PyTorch has deprecated its own, ``torch.distributed.nn.functional``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from facerec.pipeline.files import InputError
from facerec.pipeline.ranks import init_group, local_rank, rank, world_size

Item = TypeVar("Item")


def setup(device: torch.device) -> torch.device:
    """Joins the other processes, by NCCL on CUDA and Gloo on the CPU, and waits for them; alone, nothing.

    Args:
        device: As chosen; of CUDA devices, each process of a machine gets the one with its number there.

    Returns:
        This process's device.

    Raises:
        InputError: More processes than CUDA devices on this machine.
    """
    if world_size() == 1:
        return device
    if device.type == "cuda":
        index = local_rank()
        if index >= torch.cuda.device_count():
            raise InputError(
                f"process {index} of a machine with {torch.cuda.device_count()} CUDA device(s); start fewer"
            )
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
    init_group("nccl" if device.type == "cuda" else "gloo")
    return device


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of all ranks, one rank after the other; every rank has as many.

    Backward, a rank's rows get the sum over ranks of their gradients.
    """
    return rows if world_size() == 1 else _Gather.apply(rows)


def summed(values: Tensor) -> Tensor:
    """The sum over ranks; backward, so is the gradient."""
    return values if world_size() == 1 else _Sum.apply(values)


def union_over_ranks(items: Iterable[Item]) -> set[Item]:
    """What is in the collections of any rank."""
    if world_size() == 1:
        return set(items)
    parts: list[Any] = [None] * world_size()
    dist.all_gather_object(parts, list(items))
    return {item for part in parts for item in part}


def average_gradients(module: nn.Module) -> None:
    """Makes gradients that should be equal on all ranks equal to the last bit, so that weights do not drift apart."""
    if world_size() == 1:
        return
    for weight in module.parameters():
        if weight.grad is not None:
            dist.all_reduce(weight.grad)
            weight.grad /= world_size()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        context.count = len(rows)
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[rank() * context.count : (rank() + 1) * context.count]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return _Sum.forward(context, gradient)
