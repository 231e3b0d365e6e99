"""Work spread over processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.util import Finalize
from typing import Any, TypeVar

from facerec.pipeline.files import InputError, ObstacleError

Item = TypeVar("Item")
Done = TypeVar("Done")

BEFORE_QUEUES = 100
"""The priority at a process's exit; that of the queues of `multiprocessing` is 10."""


def spread(
    work: Callable[[Item], Done], items: Sequence[Item], workers: int, prepare: Callable[[], None] | None = None
) -> Iterator[Done]:
    """Works on items in order; in this process if there is one worker or less than two items.

    Args:
        work: Called with each item. Each worker gets it once, pickled.
        items: What it is called with.
        workers: Processes.
        prepare: Called once in each worker; not in this process.

    Yields:
        What `work` returns.

    Raises:
        ObstacleError: Workers cannot start or have ended.
    """
    if workers <= 1 or len(items) < 2:
        yield from map(work, items)
        return
    try:
        yield from _in_processes(work, items, workers, prepare)
    except (BrokenProcessPool, OSError) as error:
        if isinstance(error, OSError) and error.__cause__ is not None:  # of the work, in a worker
            raise
        reason = error.strerror if isinstance(error, OSError) else "one of them has ended"
        raise ObstacleError(
            f"--workers {workers}: they cannot work here ({reason}); memory, /dev/shm or open files (ulimit -n) may be "
            "too few; give fewer, 0 works without them"
        ) from error


def refuse_unguarded() -> None:
    """Refuses work in a worker process that still imports the script of its parent.

    A script that calls a stage as it is imported would be run again by each worker, which would wait for the parent.

    Raises:
        InputError: Saying how to write the script.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise InputError(
            "this script starts worker processes, which import it again; put what it does below a line "
            "if __name__ == '__main__':, or give workers=0"
        )


def _in_processes(
    work: Callable[[Item], Done], items: Sequence[Item], workers: int, prepare: Callable[[], None] | None
) -> Iterator[Done]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_Worker.begin, initargs=(work, prepare))
    # A process of `multiprocessing` that exits ends the pool's queue first, and would wait for its workers for ever.
    end = Finalize(None, pool.shutdown, kwargs={"cancel_futures": True}, exitpriority=BEFORE_QUEUES)
    try:
        yield from pool.map(_Worker.do, items)
    finally:
        end()


class _Worker:
    """What a worker process does. The pool hands it over when the process begins, and afterwards only items."""

    work: Callable[[Any], Any]

    @classmethod
    def begin(cls, work: Callable[[Any], Any], prepare: Callable[[], None] | None) -> None:
        """Takes the work, and sees to the worker's end if its parent is killed: else it would wait for ever."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
        threading.Thread(target=_end_with_parent, daemon=True).start()
        cls.work = staticmethod(work)
        if prepare is not None:
            prepare()

    @classmethod
    def do(cls, item: Any) -> Any:
        """Works on an item."""
        return cls.work(item)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
