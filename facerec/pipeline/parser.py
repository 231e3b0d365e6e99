"""One command's parser: options from a typed signature, help and complaints in the user's words."""

from __future__ import annotations

import argparse
import inspect
import json
import keyword
import math
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import jsonargparse
import yaml
from jsonargparse._loaders_dumpers import yaml_load

from facerec.pipeline.arguments import BEYOND, in_words
from facerec.pipeline.complaint import complaint
from facerec.pipeline.files import InputError, repeated_key
from facerec.pipeline.letters import as_bytes, as_letters
from facerec.pipeline.overview import perhaps
from facerec.pipeline.values import at_home

MISSING, UNKNOWN = "the following arguments are required: ", "unrecognized arguments: "
NO_NUMBER = re.compile(r"invalid literal for int|could not convert string to float|argument must be a (string|real)")
KINDS = {Path: "PATH", str: "TEXT", bool: "{true,false}", int: "INT", float: "NUMBER"}

IN_WORDS = {
    "INT": "a whole number", "NUMBER": "a number", "PATH": "a path", "TEXT": "text", "YAML": "YAML: {name: value, ...}",
}  # fmt: skip


def call(program: str, name: str, function: Callable[..., Any], words: Sequence[str], more: str = "") -> Any:
    """Calls a command with the options of a command line.

    Args:
        program: Its name, for messages.
        name: Name of the command.
        function: The command.
        words: Its options.
        more: What its help has at the end.

    Returns:
        What the function returns.
    """
    _Parser.more = more
    jsonargparse.set_loader("yaml", _load, (yaml.YAMLError, RecursionError))
    words = listed([_underscored(word) for word in words], function)
    _refuse_empty_paths(words, function)
    return jsonargparse.auto_cli(
        function, args=words, prog=f"{program} {name}", as_positional=False, parser_class=_Parser,
        formatter_class=_Help,
    )  # fmt: skip


def listed(words: Sequence[str], function: Callable[..., Any]) -> list[str]:
    """Words in which an option that takes a list has it as YAML.

    It is given as ``--runs A B``, ``--runs A,B`` or ``--runs A --runs B``.
    """
    lists = {f"--{name}" for name, kind in _hints(function) if _takes_a_list(kind)}
    made, found = list[str](), dict[str, list[str]]()
    for option, values in _groups(words):
        parts = _parts(values) if option in lists else None
        if parts is None:
            made += [option, *values] if option else values
        else:
            found.setdefault(option, []).extend(parts)
    for option, parts in found.items():
        one = len(parts) == 1 and _takes_one(function, option)
        made += [option, parts[0] if one else "[" + ", ".join(map(_scalar, parts)) + "]"]
    return made


def _parts(values: Sequence[str]) -> list[str] | None:
    """What a list holds; None where it is left to YAML, as lists of settings by name are."""
    if not values or values[0].lstrip().startswith("{"):
        return None
    if values[0].lstrip().startswith("["):
        try:
            items = _load(" ".join(values))
        except (yaml.YAMLError, RecursionError):
            return None
        simple = isinstance(items, list) and all(isinstance(item, str | int | float) for item in items)
        return [str(item) for item in items] if simple else None
    return list(values) if len(values) > 1 or Path(values[0]).exists() else values[0].split(",")


def _refuse_empty_paths(words: Sequence[str], function: Callable[..., Any]) -> None:
    """Refuses ``--faces ""``, which would be the current folder.

    Raises:
        InputError: There is one.
    """
    paths = {f"--{name}" for name, kind in _hints(function) if Path in (kind, *_choices(kind))}
    for option, values in _groups(words):
        if option in paths and values == [""]:
            raise InputError(f"{_dashed(option)} is empty; give a path (is a variable of the shell unset?)")


def _hints(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    known = typing.get_type_hints(function)
    return [(name, known.get(name, item.annotation)) for name, item in inspect.signature(function).parameters.items()]


def _takes_a_list(kind: Any) -> bool:
    return typing.get_origin(kind) in (list, tuple) or any(map(_takes_a_list, _choices(kind)))


def _takes_one(function: Callable[..., Any], option: str) -> bool:
    """Whether an option takes a value that is no list."""
    kind = dict(_hints(function))[option[2:]]
    return any(part is not type(None) and not _takes_a_list(part) for part in _choices(kind) or (kind,))


def _choices(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else ()


def _groups(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each option with the words up to the next one; first those before any option, with an empty name."""
    option, values = "", list[str]()
    for word in words:
        if word.startswith("--"):
            yield option, values
            name, equals, value = word.partition("=")
            option, values = (name, [value]) if equals else (word, [])
        else:
            values.append(word)
    yield option, values


def _scalar(text: str) -> str:
    """A number as it is, anything else quoted."""
    return text.strip() if re.fullmatch(r"\s*-?[\d.]+(e-?\d+)?\s*", text) else json.dumps(text, ensure_ascii=False)


def _load(text: str) -> Any:
    """What an option's text or a file of options stands for in YAML."""
    letters = as_letters(text)
    loaded = yaml_load(letters)
    if isinstance(loaded, dict) and (twice := repeated_key(letters)):
        raise InputError(twice)
    return as_bytes(loaded)


def _underscored(argument: str) -> str:
    """``--min-size=3`` as ``--min_size=3``, and ``--as`` as ``--as_``, since Python keeps that name for itself."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument[2:].partition("=")
    name = name.replace("-", "_")
    return f"--{name}{'_' if keyword.iskeyword(name) else ''}{equals}{value}"


class _Parser(jsonargparse.ArgumentParser):
    """A parser that names options as they are given, and complains in one line.

    Attributes:
        more: What its help has at the end.
    """

    more = ""

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        """Options by name. A path that begins with ``~/`` is in the home folder, also after ``=`` and in YAML."""
        found = super().parse_args(*args, **kwargs)
        for name, value in found.items():
            items = value if isinstance(value, list) else [value]
            if any(isinstance(item, float) and not math.isfinite(item) for item in items):
                self.error(f"--{_dashed(name.rpartition('.')[2])}: {value}; expected a finite number")
            found[name] = list(map(_at_home, items)) if isinstance(value, list) else _at_home(value)
        for action in self._actions:
            if action.default is not None and found.get(action.dest, "") is None and not _takes_nothing(action):
                self.error(f"--{_dashed(action.dest.rpartition('.')[2])}: no value; expected {wanted(action)}")
        return found

    def format_help(self, formatter: argparse.HelpFormatter | None = None) -> str:
        text = super().format_help(formatter)
        return re.sub(r"(?<![\w-])--[a-z]\w*", lambda option: _dashed(option[0]), text) + self.more

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        # jsonargparse's exceptions have no fields: the name of the option stands in the text alone.
        wrong = re.match(r'Parser key "(?:\w+\.)?(\w+)"', message)
        if wrong and ex and ex.__cause__:
            message = f"{_as_given(wrong)}: {self._expected(wrong[1], ex.__cause__)}"
        if message.startswith(MISSING):
            message = MISSING + re.sub(r"(?:\w+\.)?(\w+)", _as_given, message.removeprefix(MISSING))
        if message.lower().startswith(UNKNOWN):
            message = self._unknown(message[len(UNKNOWN) :])
        print(complaint(self.prog, f"{message} (see --help)"), file=sys.stderr)
        raise SystemExit(2)

    def _expected(self, name: str, cause: BaseException) -> str:
        """What a value should have been: our own words, or the kinds that its option takes."""
        text = str(cause.__cause__ or cause)
        if BEYOND.search(text):
            return in_words(text)
        actions = (action for action in self._actions if action.dest.rpartition(".")[2] == name)
        expected = f"expected {next(map(wanted, actions), 'another value')}"
        if NO_NUMBER.search(text):  # of a number within bounds; Python's own words
            value = re.search(r": '(.*)'$", text, re.DOTALL)
            return f"{value[1]}; {expected}" if value else expected
        value = re.search(r"Got value: (.*)", text, re.DOTALL)
        if value is None or not re.search(r"Expected (a|one) |any of the", text):
            return text
        return f"{value[1]}; {expected}"

    def _unknown(self, words: str) -> str:
        """What words there is no place for may have meant."""
        first = words.split()[0]
        if not first.startswith("--"):
            return f"{words}: belongs to no option"
        known = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        return f"there is no option {_dashed(first)}{_dashed(perhaps(first, known))}"


class _Help(jsonargparse.DefaultHelpFormatter):
    """Help with kinds of values by short names: ``--k INT``, ``--out PATH``."""

    def _metavar_formatter(self, action: argparse.Action, default: str) -> Callable[[int], tuple[str, ...]]:
        kind = kind_of(action)
        return (lambda number: (kind,) * number) if kind else super()._metavar_formatter(action, default)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        names = [name for name in action.option_strings if not name.endswith("+")]  # jsonargparse's way to append
        if not names:
            return super()._format_action_invocation(action)
        values = "" if action.nargs == 0 else " " + self._format_args(action, action.dest.upper())
        return ", ".join(names) + values

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        notes = ["required"] if action.required else []
        if action.default not in (None, argparse.SUPPRESS):
            notes.append("default: %(default)s")
        return f"{text.rstrip('.')}. ({', '.join(notes)})" if notes and text else text


def kind_of(action: argparse.Action) -> str:
    """What an option takes: ``PATH``, ``INT``, ``{rgb,bgr}``, ``PATH [PATH ...]``; nothing if its type says nothing."""
    return _kind(getattr(action, "_typehint", None) or action.type)


def wanted(action: argparse.Action) -> str:
    """What an option takes, in words: ``a whole number``, ``one of rgb, bgr``, ``a path, one or several``."""
    kind, several, _ = kind_of(action).partition(" [")
    words = f"one of {kind[1:-1].replace(',', ', ')}" if kind[:1] == "{" else IN_WORDS.get(kind, "another value")
    return f"{words}{', one or several' if several else ''}"


def _takes_nothing(action: argparse.Action) -> bool:
    return type(None) in _choices(getattr(action, "_typehint", None) or action.type)


def _kind(kind: Any) -> str:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if _choices(kind):
        kinds = sorted((_kind(part) for part in parts), key=lambda text: ("..." in text, len(text)))
        words_or_path = "PATH" in kinds and kinds[-1][:1] == "{"
        return f"{kinds[-1][1:-1].replace(',', '|')}|PATH" if words_or_path else kinds[-1]
    if origin is list:
        one = _kind(parts[0])
        return one if one == "YAML" else f"{one} [{one} ...]"
    if origin is Literal:
        return "{" + ",".join(map(str, parts)) + "}"
    if origin is dict:
        return "YAML"
    return next((name for base, name in KINDS.items() if isinstance(kind, type) and issubclass(kind, base)), "")


def _at_home(value: Any) -> Any:
    return at_home(value) if isinstance(value, Path) and value.parts[:1] == ("~",) else value


def _as_given(key: re.Match[str]) -> str:
    return "--" + _dashed(key[1])


def _dashed(text: str) -> str:
    return re.sub(r"_(?=\w)", "-", text).rstrip("_")
