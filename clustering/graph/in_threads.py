"""Work in parts, by as many threads as faiss may use. Their number changes neither the parts nor the results."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TypeVar

import faiss
from threadpoolctl import threadpool_limits

Part = TypeVar("Part")
Found = TypeVar("Found")


def in_threads(work: Callable[[Part], Found], parts: Iterable[Part]) -> list[Found]:
    """The results of all parts, in their order. Libraries start no threads of their own within a part."""
    count = faiss.omp_get_max_threads()
    return list(_threads(count).map(work, parts) if count > 1 else map(work, parts))


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, initializer=threadpool_limits, initargs=(1, "openmp"))


def use_threads(count: int) -> None:
    """Has faiss, and PyTorch if it is imported, work with so many threads in this process."""
    faiss.omp_set_num_threads(count)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(count)


# A forked process has none of its parent's threads: OpenMP and the pool above would wait for them.
os.register_at_fork(after_in_child=partial(use_threads, 1))
