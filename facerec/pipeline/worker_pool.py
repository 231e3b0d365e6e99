"""Work spread over processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


def spread(
    work: Callable[[Item], Done], items: Sequence[Item], workers: int, prepare: Callable[..., None], *arguments: Any
) -> Iterator[Done]:
    """Works on items in order; in this process if there is one worker or less than two items.

    Args:
        work: A function of a module.
        items: What it is called with.
        workers: Processes.
        prepare: Called once in each worker, with the arguments; not in this process.
        *arguments: Its own.

    Yields:
        What `work` returns.
    """
    if workers == 1 or len(items) < 2:
        yield from map(work, items)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(prepare, *arguments)) as pool:
        yield from pool.map(work, items)


def _begin(prepare: Callable[..., None], *arguments: Any) -> None:
    """Prepares a worker, and its end if its parent is killed: it would go on and then wait for more for ever."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
