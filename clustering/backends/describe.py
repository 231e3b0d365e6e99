"""Describes the settings of a backend: defaults, allowed values, and what ``tune`` searches."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import docstring_parser

from clustering.backends.registry import BACKENDS, backend
from clustering.settings import Positive, Within

WIDTH, INDENT = 100, " " * 6


class Setting(NamedTuple):
    """A hyper-parameter.

    Attributes:
        name: The field's name.
        default: The value without a model.
        allowed: The allowed values, in words.
        searched: The values that ``tune`` searches, in words; empty if it searches none.
        text: The description.
    """

    name: str
    default: Any
    allowed: str
    searched: str
    text: str


def settings_of(name: str) -> list[Setting]:
    """The hyper-parameters of a backend that are plain values: not its network, nor its confidence.

    Raises:
        InputError: No such backend.
    """
    found = backend(name)
    hints = get_type_hints(found, include_extras=True)
    documented = [docstring_parser.parse(kind.__doc__ or "").params for kind in reversed(found.__mro__)]
    texts = {each.arg_name: each.description or "" for params in documented for each in params}
    return [
        Setting(
            each.name, found.untuned.get(each.name, each.default), _allowed(hints[each.name]),
            _searched(found.search_space.get(each.name)), " ".join(texts.get(each.name, "").split()),
        )
        for each in fields(found) if _is_plain(each)
    ]  # fmt: skip


def _is_plain(field: Field[Any]) -> bool:
    return field.default is not MISSING and isinstance(field.default, bool | int | float | str | None)


def _allowed(hint: Any) -> str:
    kind, rule = get_args(hint)[:2] if get_origin(hint) is Annotated else (hint, None)
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    kinds = get_args(kind) or (kind,)
    word = "true or false" if kind is bool else "whole number" if int in kinds else "number"
    if isinstance(rule, Within):
        word += f" from {rule.low:g}" + (f" to {rule.high:g}" if rule.high < float("inf") else "")
    elif rule is Positive:
        word += " above 0"
    return word + (" or null" if type(None) in kinds else "")


def _searched(space: tuple[float, float] | list[Any] | None) -> str:
    if space is None:
        return ""
    return ", ".join(map(str, space)) if isinstance(space, list) else f"{space[0]:g} to {space[1]:g}"


def describe(name: str) -> str:
    """A backend's settings, for a help text."""
    found = settings_of(name)
    head = f"settings of {name}, for --set NAME=VALUE (without --model):"
    return "\n".join([head, *(line for each in found for line in _lines(each))] if found else [f"{name}: no settings"])


def _lines(setting: Setting) -> Iterator[str]:
    default = setting.default if isinstance(setting.default, str) else json.dumps(setting.default)
    tuned = f"; tune searches {setting.searched}" if setting.searched else ""
    yield f"  {setting.name}={default}  ({setting.allowed}{tuned})"
    yield from textwrap.wrap(setting.text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)


def help_of_backend(arguments: Sequence[str]) -> str:
    """The part of a command's help about the backend that its arguments name; empty if they name none."""
    words = [part for argument in arguments for part in argument.split("=", 1)]
    named = dict(pairwise(words)).get("--backend", "")
    return f"\n{describe(named)}\n" if named in BACKENDS else ""
