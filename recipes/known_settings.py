"""Whether the commands know the settings that a recipe's YAML gives them, asked before any of them runs."""

from __future__ import annotations

import argparse
import difflib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonargparse
from door import refusing_input
from recipe import SECTIONS, Sections, Settings
from workers import function_of

from clustering.backends.registry import backend
from facerec.pipeline.arguments import BEYOND, in_words
from facerec.pipeline.files import InputError
from facerec.pipeline.parser import wanted
from facerec.pipeline.values import shown


def refuse_unknown_settings(file: Path, sections: Sections, settings: Settings) -> None:
    """Ends the process with one line and status 2 where a backend is unknown or `check_settings` refuses."""
    with refusing_input():
        for number, name in enumerate(settings.backends):
            backend(name)
            if name in settings.backends[:number]:
                raise InputError(f"backends: {name} stands there twice; each has one row")
        check_settings(file, sections, settings.corpus)


def check_settings(file: Path, sections: Sections, corpus: str) -> None:
    """Checks names and types of all settings. What else a command wants of a value it says when it starts.

    Args:
        file: The YAML, for messages.
        sections: The settings of each section.
        corpus: The command of the section ``corpus``: synth or split.

    Raises:
        InputError: A setting that the section's command does not have, or a value of another type.
    """
    for name, section in sections.items():
        if section:
            _check_section(f"{file}: section {name}", section, SECTIONS[name].command.format(corpus=corpus))
        for setting in section:
            if setting in SECTIONS[name].given:
                raise InputError(f"{file}: section {name}: {setting} would not count, as the recipe sets it; remove it")


def _check_section(where: str, section: Mapping[str, Any], words: str) -> None:
    program, _, command = words.partition(" ")
    known = inspect.signature(function_of(program, command), eval_str=True).parameters
    parser, options = jsonargparse.ArgumentParser(exit_on_error=False), {}
    for name in section:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            remedy = f"did you mean {close[0]}?" if close else f"python -m {program} {command} --help lists them"
            raise InputError(f"{where}: unknown setting {name!r}; {remedy}")
        options[name] = parser.add_argument(f"--{name}", type=known[name].annotation)
    for name, value in section.items():
        if value is None and known[name].default not in (None, inspect.Parameter.empty):
            raise InputError(f"{where}: {name} has no value; give it one or remove it")
        try:
            parser.parse_object({name: value})
        except (argparse.ArgumentError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            if beyond := BEYOND.search(reason):
                raise InputError(f"{where}: {name} is {in_words(beyond[0])}") from None
            raise InputError(f"{where}: {name} is {shown(value)}; expected {wanted(options[name])}") from None
