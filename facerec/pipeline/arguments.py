"""Arguments as their annotations want them: strings as paths, numbers within their bounds."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

import numpy as np
from jsonargparse.typing import restricted_number_type

from facerec.pipeline.files import InputError
from facerec.pipeline.values import as_path, shown

WANTED = {bool: "True or False", int: "a number without a fraction", float: "a number", Path: "a path", list: "a list"}
"""Types of arguments in words; bool first, which is an int, too."""
BEYOND = re.compile(r"(\S+) does not conform to restriction (.*)")

P = ParamSpec("P")
Result = TypeVar("Result")

if TYPE_CHECKING:
    Seed = int
    Points = float
else:
    Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**63)])
    Points = restricted_number_type("Points", float, [(">=", 0), ("<=", 100)])
"""Seeds that NumPy and PyTorch both take; how far error rates spread, in points, hundredths."""


def typed_arguments(
    signature: inspect.Signature, function: Callable[..., Any], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments, strings for paths as paths and NumPy's numbers as Python's.

    Args:
        signature: Of the function.
        function: Whose annotations say what is a path and which bounds a number has.
        arguments: By name.

    Raises:
        InputError: A number beyond the bounds of its type, a value of another type, or none of the choices that there
            are.
    """
    hints = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    if any(isinstance(hint, str) for hint in hints.values()):
        hints = typing.get_type_hints(function)
    return {name: _typed(name, value, hints.get(name)) for name, value in arguments.items()}


def typed(function: Callable[P, Result]) -> Callable[P, Result]:
    """A function that takes its arguments as `typed_arguments` does: a command that is no stage."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Result:
        bound = signature.bind(*args, **kwargs)
        bound.arguments |= typed_arguments(signature, function, bound.arguments)
        return function(*bound.args, **bound.kwargs)

    return wrapper


def set_typed_fields(options: Any) -> None:
    """Gives the fields of a dataclass, which may be frozen, values as their annotations want them.

    Raises:
        InputError: See `typed_arguments`.
    """
    hints = typing.get_type_hints(type(options))
    for field in dataclasses.fields(options):
        object.__setattr__(options, field.name, _typed(field.name, getattr(options, field.name), hints[field.name]))


def _typed(name: str, value: Any, hint: Any) -> Any:
    kinds = _kinds(hint)
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and list[float] in kinds):
        value = value.tolist()
    if not any(typing.get_origin(kind) is Literal for kind in kinds):
        if isinstance(value, str) and Path in kinds:
            return Path(value)
        if isinstance(value, list | tuple) and list[Path] in kinds:
            return [as_path(name, item) for item in value]
    choices = _allowed_values(hint)
    if choices and value not in choices and not (value is None and type(None) in kinds):
        raise InputError(f"{option}: {shown(value)}; expected one of {', '.join(map(str, choices))}")
    if not any(_fits(value, kind) for kind in kinds):
        wanted = " or ".join(WANTED[_plain(kind)] for kind in kinds if _plain(kind) in WANTED)
        raise InputError(f"{option}: {shown(value)}; expected {wanted}")
    for kind in kinds:
        if value is not None and getattr(kind, "__module__", "") == "jsonargparse.typing":
            try:
                kind(value)
            except ValueError as error:
                raise InputError(f"{option}: {in_words(str(error))}") from None
    return value


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The types of a union, or the only one."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _plain(kind: Any) -> Any:
    """The type that a type with bounds, or with items, is one of."""
    kind = typing.get_origin(kind) or kind
    return next((each for each in WANTED if isinstance(kind, type) and issubclass(kind, each)), kind)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a type; of other types than those in `WANTED` every value is."""
    plain = _plain(kind)
    if plain in (int, float):
        return isinstance(value, Integral if plain is int else Real) and not isinstance(value, bool)
    if plain is list:
        return isinstance(value, list | tuple)
    return isinstance(value, plain) if plain in (*WANTED, type(None)) else True


def _allowed_values(hint: Any) -> tuple[Any, ...]:
    """What a value has to be one of, where it can be nothing else; else nothing."""
    parts = [part for part in typing.get_args(hint) if part is not type(None)]
    only = hint if typing.get_origin(hint) is Literal else parts[0] if len(parts) == 1 else None
    return typing.get_args(only) if typing.get_origin(only) is Literal else ()


def in_words(error: str) -> str:
    """What jsonargparse says of a number beyond its bounds, in words: "0; expected a number above 0"."""
    found = BEYOND.search(error)
    if found is None:
        return error
    bounds = found[2]
    for sign, words in (("v>=", "at least "), ("v<=", "at most "), ("v>", "above "), ("v<", "below ")):
        bounds = bounds.replace(sign, words)
    return f"{found[1]}; expected a number {bounds}"
