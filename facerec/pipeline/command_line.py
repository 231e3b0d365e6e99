"""Programs out of commands: what a shell calls, and the exit status it gets."""

from __future__ import annotations

import importlib
import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from facerec.pipeline import completion
from facerec.pipeline.complaint import OF_THE_TARGET, complaint, is_of_the_system, printable, said
from facerec.pipeline.files import InputError, read_json
from facerec.pipeline.interruption import Terminated, signals_as_exceptions, stopped
from facerec.pipeline.overview import HELP, overview, perhaps, version
from facerec.pipeline.ranks import is_main

logger = logging.getLogger(__name__)


def run(
    program: str, commands: Mapping[str, str], arguments: Sequence[str] | None = None, about: str = "",
    hints: bool = True, more_help: str = "",
) -> int:  # fmt: skip
    """Runs one of a program's commands from the shell.

    Args:
        program: Its name, for messages.
        commands: Command name to ``"module:function"``; only the module of the command in question is imported.
        arguments: Defaults to the process's own.
        about: What the program is for, for its help.
        hints: Whether the command that usually follows is shown at the end.
        more_help: ``"module:function"`` of what the help of a command has at its end, a text made of the arguments.

    Returns:
        The exit status: 0, or 2 after one line on stderr for unusable input.
    """
    _prepare()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        try:
            return _run(program, commands, words, about, hints, more_help)
        finally:
            if sys.stdout is not None:  # a full disk is found here; at the exit nobody could tell it
                sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has had enough
        _write_no_more()
        return 1
    except (InputError, OSError, UnicodeEncodeError, MemoryError, RuntimeError) as error:
        if not is_of_the_system(error):
            raise
        if isinstance(error, OSError) and error.errno in OF_THE_TARGET and error.filename is None:
            error.filename = "standard output"  # files are named where they are written
            _write_no_more()
        print(complaint(program, said(error)), file=sys.stderr)
        return 2
    except Terminated:
        print(stopped(program), file=sys.stderr)
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        print(stopped(program), file=sys.stderr)
        return 128 + signal.SIGINT


def _run(
    program: str, commands: Mapping[str, str], words: Sequence[str], about: str, hints: bool, more_help: str
) -> int:
    """As `run`, but raises what ends a command."""
    if completion.ASKED in os.environ:
        completion.complete(commands, _import)
    if not words or words[0] in HELP or words[0] == "--version":
        print(version(program) if words[:1] == ["--version"] else overview(program, about, commands))
        return 0 if words else 2
    if words[0] not in commands:
        raise InputError(f"there is no command {words[0]}{perhaps(words[0], commands)}")
    if sys.platform == "win32":  # locks, renamed folders and peak memory are those of POSIX
        raise InputError("commands need Linux or macOS; on Windows, run them in WSL")
    function = _import(commands[words[0]])  # not below: signals end it at once while it imports
    with signals_as_exceptions():
        more = _import(more_help)(words) if more_help and not set(HELP).isdisjoint(words) else ""
        out, then = _call(program, words, function, more)
        if hints and then and out is not None and is_main():
            logger.info("next: %s", printable(then.format_map(_Given(words, out))))
    return 0


def _write_no_more() -> None:
    """Leads what is still to be written to standard output nowhere, so that Python does not try it again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _prepare() -> None:
    """Sets up the log, and OpenMP before torch is imported."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    for package in ("facerec", "clustering", "eval"):
        logging.getLogger(package).setLevel(logging.INFO if is_main() else logging.WARNING)
    logging.captureWarnings(True)
    # Idle OpenMP threads sleep instead of spinning: with loader processes or neighbours on the same cores, spinning
    # made training several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class _Given(dict[str, str]):
    """What an option was given, by its name: for the command that follows.

    Of others what ``meta.json`` has under that name, such as an option of a file, else the name in capitals.
    """

    def __init__(self, words: Sequence[str], out: Any):
        super().__init__({"out": shlex.quote(str(out))})
        self.meta = Path(out) / "meta.json"
        for word, following in pairwise([*words, "--"]):
            option, _, value = word.partition("=")
            if option.startswith("--") and (value or not following.startswith("--")):
                self.setdefault(option[2:].replace("-", "_"), shlex.quote(value or following))

    def __missing__(self, name: str) -> str:
        begun = (value for option, value in self.items() if name.startswith(option))  # options may be cut short
        return next(begun, "") or self._found(name) or name.upper()

    def _found(self, name: str) -> str:
        try:
            work = read_json(self.meta)
        except InputError:
            return ""
        given = work["inputs"].get(name, work["config"].get(name))
        given = given.get("path") if isinstance(given, dict) else given
        return shlex.quote(given) if isinstance(given, str) else str(work["results"].get(name, ""))


def _call(program: str, words: Sequence[str], function: Callable[..., Any], more: str) -> tuple[Any, str]:
    """Calls the command that the first word names; what it returns, and the command that usually follows."""
    from facerec.pipeline.parser import call  # it takes a while, which the programs' own help can do without

    return call(program, words[0], function, words[1:], more), getattr(function, "then", "")


def _import(target: str) -> Callable[..., Any]:
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)
