"""Options of a command in dataclasses, which its callers and the command line see as flat parameters."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import docstring_parser

Result = TypeVar("Result")
INDENT = " " * 8


def flattened(function: Callable[..., Result]) -> Callable[..., Result]:
    """Puts the fields of a function's dataclass parameters in the place of these parameters.

    The new function has the fields as keyword parameters, with their types and defaults. Its docstring describes each
    field as the ``Attributes`` section of its dataclass does. A field whose dataclass validates itself raises what
    ``__post_init__`` raises.

    Args:
        function: With parameters whose annotation is a dataclass. Field names must differ from each other and from the
            other parameters.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Size:
        ...     height: int = 3
        ...     width: int = 4
        >>> @flattened
        ... def area(scale: int, size: Size) -> int:
        ...     return scale * size.height * size.width
        >>> area(2, width=5)
        30
        >>> str(inspect.signature(area))
        '(scale: int, height: int = 3, width: int = 4) -> int'
    """
    signature, hints = inspect.signature(function), typing.get_type_hints(function)
    groups = {name: hints[name] for name in signature.parameters if dataclasses.is_dataclass(hints.get(name))}
    parameters = [each for name in signature.parameters for each in _flat(signature.parameters[name], hints, groups)]
    parameters.sort(key=lambda each: each.default is not inspect.Parameter.empty)
    flat = signature.replace(parameters=parameters, return_annotation=hints.get("return", inspect.Signature.empty))

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Result:
        bound = flat.bind(*args, **kwargs)
        bound.apply_defaults()
        values = dict(bound.arguments)
        grouped = {
            name: group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})
            for name, group in groups.items()
        }
        return function(**values, **grouped)

    wrapper.__signature__ = flat  # type: ignore[attr-defined]
    wrapper.__doc__ = _documented(function, groups)
    return wrapper


def _flat(
    parameter: inspect.Parameter, hints: Mapping[str, Any], groups: Mapping[str, Any]
) -> Iterator[inspect.Parameter]:
    if parameter.name not in groups:
        yield parameter.replace(annotation=hints.get(parameter.name, parameter.annotation))
        return
    group = groups[parameter.name]
    types = typing.get_type_hints(group)
    for field in dataclasses.fields(group):
        default: Any = inspect.Parameter.empty
        if field.default is not dataclasses.MISSING:
            default = field.default
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        yield inspect.Parameter(field.name, kind, default=default, annotation=types[field.name])


def _documented(function: Callable[..., Any], groups: Mapping[str, Any]) -> str:
    """The function's docstring, in whose ``Args`` section the fields stand in the place of their dataclass."""
    parsed = docstring_parser.parse(inspect.getdoc(function) or "", style=docstring_parser.DocstringStyle.GOOGLE)
    described = {each.arg_name: each.description or "" for each in parsed.params}
    lines: list[str] = []
    for name in inspect.signature(function).parameters:
        if name not in groups:
            lines.append(_entry(name, described.get(name, "")))
            continue
        fields = docstring_parser.parse(inspect.getdoc(groups[name]) or "")
        texts = {each.arg_name: each.description or "" for each in fields.params}
        lines += [_entry(field.name, texts.get(field.name, "")) for field in dataclasses.fields(groups[name])]
    head = "\n\n".join(part for part in (parsed.short_description, parsed.long_description) if part)
    return head + "\n\nArgs:\n" + "\n".join(lines) + "\n"


def _entry(name: str, text: str) -> str:
    return f"    {name}: " + f"\n{INDENT}".join(text.splitlines())
