"""Rows that the processes of one run compute together, each some blocks of them, so that all have all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from facerec.pipeline.ranks import rank, world_size


def own_blocks(rows: int, block: int) -> Iterator[slice]:
    """This process's share of the blocks of some rows.

    Blocks begin at the same rows whatever the number of processes, and the result of a block depends on its rows alone.
    So results are the same to the last bit.

    Args:
        rows: How many there are.
        block: Rows a block.
    """
    first, last = (_starts(rows, block)[place] for place in (_place(), _place() + 1))
    yield from (slice(start, min(start + block, last)) for start in range(first, last, block))


def exchange(values: np.ndarray | Tensor, block: int) -> None:
    """Gives every process the rows that the others have computed; all must call it.

    Args:
        values: [rows, ...], of which this process has filled its `own_blocks`; the others' are overwritten.
        block: Rows a block.
    """
    if _count() == 1:
        return
    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    starts = _starts(len(values), block)
    for source in range(_count()):
        part = tensor[starts[source] : starts[source + 1]]
        if len(part):
            dist.broadcast(part, source)


def _starts(rows: int, block: int) -> list[int]:
    """Where each process's rows begin, and the end of the last one's."""
    blocks = -(-rows // block)
    return [min(number * blocks // _count() * block, rows) for number in range(_count() + 1)]


def _count() -> int:
    return world_size() if dist.is_initialized() else 1


def _place() -> int:
    return rank() if dist.is_initialized() else 0
