"""Completion of commands and options in the shell, by argcomplete; needs the extra ``completion``."""

from __future__ import annotations

import argparse
import inspect
import os
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal

ASKED = "_ARGCOMPLETE"
"""Variable of the environment while a shell asks how a line may go on."""


def complete(commands: Mapping[str, str], load: Callable[[str], Callable[..., Any]]) -> None:
    """Tells the shell how its line may go on, and ends the process.

    Args:
        commands: Command name to ``"module:function"``.
        load: Imports such a function; only that of the command in the line is.
    """
    import argcomplete  # optional

    parser, line = argparse.ArgumentParser(), os.environ.get("COMP_LINE", "").split()
    parts = parser.add_subparsers()
    for name, target in commands.items():
        part = parts.add_parser(name)
        for option, choices in options_of(load(target)).items() if name in line else ():
            part.add_argument(option, choices=choices)
    argcomplete.autocomplete(parser)


def options_of(function: Callable[..., Any]) -> dict[str, tuple[Any, ...] | None]:
    """A command's options with dashes, and the values of those that take one of a few."""
    kinds = typing.get_type_hints(function)
    return {
        "--" + name.rstrip("_").replace("_", "-"): typing.get_args(kind) if typing.get_origin(kind) is Literal else None
        for name, kind in ((name, kinds.get(name)) for name in inspect.signature(function).parameters)
    }
