"""Counts in words: one face, two faces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

IRREGULAR = {"person": "people"}


def plural(noun: str) -> str:
    """The plural of an English noun.

    Example:
        >>> plural("face"), plural("identity"), plural("class"), plural("key"), plural("labelled person")
        ('faces', 'identities', 'classes', 'keys', 'labelled people')
    """
    rest, _, last = noun.rpartition(" ")
    if rest or last in IRREGULAR:
        return f"{rest} {plural(last)}" if rest else IRREGULAR[last]
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch")) else f"{noun}s"


def counted(number: int, noun: str) -> str:
    """A count and what is counted.

    Args:
        number: How many.
        noun: Of one of them.

    Example:
        >>> counted(1, "face"), counted(12_345, "face"), counted(0, "identity")
        ('1 face', '12,345 faces', '0 identities')
    """
    return f"{number:,} {noun if number == 1 else plural(noun)}"


class _Words(Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec[:1].isalpha() and len(format_spec) > 2:
            return counted(value, format_spec)
        return str(super().format_field(value, format_spec))


def told(template: str) -> Callable[[Mapping[str, Any]], str]:
    """Puts results into words, for the ``found`` of a stage.

    Args:
        template: As of ``str.format``; ``{faces:face}`` is a count with its noun, see `counted`.

    Example:
        >>> told("{faces:face} of {people:person}, {share:.1%}")({"faces": 1, "people": 2, "share": 0.5})
        '1 face of 2 people, 50.0%'
    """
    return lambda results: _Words().vformat(template, (), results)
