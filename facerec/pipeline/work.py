"""What a stage was asked to do, as ``meta.json`` has it, and whether a folder holds that work."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from facerec.pipeline.counts import counted
from facerec.pipeline.files import InputError, read_json
from facerec.pipeline.fingerprint import REFERS, InputFiles
from facerec.pipeline.named_part import split_part


def describe(
    command: str, arguments: Mapping[str, Any], incidental: Sequence[str], out: Path, named: Sequence[str] = ()
) -> dict[str, Any]:
    """Command, configuration and inputs as JSON.

    Args:
        command: As in ``python -m``.
        arguments: By name. A `Path`, or a list of these, is an input, see `InputFiles`.
        incidental: Names that do not change the result.
        out: Where the result goes. It is no part of an input. What was noted there is not hashed again.
        named: Inputs of which the last part of the path counts, too.
    """
    inputs: dict[str, Any] = {}
    config: dict[str, Any] = {}
    known = _known_hashes(out)

    def described(path: Path, by_name: bool) -> dict[str, str]:
        files = InputFiles(path, (out, partial_of(out)))
        found = {"path": str(path), "hash": known.get(files.stamp) or files.hash, "stamp": files.stamp}
        return found | ({"name": path.absolute().name} if by_name else {})

    for name, value in arguments.items():
        if isinstance(value, Path):
            inputs[name] = described(value, name in named)
        elif isinstance(value, list) and value and all(isinstance(item, Path) for item in value):
            inputs[name] = [described(item, name in named) for item in value]
        elif name not in incidental:
            config[name] = value
    return {"command": command, "config": as_json(config), "inputs": inputs}


def partial_of(out: Path) -> Path:
    """The folder in which a stage works."""
    return out.with_name(out.name + ".partial")


def same_work(one: Any, other: Any) -> bool:
    """Whether two descriptions are of the same work: of an input its contents count, not its place."""
    return isinstance(one, dict) and not _differing(one, other)


def _known_hashes(out: Path) -> dict[str, str]:
    """The hashes of inputs by their stamps, as finished or begun work has noted them."""
    known: dict[str, str] = {}
    for note in (out / "meta.json", partial_of(out) / "work.json"):
        try:
            noted = read_json(note)["inputs"].values()
            items = [item for value in noted for item in (value if isinstance(value, list) else [value])]
            known |= {item["stamp"]: item["hash"] for item in items}
        except (InputError, KeyError, TypeError, AttributeError):
            continue
    return known


def is_done(out: Path, work: Mapping[str, Any]) -> bool:
    """Whether a folder holds the work that is asked for.

    Raises:
        InputError: It holds other work, or other files.
    """
    if not out.is_dir() or not any(out.iterdir()):
        return False
    if not (out / "meta.json").exists():
        raise InputError(f"{out}: a folder with other files in it; choose another --out or empty it")
    there = read_json(out / "meta.json")
    if not isinstance(there, dict):
        raise InputError(f"{out / 'meta.json'}: not what a finished command writes; choose another --out")
    command = there.get("command")
    if isinstance(command, str) and command != work["command"]:
        raise InputError(f"{out}: made by {command}, not by {work['command']}; choose another --out or delete it")
    _refuse_different(out, there, work)
    return True


def refuse_stale(
    command: str, arguments: Mapping[str, Any], incidental: Sequence[str], out: Path, named: Sequence[str] = ()
) -> None:
    """Refuses finished work that was made with other settings or inputs than it would be made with now.

    An input that is gone counts as unchanged if it has the same name. So do options that the work did not know yet.

    Args:
        command: As in ``python -m``.
        arguments: By name.
        incidental: Names that do not change the result.
        out: The folder; without finished work in it nothing is refused.
        named: Inputs of which the last part of the path counts, too.

    Raises:
        InputError: It holds other work.
    """
    if not (out / "meta.json").is_file():
        return
    there = read_json(out / "meta.json")
    noted = _part(there, "inputs")
    known = {name: value for name, value in arguments.items() if name in {**noted, **_part(there, "config")}}
    gone = {name for name, value in known.items() if not all(split_part(path)[0].exists() for path in _paths(value))}
    work = describe(command, {name: value for name, value in known.items() if name not in gone}, incidental, out, named)
    for name in gone:
        paths = _paths(known[name])
        before = noted[name] if _is_input(noted.get(name)) else {}
        same = [Path(str(before.get("path"))).name] == [path.name for path in paths]
        work["inputs"][name] = before if same else {"path": ", ".join(map(str, paths)), "hash": "missing"}
    is_done(out, work)


def _paths(value: Any) -> list[Path]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, Path)]


def _refuse_different(out: Path, there: Mapping[str, Any], work: Mapping[str, Any]) -> None:
    if differences := _differences(there, "there", work, "asked"):
        _refuse_moved(out, [_get(work, name) for name in _differing(there, work) if name[:7] == "inputs."])
        raise InputError(
            f"{out}: holds other work than what was asked ({differences}); choose another --out or delete the folder"
        )


def _refuse_moved(out: Path, inputs: Sequence[Any]) -> None:
    """Refuses work of which an input names files that are not there: a folder with relative names was moved."""
    for path in (Path(item["path"]) for item in inputs if _is_input(item)):
        named = InputFiles(path).entries.items() if split_part(path)[0].exists() else []
        if gone := [file for name, (file, status) in named if status is None and REFERS in name]:
            raise InputError(
                f"{out}: holds other work than what was asked; {path} names {counted(len(gone), 'file')} not "
                f"there now, such as {os.path.normpath(gone[0])}: if it was moved since, move it back"
            )


def refuse_other_work(out: Path, work: Mapping[str, Any]) -> None:
    """Refuses work that is not what the first of several processes has begun in a folder.

    Raises:
        InputError: Settings or inputs differ; they are named.
    """
    try:
        first = read_json(partial_of(out) / "work.json")
    except InputError:  # of a folder on another machine, it may come late
        return
    if differences := _differences(work, "here", first, "there"):
        raise InputError(
            f"{out}: this process was asked for other work than the first ({differences}); start all with the same "
            "command"
        )


def _differences(one: Mapping[str, Any], here: str, other: Mapping[str, Any], there: str) -> str:
    """What differs between two descriptions, in words, with a word for either; or nothing."""
    both = ((name, *_unlike(_get(one, name), _get(other, name))) for name in _differing(one, other))
    return "; ".join(f"{name} {_short(mine)} {here}, {_short(theirs)} {there}" for name, mine, theirs in both)


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The names of what differs between two descriptions."""
    names = ["command", *sorted(_names(one) | _names(other))]
    return [name for name in names if _identity(_get(one, name)) != _identity(_get(other, name))]


def _unlike(one: Any, other: Any) -> tuple[Any, Any]:
    """Two values; of two lists of inputs those that differ."""
    if not (isinstance(one, list) and isinstance(other, list) and all(map(_is_input, [*one, *other]))):
        return one, other
    pairs = [pair for pair in zip_longest(one, other) if _identity(pair[0]) != _identity(pair[1])]
    return [a for a, _ in pairs if a], [b for _, b in pairs if b]


def _names(work: Mapping[str, Any]) -> set[str]:
    return {f"{part}.{name}" for part in ("config", "inputs") for name in _part(work, part)}


def _get(work: Mapping[str, Any], name: str) -> Any:
    part, _, key = name.partition(".")
    return _part(work, part).get(key) if key else work.get(part)


def _part(work: Any, name: str) -> Mapping[str, Any]:
    part = work.get(name) if isinstance(work, dict) else None
    return part if isinstance(part, dict) else {}


def _identity(value: Any) -> Any:
    """What of a recorded value has to agree: of an input its hash and its name, if it has one, not its place."""
    if _is_input(value):
        return value["hash"], value.get("name")
    return [_identity(item) for item in value] if isinstance(value, list) else value


def _short(value: Any) -> str:
    if _is_input(value):
        return f"{value.get('path')} ({str(value['hash'])[:8]})"
    if isinstance(value, list) and value and all(map(_is_input, value)):
        return ", ".join(map(_short, value))
    return json.dumps(value)


def _is_input(value: Any) -> bool:
    return isinstance(value, dict) and "hash" in value


def as_json(value: Any) -> Any:
    """A value as it comes back from a JSON file."""
    return json.loads(json.dumps(value, default=str))
