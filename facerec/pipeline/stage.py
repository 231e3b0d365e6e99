"""A stage is a function *paths in, path out*; this makes it whole, repeatable and callable from the shell.

`stage` decorates such a function. Work happens in ``OUT.partial``; when the function has returned, ``meta.json`` is
written and the folder is renamed to ``OUT``, so a folder without the suffix is always complete. The same work asked
again returns at once; other work asked into the same folder is refused.

`run` makes a program out of stages: options, defaults and help come from the typed signatures.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib
import importlib.metadata
import inspect
import json
import logging
import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TextIO

from facerec.pipeline.files import InputError, read_json, write_json

logger = logging.getLogger(__name__)

P = ParamSpec("P")
Results = Mapping[str, Any] | None
HASHED_BYTES = 64 << 20
HASH_BLOCK = 1 << 20
NOT_HASHED = ("meta.json", "tensorboard")


def stage(
    command: str, resumable: bool = False, incidental: Sequence[str] = (), distributed: bool = False
) -> Callable[[Callable[P, Results]], Callable[P, Path]]:
    """Makes a function with a parameter ``out: Path`` a stage.

    The function receives ``OUT.partial`` in place of ``OUT`` and may return a mapping of results, which goes into
    ``meta.json``. Its other `Path` arguments are inputs, identified by their contents; the rest is configuration.

    Args:
        command: Its name, as in ``python -m``.
        resumable: Whether what a killed run left in ``OUT.partial`` is kept for the next one.
        incidental: Parameters that do not change the result (devices, worker counts).
        distributed: Whether several processes that ``torchrun`` started do the work together. The folder is then that
            of the first, whose environment has ``RANK`` 0; the others get the same `out`, into which only the first
            writes unless the function sees to it, and return when the first has finished. The function waits for all
            with `facerec.pipeline.ranks.init_group` before it first looks into `out`.
    """

    def decorate(function: Callable[P, Results]) -> Callable[P, Path]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> Path:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            arguments = dict(bound.arguments)
            out = Path(arguments.pop("out"))
            work = _describe(command, arguments, incidental)
            if distributed and int(os.environ.get("RANK", 0)) > 0:
                if not _is_done(out, work):
                    bound.arguments["out"] = _partial(out)
                    function(*bound.args, **bound.kwargs)
                while _partial(out).exists():  # the first process still writes
                    time.sleep(0.05)
                return out
            workplace = _Workplace(out, work, resumable)
            while not _is_done(out, work) and not workplace.claim():
                pass  # another run was doing the same work; it has ended, one way or the other
            if not workplace.claimed:
                logger.info("%s: already done", out)
                return out
            started = time.perf_counter()
            with workplace as folder:
                bound.arguments["out"] = folder
                results = function(*bound.args, **bound.kwargs)
                write_json(
                    folder / "meta.json",
                    {
                        **work,
                        "results": dict(results or {}),
                        "versions": _versions(),
                        "seconds": round(time.perf_counter() - started, 3),
                        "peak_memory_bytes": peak_memory_bytes(),
                        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                    },
                )
            logger.info("%s: done in %.1f s", out, time.perf_counter() - started)
            return out

        return wrapper

    return decorate


def fingerprint(path: Path) -> str:
    """A hash of a file's or a folder's contents.

    Files of up to 64 MiB are read whole; of larger ones the length and 64 evenly spaced blocks of 1 MiB. A folder is
    the names and lengths of everything in it, and the contents of the files at its top; ``meta.json`` and
    ``tensorboard``, which differ from run to run, do not count.

    Raises:
        InputError: Nothing there.
    """
    digest = hashlib.blake2b(digest_size=16)
    if path.is_file():
        _hash_file(path, digest)
    elif path.is_dir():
        for name, length, top in sorted(_listing(path, "")):
            digest.update(f"{name}\0{length}\0".encode())
            if top:
                _hash_file(path / name, digest)
    else:
        raise InputError(f"{path}: no such file or folder")
    return digest.hexdigest()


def peak_memory_bytes() -> int:
    """The largest resident memory this process and its finished children have had, in bytes."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return unit * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


class _Workplace:
    """The folder in which a stage works: claimed by one run, and at the end renamed or removed."""

    def __init__(self, out: Path, work: dict[str, Any], resumable: bool):
        self.out, self.work, self.resumable = out, work, resumable
        self.folder = _partial(out)
        self.note = self.folder / "work.json"
        self.lock: TextIO | None = None
        self.continued = False

    @property
    def claimed(self) -> bool:
        """Whether this run has the folder."""
        return self.lock is not None

    def claim(self) -> bool:
        """Locks the folder. If another run has it for the same work, waits until that has ended, and says False.

        Raises:
            InputError: Another run has it for other work, or a file stands in the way.
        """
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"{self.out}: a file stands where the output folder should be made; choose another --out")
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = (self.folder / ".lock").open("w")
        try:
            # Not flock: worker processes would inherit it, and hold it for a while after their parent was killed.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            if not self._is_noted():
                lock.close()
                raise InputError(f"{self.folder}: another run is working there; wait or choose another --out") from None
            logger.info("%s: another run is doing this; waiting for it", self.out)
            fcntl.lockf(lock, fcntl.LOCK_EX)
            lock.close()
            return False
        if (self.out / "meta.json").exists() or not (self.folder / ".lock").exists():  # it has just been done
            lock.close()
            shutil.rmtree(self.folder, ignore_errors=True)
            return False
        self.lock = lock
        return True

    def __enter__(self) -> Path:
        self.continued = self.resumable and self._is_noted()
        if not self.continued:
            self._clear()
            write_json(self.note, self.work)
        return self.folder

    def _is_noted(self) -> bool:
        return self.note.exists() and read_json(self.note) == _plain(self.work)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        assert self.lock is not None
        if kind is None:
            self.note.unlink()
            (self.folder / ".lock").unlink()
            self.folder.rename(self.out)
        elif not self.resumable or (kind is InputError and not self.continued):
            shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.close()

    def _clear(self) -> None:
        for entry in self.folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != ".lock":
                entry.unlink()


def _partial(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


def _describe(command: str, arguments: dict[str, Any], incidental: Sequence[str]) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for name, value in arguments.items():
        if isinstance(value, Path):
            inputs[name] = {"path": str(value), "hash": fingerprint(value)}
        elif isinstance(value, list) and value and all(isinstance(item, Path) for item in value):
            inputs[name] = [{"path": str(item), "hash": fingerprint(item)} for item in value]
        elif name not in incidental:
            config[name] = value
    return {"command": command, "config": _plain(config), "inputs": inputs}


def _is_done(out: Path, work: dict[str, Any]) -> bool:
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


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _hash_file(path: Path, digest: hashlib.blake2b) -> None:
    length = path.stat().st_size
    digest.update(f"{length}\0".encode())
    with path.open("rb") as file:
        if length <= HASHED_BYTES:
            digest.update(file.read())
            return
        blocks = HASHED_BYTES // HASH_BLOCK
        for index in range(blocks):
            file.seek(index * (length - HASH_BLOCK) // (blocks - 1))
            digest.update(file.read(HASH_BLOCK))


def _listing(folder: Path, prefix: str) -> list[tuple[str, int, bool]]:
    entries: list[tuple[str, int, bool]] = []
    with os.scandir(folder) as found:
        for entry in found:
            name = prefix + entry.name
            if name in NOT_HASHED:
                continue
            if entry.is_dir():
                entries += _listing(Path(entry.path), name + "/")
            else:
                entries.append((name, entry.stat().st_size, prefix == ""))
    return entries


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for module, name in [
        ("facerec", "facerec-pseudolabel"), ("numpy", "numpy"), ("torch", "torch"), ("faiss", "faiss"),
        ("sklearn", "scikit-learn"), ("scipy", "scipy"), ("pyarrow", "pyarrow"), ("onnxruntime", "onnxruntime"),
    ]:  # fmt: skip
        if module in sys.modules:
            try:
                versions[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                versions[name] = getattr(sys.modules[module], "__version__", "unknown")
    return versions
