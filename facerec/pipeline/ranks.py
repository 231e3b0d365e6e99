"""The processes that ``torchrun`` started for one piece of work; a process that was started alone is rank 0 of 1.

PyTorch, which takes seconds to import, is only needed where there are several.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")

LONGEST_WAIT = timedelta(days=30)  # one process may have much more to do; if one dies, the others notice at once


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ.get("RANK", 0))


def world_size() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", 1))


def local_rank() -> int:
    """The number of this process on its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", 0))


def local_world_size() -> int:
    """How many of the processes this machine has."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def is_main() -> bool:
    """Whether this is the process that writes, and shows what is going on."""
    return rank() == 0


def init_group(backend: str = "gloo") -> None:
    """Joins the other processes and waits for them; alone, nothing.

    Args:
        backend: ``gloo``, or ``nccl`` for tensors on CUDA devices.

    Raises:
        InputError: As of `checked_when_joined`.
    """
    if world_size() == 1:
        return
    import torch.distributed as dist

    if not dist.is_initialized():
        dist.init_process_group(backend, timeout=LONGEST_WAIT)
        atexit.register(_leave)
    barrier()
    for check in _checks:
        check()


_checks: list[Callable[[], None]] = []


@contextmanager
def checked_when_joined(check: Callable[[], None]) -> Iterator[None]:
    """Meanwhile `init_group` also calls a check, when all processes are there; it may raise `InputError`."""
    _checks.append(check)
    try:
        yield
    finally:
        _checks.remove(check)


def barrier() -> None:
    """Waits until every process is here; nothing before `init_group`."""
    if world_size() == 1:
        return
    import torch.distributed as dist

    if dist.is_initialized():
        dist.barrier()


def broadcast_object(value: Value) -> Value:
    """The first process's value, for all."""
    if world_size() == 1:
        return value
    import torch.distributed as dist

    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def make_once(path: Path, make: Callable[[Path], object]) -> Path:
    """A file that the first process makes unless it is there, and the others wait for; whole or absent, as if at once.

    Args:
        path: The file; its folder is made, too.
        make: Writes it, under the name that it is given.
    """
    if is_main() and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"partial-{path.name}")
        make(partial)
        partial.replace(path)
    barrier()
    return path


def _leave() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()
