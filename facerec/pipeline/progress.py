"""Progress of long work: a bar in a terminal, else a line in the log every half minute."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Any

from tqdm import tqdm

SECONDS = 30.0
logger = logging.getLogger(__name__)


class Lines:
    """What `tqdm` is, as lines in the log. See `progress`."""

    def __init__(self, work: Iterable[Any] | None, what: str, unit: str, total: int | None, done: int = 0):
        self.work, self.what, self.unit, self.total, self.done = work, what, unit, total, done
        self.before, self.started = done, time.monotonic()
        self.said, self.more = self.started, ""

    def __iter__(self) -> Iterator[Any]:
        for item in self.work or ():
            yield item
            self.update(1)

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def update(self, number: int) -> None:
        """Takes in that so many more are done."""
        self.done += number
        now = time.monotonic()
        if now - self.said < SECONDS:
            return
        self.said = now
        of = f" of {self.total:,}" if self.total else ""
        logger.info("%s: %s%s %s%s%s", self.what, f"{self.done:,}", of, self.unit, self._left(now), self.more)

    def set_postfix(self, **figures: str) -> None:
        """Takes figures that are shown behind."""
        self.more = "".join(f", {name} {value}" for name, value in figures.items())

    def _left(self, now: float) -> str:
        new = self.done - self.before
        if not self.total or new <= 0:
            return ""
        minutes = (self.total - self.done) * (now - self.started) / new / 60
        return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"


def progress(
    work: Iterable[Any] | None, what: str, unit: str, total: int | None = None, done: int = 0, hidden: bool = False
) -> Any:
    """Work that shows how far it is, while it is gone through or its ``update`` is called.

    Args:
        work: What is gone through; None to call ``update``.
        what: A word for it.
        unit: What is counted, as ``"faces"``.
        total: How many there are, if `work` does not know.
        done: How many are done already.
        hidden: Whether nothing is shown.

    Returns:
        An iterator and context manager with ``update`` and ``set_postfix``, as `tqdm` is.
    """
    total = len(work) if total is None and isinstance(work, Sized) else total
    if hidden or sys.stderr.isatty():
        return tqdm(work, what, total, initial=done, unit=f" {unit}", disable=hidden)
    return Lines(work, what, unit, total, done)
