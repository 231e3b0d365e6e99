"""Commands in worker processes, several chains of them side by side.

Each command has a process of its own, so it starts from a clean state. One server imports the commands, and the
processes are forked from it, so none of them imports PyTorch again.
"""

from __future__ import annotations

import gc
import importlib
import logging
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from clustering.__main__ import COMMANDS as CLUSTERING
from clustering.similarity.same_recogniser import learned_elsewhere
from eval.__main__ import COMMANDS as EVAL
from facerec.__main__ import COMMANDS as FACEREC
from facerec.pipeline import command_line
from facerec.pipeline.files import InputError

Command = Sequence[str]
PROGRAMS: Mapping[str, Mapping[str, str]] = {
    "facerec": FACEREC,
    "clustering": CLUSTERING,
    "eval": EVAL,
}
USED = {
    "facerec": ("synth", "split", "train", "embed", "whiten", "sheet"),
    "clustering": ("knn", "tune", "cluster", "pseudolabel"),
    "eval": ("clusters", "ijb", "pairs", "compare"),
}
LAZY = ("torch._dynamo", "matplotlib.figure", "matplotlib.backends.backend_agg")
"""What an optimiser and plots import when they are first needed."""
FORKED = multiprocessing.get_context("forkserver")
SPAWNED = multiprocessing.get_context("spawn")
MEASURED = ("clustering", "cluster")  # the report compares its memory, in which what a server imported would count


def function_of(program: str, name: str) -> Callable[..., Any]:
    """The function that a command calls."""
    module, _, function = PROGRAMS[program][name].partition(":")
    return getattr(importlib.import_module(module), function)


def command(name: str, config: Path | None = None, **options: object) -> Command:
    """A command's words: ``command("eval compare", training_sd=1, out=O)`` is ``eval compare --training-sd 1 --out O``.

    Args:
        name: Program and command.
        config: A YAML of further options, which those given here override.
        **options: Values that are None are left out.
    """
    words = name.split() + ([] if config is None else ["--config", str(config)])
    for option, value in options.items():
        words += [] if value is None else [f"--{option.replace('_', '-')}", str(value)]
    return words


class Workers:
    """Runs chains of commands, at most `jobs` chains at once, each with its share of the cores.

    The environment's ``OMP_NUM_THREADS`` sets another share.

    Args:
        jobs: From 1.
    """

    def __init__(self, jobs: int):
        self.jobs = jobs
        share = max(1, (os.cpu_count() or 1) // jobs)
        os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS") or str(share)
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when PyTorch is imported, see command_line.run
        FORKED.set_forkserver_preload(list(_modules()))
        _end_on_signals()

    def run(self, chains: Iterable[Iterable[Command]]) -> None:
        """Runs every chain to its end; a command that fails ends its chain, but not the other chains.

        Raises:
            SystemExit: A command failed: the status of the first that did, after all have ended.
        """
        waiting, statuses = deque(map(iter, chains)), []
        running: dict[int, tuple[BaseProcess, Iterator[Command]]] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    _start(waiting.popleft(), running)
                for sentinel in wait(list(running)):
                    process, chain = running.pop(sentinel)  # type: ignore[index]
                    statuses.append(_status(process))
                    if statuses[-1] == 0:
                        _start(chain, running)
        finally:
            for process in multiprocessing.active_children():
                process.terminate()
        if any(statuses):
            raise SystemExit(next(filter(None, statuses)))

    def call(self, function: Callable[..., None], *arguments: object) -> None:
        """Calls a function in a process that has all commands imported.

        Raises:
            SystemExit: It ended with another status than 0.
        """
        process = FORKED.Process(target=function, args=arguments, name="a check of the recipe")
        _begin(process)
        if status := _status(process):
            raise SystemExit(status)


def _start(chain: Iterator[Command], running: dict[int, tuple[BaseProcess, Iterator[Command]]]) -> None:
    """Starts the next command of a chain, if there is one."""
    words = next(chain, None)
    if words is not None:
        context = SPAWNED if tuple(words[:2]) == MEASURED else FORKED
        process = context.Process(target=_work, args=(words[0], words[1:]), name=" ".join(words[:2]))
        _begin(process)
        running[process.sentinel] = process, chain


def _begin(process: BaseProcess) -> None:
    """Starts a process.

    Raises:
        InputError: The system has no room for it.
    """
    try:
        process.start()
    except (OSError, EOFError) as error:
        raise InputError(
            f"{process.name}: no process can be started ({error or type(error).__name__}); memory, /dev/shm or open "
            "files (ulimit -n) may be too few"
        ) from None


def _work(program: str, words: Command) -> None:
    """Runs one command in this process, which ends with its status."""
    gc.freeze()  # a walk through all that the server imported would copy it, and take a second
    from clustering.graph.in_threads import use_threads  # which imports faiss, as the server did before

    share = os.environ["OMP_NUM_THREADS"].partition(",")[0]
    use_threads(int(share))  # a forked process begins with one, but this server began none that are gone now
    learned_elsewhere.setLevel(logging.ERROR)  # later rounds keep the first round's backend, of another recogniser
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the recipe, which is interrupted as well, ends its workers
    sys.exit(command_line.run(f"python -m {program}", PROGRAMS[program], words, hints=False))


def _status(process: BaseProcess) -> int:
    """The exit status as a shell gives it: 128 and the signal's number for a process that a signal ended."""
    process.join()
    code = process.exitcode or 0
    if code < 0:
        print(f"{process.name}: ended by {signal.Signals(-code).name}", file=sys.stderr)
    return code if code >= 0 else 128 - code


def _modules() -> Iterator[str]:
    """The modules that the server imports."""
    yield from LAZY
    for program, names in USED.items():
        yield from (PROGRAMS[program][name].partition(":")[0] for name in names)


def _end_on_signals() -> None:
    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, end)
