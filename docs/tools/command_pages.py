"""Reference pages of the commands, from the signatures and docstrings that ``--help`` shows."""

from __future__ import annotations

import importlib
import inspect
import re
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import docstring_parser

PROGRAMS = {
    "facerec": "faces to embeddings",
    "clustering": "embeddings to pseudo-labels",
    "eval": "embeddings to figures",
}
TYPES: dict[Any, str] = {
    Path: "PATH",
    bool: "true or false",
    int: "INTEGER",
    float: "NUMBER",
    str: "TEXT",
    dict: "MAPPING",
}


def commands(program: str) -> dict[str, Callable[..., Any]]:
    """The functions behind a program's commands, by the command's name."""
    targets = importlib.import_module(f"{program}.__main__").COMMANDS
    return {name: _function(target) for name, target in targets.items()}


def page(program: str) -> str:
    """Markdown of all commands of a program."""
    sections = [section(program, name, function) for name, function in commands(program).items()]
    head = f"# {program}: {PROGRAMS[program]}\n\nThis page comes from the signatures and docstrings behind `--help`.\n"
    common = "Every command also takes `--config FILE`, a YAML file of its options.\n"
    return "\n".join([head + common, *sections])


def section(program: str, name: str, function: Callable[..., Any]) -> str:
    """Markdown of one command: what it does, how it is called, its options."""
    parsed = docstring_parser.parse(inspect.getdoc(function) or "")
    texts = {each.arg_name: each.description or "" for each in parsed.params}
    parameters = list(inspect.signature(function, eval_str=True).parameters.values())
    needed = [each for each in parameters if each.default is inspect.Parameter.empty]
    call = " ".join([f"python -m {program} {name}", *(f"{option(x)} {type_name(x.annotation)}" for x in needed)])
    rows = [
        f"| `{option(each)}` | {cell(kind)} | {default(each)} | {cell(texts.get(each.name, ''))} |"
        for each in parameters
        for kind in [type_name(each.annotation)]
    ]
    about = "\n\n".join(filter(None, (parsed.short_description, parsed.long_description)))
    table = ["| option | type | default | meaning |", "|---|---|---|---|", *rows] if rows else []
    return "\n".join([f"## {name}\n", about + "\n", f"```sh\n{call}\n```\n", *table, ""])


def option(parameter: inspect.Parameter) -> str:
    """The option of a parameter, as it is given in the shell; ``as_`` is a parameter for ``--as``."""
    return "--" + parameter.name.rstrip("_").replace("_", "-")


def default(parameter: inspect.Parameter) -> str:
    """A parameter's default as a table shows it."""
    if parameter.default is inspect.Parameter.empty:
        return "required"
    if isinstance(parameter.default, bool):
        return f"`{str(parameter.default).lower()}`"
    return "" if parameter.default is None else f"`{parameter.default}`"


def type_name(annotation: Any) -> str:
    """What an option takes: ``PATH``, the values of a choice, or the bounds of a number."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(each) for each in arguments if each is not type(None))
    if origin in (list, tuple):
        return f"list of {type_name(arguments[0])}"
    if getattr(annotation, "__module__", "") == "jsonargparse.typing":
        bounds = re.sub(r"v([<>=]+)", r"\1 ", getattr(annotation, "_expression", ""))
        return f"{type_name(annotation.__bases__[-1])} {bounds}".strip()
    return TYPES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def cell(text: str) -> str:
    """Text that fits into a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _function(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
