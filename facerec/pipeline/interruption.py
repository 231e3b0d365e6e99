"""Ctrl-C and SIGTERM end a command with one line. This imports nothing slow, as it comes before all else."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(BaseException):
    """The process was asked to end (SIGTERM)."""


class Interrupted(KeyboardInterrupt):
    """The process was asked to end (SIGINT).

    Not KeyboardInterrupt itself: when that passes through the ``exec`` of a string, of which imports have many, Python
    remembers it. At its end it then kills itself by the signal, though the exception was caught.
    """


def stopped(program: str) -> str:
    """What a program says when it was stopped."""
    return f"{program}: stopped; the same command goes on"


def end_at_once(program: str) -> None:
    """From now on the signals end the process at once, with one line: while it imports, and while it exits."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        os.write(2, f"{stopped(program)}\n".encode())
        os._exit(128 + number)

    _set(dict.fromkeys(SIGNALS, end))


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Lets the signals unwind the stack, so that workers are ended and notes are kept; in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    seen: list[type[BaseException]] = []

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        seen.append(Terminated)
        raise Terminated

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        seen.append(Interrupted)
        raise Interrupted

    before = _set({signal.SIGINT: interrupt, signal.SIGTERM: terminate})
    try:
        yield
    except Exception as error:
        if seen:  # it was turned into another one, as Python does where a class is made
            raise seen[0] from error
        raise
    finally:
        _set(before)


def _set(handlers: dict[signal.Signals, Callable[..., Any]]) -> dict[signal.Signals, Any]:
    """Sets handlers, except of signals that are ignored, as under nohup; returns those there were."""
    changed = {number: handler for number, handler in handlers.items() if signal.getsignal(number) != signal.SIG_IGN}
    return {number: signal.signal(number, handler) for number, handler in changed.items()}
