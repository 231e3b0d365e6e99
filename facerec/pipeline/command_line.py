"""Programs out of stages: options, defaults and help come from typed signatures."""

from __future__ import annotations

import errno
import importlib
import importlib.metadata
import keyword
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
import yaml
from jsonargparse._loaders_dumpers import yaml_load

from facerec.pipeline.files import InputError

MOST_LETTERS = 300
REMEDIES = {
    errno.ENOSPC: "; free some, and the same command goes on", errno.EDQUOT: "; free some, or choose another --out",
    errno.EACCES: "; check who may read and write there", errno.EROFS: "; choose another --out",
    errno.ENAMETOOLONG: "; give a shorter name", errno.ELOOP: "; a link leads to itself",
    errno.ENOTDIR: "; a file stands where a folder should be", errno.EMFILE: "; raise the limit, see ulimit -n",
}  # fmt: skip
SHIFT = 0x10FF00 - 0xDC00
BYTES, SHIFTED = re.compile("[\udc80-\udcff]"), re.compile("[\U0010ff80-\U0010ffff]")
"""Bytes in a name as Python has them (``surrogateescape``), and as letters for private use, which YAML takes."""
REPEATED = ("--set",)
MISSING = "the following arguments are required: "


def run(
    program: str,
    commands: Mapping[str, str],
    arguments: Sequence[str] | None = None,
    more_help: str = "",
) -> int:
    """Runs one of a program's commands from the shell.

    Args:
        program: Its name, for messages.
        commands: Command name to ``"module:function"``; only the module of the command in question is imported.
        arguments: Defaults to the process's own.
        more_help: ``"module:function"`` of what the help of a command has at its end, a text made of the arguments.

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
    wants_help = not {"-h", "--help"}.isdisjoint(arguments)
    _Parser.more = _import(more_help)(arguments) if more_help and wants_help else ""
    jsonargparse.set_loader("yaml", _load, (yaml.YAMLError, RecursionError))
    try:
        with _termination_as_exception():
            jsonargparse.auto_cli(functions, args=arguments, prog=program, as_positional=False, parser_class=_Parser)
    except BrokenPipeError:  # whoever read the output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (InputError, OSError, UnicodeEncodeError) as error:
        print(_complaint(program, _text(error)), file=sys.stderr)
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


def _text(error: Exception) -> str:
    """What an error of an input or of the system says."""
    if isinstance(error, UnicodeEncodeError):
        return f"{error.object[:80]!r}: a name that is not UTF-8, which this output cannot hold; rename the file"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'the system'}: {error.strerror}{REMEDIES.get(error.errno or 0, '')}"
    return str(error)


def _complaint(program: str, text: str) -> str:
    """One line of at most `MOST_LETTERS` letters."""
    text = " ".join(f"{program}: error: {text}".split()).encode("utf-8", "backslashreplace").decode()
    half = MOST_LETTERS // 2
    return text if len(text) <= MOST_LETTERS else f"{text[:half]} ... {text[5 - half :]}"


def _load(text: str) -> Any:
    """What an option's text or a file of options stands for in YAML; `as_letters` is undone behind."""
    return _restored(yaml_load(as_letters(text)))


def as_letters(text: str) -> str:
    """Text with letters for private use in place of bytes that are not UTF-8, which YAML does not know."""
    return BYTES.sub(lambda found: chr(ord(found[0]) + SHIFT), text)


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return [_restored(item) for item in value]
    if isinstance(value, dict):
        return {_restored(key): _restored(item) for key, item in value.items()}
    return SHIFTED.sub(lambda found: chr(ord(found[0]) - SHIFT), value) if isinstance(value, str) else value


class _Parser(jsonargparse.ArgumentParser):
    """An argument parser whose complaint is one line that names options as they are given.

    Attributes:
        more: What its help has at the end.
    """

    more = ""

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """The help, with options as they are given."""
        return re.sub(r"(--[a-z]+)_(?=[ ,\]])", r"\1", super().format_help(*args, **kwargs)) + self.more

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        # jsonargparse's exceptions have no fields: the name of the option stands in the text alone.
        wrong = re.match(r'Parser key "(?:\w+\.)?(\w+)"', message)
        if wrong and ex and ex.__cause__:
            message = f"{_as_given(wrong)}: {ex.__cause__.__cause__ or ex.__cause__}"
            message = re.sub(r"a typing\.Literal\[([^]]*)\]", r"one of \1", message)
        if message.startswith(MISSING):
            message = MISSING + re.sub(r"(?:\w+\.)?(\w+)", _as_given, message.removeprefix(MISSING))
        print(_complaint(self.prog, f"{message} (see --help)"), file=sys.stderr)
        raise SystemExit(2)


def _as_given(key: re.Match[str]) -> str:
    return "--" + key[1].rstrip("_").replace("_", "-")


def _underscored(argument: str) -> str:
    """``--min-size=3`` as ``--min_size=3``: both spellings of an option are accepted.

    A name that Python keeps for itself has ``_`` behind it there: ``--as`` is ``--as_``. One of `REPEATED` adds to what
    was given before.
    """
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    name = name.replace("-", "_").replace("__", "--", 1)
    return name + ("_" if keyword.iskeyword(name[2:]) else "+" if name in REPEATED else "") + equals + value


def _import(target: str) -> Callable[..., Any]:
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)
