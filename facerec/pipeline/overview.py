"""What a program says about all its commands: their list, its version, and what a wrong name may have meant.

Nothing of it imports a command, so it comes at once.
"""

from __future__ import annotations

import ast
import difflib
import importlib.metadata
import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path

DISTRIBUTION = "facerec-pseudolabel"
HELP = ("-h", "--help")


def overview(program: str, about: str, commands: Mapping[str, str]) -> str:
    """The help of a program, with a line for each command.

    Args:
        program: Its name, as ``python -m clustering``.
        about: What it is for.
        commands: Command name to ``"module:function"``.
    """
    width = max(map(len, commands))
    lines = [f"  {name.ljust(width)}  {first_line(target)}" for name, target in commands.items()]
    return "\n".join(
        [
            f"usage: {program} COMMAND [OPTIONS]", "", about, "", "commands:", *lines, "",
            f"{program} COMMAND --help shows a command's options; {program} --version the version.",
        ]
    )  # fmt: skip


def first_line(target: str) -> str:
    """The first line of a function's docstring, read from its source; nothing where there is none."""
    module, _, function = target.partition(":")
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        return ""
    tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""


def version(program: str) -> str:
    """A program and its version."""
    try:
        number = importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:  # run from its source
        number = "unknown"
    return f"{program} ({DISTRIBUTION} {number})"


def perhaps(word: str, known: Iterable[str]) -> str:
    """``"; did you mean X?"``, or nothing if no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
