"""What a stage was asked to do, as ``meta.json`` has it, and whether a folder holds that work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facerec.pipeline.files import InputError, read_json
from facerec.pipeline.fingerprint import fingerprint


def describe(command: str, arguments: Mapping[str, Any], incidental: Sequence[str]) -> dict[str, Any]:
    """Command, configuration and inputs as JSON.

    Args:
        command: As in ``python -m``.
        arguments: By name. A `Path`, or a list of these, is an input, which its contents identify.
        incidental: Names that do not change the result.
    """
    inputs: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for name, value in arguments.items():
        if isinstance(value, Path):
            inputs[name] = {"path": str(value), "hash": fingerprint(value)}
        elif isinstance(value, list) and value and all(isinstance(item, Path) for item in value):
            inputs[name] = [{"path": str(item), "hash": fingerprint(item)} for item in value]
        elif name not in incidental:
            config[name] = value
    return {"command": command, "config": as_json(config), "inputs": inputs}


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
    differences = [
        f"{name} {_short(_get(there, name))} there, {_short(_get(work, name))} asked"
        for name in ["command", *sorted(_names(there) | _names(work))]
        if _identity(_get(there, name)) != _identity(_get(work, name))
    ]
    if differences:
        raise InputError(
            f"{out}: holds other work than what was asked ({'; '.join(differences)}); "
            "choose another --out or delete the folder"
        )
    return True


def _names(work: Mapping[str, Any]) -> set[str]:
    return {f"{part}.{name}" for part in ("config", "inputs") for name in work.get(part, {})}


def _get(work: Mapping[str, Any], name: str) -> Any:
    part, _, key = name.partition(".")
    return work.get(part, {}).get(key) if key else work.get(part)


def _identity(value: Any) -> Any:
    """What of a recorded value has to agree: of an input its hash, not its place."""
    if isinstance(value, dict) and "hash" in value:
        return value["hash"]
    return [_identity(item) for item in value] if isinstance(value, list) else value


def _short(value: Any) -> str:
    if isinstance(value, dict) and "hash" in value:
        return f"{value['path']} ({value['hash'][:8]})"
    return json.dumps(value)


def as_json(value: Any) -> Any:
    """A value as it comes back from a JSON file."""
    return json.loads(json.dumps(value, default=str))
