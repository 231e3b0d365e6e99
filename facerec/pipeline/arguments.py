"""Arguments of a stage as its annotations want them: strings as paths, numbers within their bounds."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse.typing import restricted_number_type

from facerec.pipeline.files import InputError
from facerec.pipeline.values import shown

BEYOND = re.compile(r"(\S+) does not conform to restriction (.*)")

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
    """The arguments, strings for paths as paths.

    Args:
        signature: Of the function.
        function: Whose annotations say what is a path and which bounds a number has.
        arguments: By name.

    Raises:
        InputError: A number beyond the bounds of its type, text for a number, or none of the choices that there are.
    """
    hints = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    if any(isinstance(hint, str) for hint in hints.values()):
        hints = typing.get_type_hints(function)
    return {name: _typed(name, value, hints.get(name)) for name, value in arguments.items()}


def _typed(name: str, value: Any, hint: Any) -> Any:
    kinds = [hint, *typing.get_args(hint)]
    if not any(typing.get_origin(kind) is Literal for kind in kinds):
        if isinstance(value, str) and Path in kinds:
            return Path(value)
        if isinstance(value, list) and list[Path] in kinds:
            return [Path(item) for item in value]
    choices = _allowed_values(hint)
    if choices and value is not None and value not in choices:
        raise InputError(f"--{name.replace('_', '-')}: {shown(value)}; expected one of {', '.join(map(str, choices))}")
    if isinstance(value, str) and str not in kinds and not {int, float}.isdisjoint(kinds):
        raise InputError(f"--{name.replace('_', '-')}: {shown(value)}; expected a number")
    for kind in kinds:
        if value is not None and getattr(kind, "__module__", "") == "jsonargparse.typing":
            try:
                kind(value)
            except ValueError as error:
                raise InputError(f"--{name.replace('_', '-')}: {in_words(str(error))}") from None
            except TypeError:  # something that no number can be made of
                raise InputError(f"--{name.replace('_', '-')}: {shown(value)}; expected a number") from None
    return value


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
