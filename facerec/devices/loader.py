"""Items of a data set read ahead by other processes, with one line where the system has no room for these."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.queues
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader, Dataset

from facerec.devices.device import prepare_worker
from facerec.pipeline.files import ObstacleError

OF_THE_SYSTEM = (
    "DataLoader worker (pid", "Pin memory thread", "shared memory", "ancdata", "unable to mmap", "Too many open",
)  # fmt: skip
"""What PyTorch's errors say when a worker has ended or cannot hand over what it has read."""
FILES_A_WORKER, SPARE_FILES = 4, 8


def read_ahead(dataset: Dataset[Any], items: Sequence[int], workers: int, pinned: bool = False) -> Iterator[Any]:
    """Reads items of a data set in their order.

    Args:
        dataset: Gives an item by its number, with arrays, which come as tensors.
        items: The numbers.
        workers: Processes that read, no more than there are items; 0 reads in this process.
        pinned: Whether the tensors lie in memory that a CUDA device reads by itself.

    Raises:
        ObstacleError: Workers cannot start or have ended; they cannot hand over what they have read; or too many files
            are open.
    """
    workers = min(workers, len(items))
    loader: DataLoader[Any] = DataLoader(
        dataset, batch_size=None, sampler=items, num_workers=workers, worker_init_fn=_begin, pin_memory=pinned
    )
    iterator: Any = None
    try:
        if workers:
            _check_room(workers)
        iterator = iter(loader)
        yield from iterator
    except (OSError, RuntimeError, EOFError) as error:
        if not workers or not (isinstance(error, (OSError, EOFError)) or any(x in str(error) for x in OF_THE_SYSTEM)):
            raise
        with contextlib.suppress(Exception):  # else it ends its workers when it is collected, and complains
            iterator._shutdown_workers()
        known = error.strerror if isinstance(error, OSError) else None
        reason = known or (str(error).strip() or type(error).__name__).splitlines()[-1][:100]
        raise ObstacleError(
            f"--workers {workers}: they cannot work here ({reason}); memory, /dev/shm or open files (ulimit -n) may be "
            "too few; give fewer, 0 reads without them"
        ) from None


def _check_room(workers: int) -> None:
    """Opens as many files as workers need, and a semaphore, for a moment: a loader that fails half begun hangs.

    Raises:
        OSError: There is no room for them.
    """
    with contextlib.ExitStack() as opened:
        for _ in range(FILES_A_WORKER * workers + SPARE_FILES):
            opened.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        multiprocessing.Semaphore()


def _begin(worker: int) -> None:
    prepare_worker()
    # A worker that cannot hand over an item only says so, and whoever waits for the item waits for ever.
    multiprocessing.queues.Queue._on_queue_feeder_error = _hand_over_error  # type: ignore[attr-defined]
    sys.excepthook = _say_nothing  # of the thread that hands over open files; whoever waits for them says it


def _say_nothing(*_: object) -> None:
    pass


def _hand_over_error(queue: multiprocessing.queues.Queue[Any], error: Exception, item: tuple[Any, Any]) -> None:
    """Puts an error in the place of an item of a loader, `(number, what was read)`, that cannot be handed over."""
    reason = OSError(f"an item cannot be handed over, {traceback.format_exception_only(error)[-1].strip()}")
    queue.put((item[0], ExceptionWrapper((OSError, reason, error.__traceback__), "in a worker")))
