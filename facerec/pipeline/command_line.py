"""Programs out of stages: options, defaults and help come from typed signatures."""

from __future__ import annotations

import errno
import importlib
import importlib.metadata
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import jsonargparse

from facerec.pipeline.files import InputError

MOST_LETTERS = 300
REMEDIES = {
    errno.ENOSPC: "; free some, and the same command goes on", errno.EDQUOT: "; free some, or choose another --out",
    errno.EACCES: "; check who may read and write there", errno.EROFS: "; choose another --out",
    errno.ENAMETOOLONG: "; give a shorter name", errno.ELOOP: "; a link leads to itself",
    errno.ENOTDIR: "; a file stands where a folder should be", errno.EMFILE: "; raise the limit, see ulimit -n",
}  # fmt: skip
MISSING = "the following arguments are required: "


def run(program: str, commands: Mapping[str, str], arguments: Sequence[str] | None = None) -> int:
    """Runs one of a program's commands from the shell.

    Args:
        program: Its name, for messages.
        commands: Command name to ``"module:function"``; only the module of the command in question is imported.
        arguments: Defaults to the process's own.

    Returns:
        The exit status: 0, or 2 after one line on stderr for unusable input.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    for package in ("facerec", "clustering", "eval"):
        logging.getLogger(package).setLevel(logging.INFO)
    logging.captureWarnings(True)
    # Idle OpenMP threads sleep instead of spinning: with loader processes or neighbours on the same cores, spinning
    # made training several times slower. It has to be set before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = [_underscored(argument) for argument in (sys.argv[1:] if arguments is None else arguments)]
    wanted = [arguments[0]] if arguments and arguments[0] in commands else list(commands)
    functions: Any = {name: _import(commands[name]) for name in wanted}
    try:
        with _termination_as_exception():
            jsonargparse.auto_cli(functions, args=arguments, prog=program, as_positional=False, parser_class=_Parser)
    except BrokenPipeError:  # whoever read the output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (InputError, OSError, UnicodeEncodeError) as error:
        print(f"{program}: error: {_one_line(error)}", file=sys.stderr)
        return 2
    except Terminated:
        print(f"{program}: stopped; the same command goes on", file=sys.stderr)
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        print(f"{program}: stopped; the same command goes on", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


class Terminated(BaseException):
    """The process was asked to end (SIGTERM)."""


@contextmanager
def _termination_as_exception() -> Iterator[None]:
    """Lets SIGTERM unwind the stack, so that workers are ended and notes are kept; in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: object) -> NoReturn:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _one_line(error: Exception) -> str:
    """The text of an error in at most `MOST_LETTERS` letters."""
    text = str(error)
    if isinstance(error, UnicodeEncodeError):
        text = f"{error.object[:80]!r}: a name that is not UTF-8, which this output cannot hold; rename the file"
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or 'the system'}: {error.strerror}{REMEDIES.get(error.errno or 0, '')}"
    text = " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
    half = MOST_LETTERS // 2
    return text if len(text) <= MOST_LETTERS else f"{text[:half]} ... {text[5 - half :]}"


class _Parser(jsonargparse.ArgumentParser):
    """An argument parser whose complaint is one line that names options as they are given."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        # jsonargparse's exceptions have no fields: the name of the option stands in the text alone.
        wrong = re.match(r'Parser key "(?:\w+\.)?(\w+)"', message)
        if wrong and ex and ex.__cause__:
            message = f"{_as_given(wrong)}: {ex.__cause__.__cause__ or ex.__cause__}"
            message = re.sub(r"a typing\.Literal\[([^]]*)\]", r"one of \1", message)
        if message.startswith(MISSING):
            message = MISSING + re.sub(r"(?:\w+\.)?(\w+)", _as_given, message.removeprefix(MISSING))
        print(f"{self.prog}: error: {' '.join(message.split())} (see --help)", file=sys.stderr)
        raise SystemExit(2)


def _as_given(key: re.Match[str]) -> str:
    return "--" + key[1].replace("_", "-")


def _underscored(argument: str) -> str:
    """``--min-size=3`` as ``--min_size=3``: both spellings of an option are accepted."""
    name, equals, value = argument.partition("=")
    return name.replace("-", "_").replace("__", "--", 1) + equals + value if name.startswith("--") else argument


def _import(target: str) -> Callable[..., Any]:
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)
