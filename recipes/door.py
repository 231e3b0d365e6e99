"""Options of the recipe's program, and how wrong ones and unusable input are refused."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Container, Iterator, Sequence
from typing import NoReturn

from facerec.pipeline.complaint import complaint, said
from facerec.pipeline.files import InputError

NEVER_EMPTY = ("--config", "--out", "--stage", "--stop-stage")


class Door:
    """A program's name, its help and the options that it has, each with a value.

    Args:
        program: The script's name, for messages.
        usage: What ``--help`` prints.
        names: Its options, such as ``--out``.
    """

    def __init__(self, program: str, usage: str, names: Container[str]):
        self.program, self.usage, self.names = program, usage, names

    def read(self, arguments: Sequence[str]) -> dict[str, str]:
        """The options that were given; of one given twice the last, and none whose value is empty.

        Raises:
            SystemExit: With 2 for an unknown option or a missing value, with 0 after the help.
        """
        found: dict[str, str] = {}
        words = iter(arguments)
        for name in words:
            if name in ("-h", "--help"):
                print(self.usage.strip())
                raise SystemExit(0)
            if name not in self.names:
                self.refuse(f"unknown option {name}")
            value = next(words, None)
            if value is None or (value == "" and name in NEVER_EMPTY):
                self.refuse(f"{name} needs a value")
            found[name] = value
        return {name: value for name, value in found.items() if value}

    def whole(self, name: str, text: str) -> int:
        """The whole number from 1 that an option's text is."""
        if not re.fullmatch("[1-9][0-9]*", text):
            self.refuse(f"{name} {text} is not a number from 1")
        return int(text)

    def choice(self, name: str, text: str, choices: Sequence[str], said: str = "") -> str:
        """The option's text, which has to be one of the choices."""
        if text not in choices:
            self.refuse(f"{name} {text} is not one of {said or ', '.join(choices)}")
        return text

    def refuse(self, text: str) -> NoReturn:
        """Ends with one line on stderr and status 2."""
        print(f"{self.program}: error: {text} (see --help)", file=sys.stderr)
        raise SystemExit(2)


@contextlib.contextmanager
def refusing_input() -> Iterator[None]:
    """Turns an `InputError`, or an error of the system, into one line on stderr and status 2."""
    try:
        yield
    except (InputError, OSError) as error:
        print(complaint("recipe", said(error)), file=sys.stderr)
        raise SystemExit(2) from None
