"""A stage is a function *paths in, path out*; this makes it whole, repeatable and callable from the shell.

`stage` decorates such a function. Work happens in ``OUT.partial``. When the function has returned, ``meta.json`` is
written and the folder is renamed to ``OUT``. So a folder without the suffix is always complete. The same work asked
again returns at once. Other work asked into the same folder is refused.
"""

from __future__ import annotations

import errno
import functools
import importlib.metadata
import inspect
import logging
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec

from facerec.pipeline.arguments import typed_arguments
from facerec.pipeline.files import InputError, write_json
from facerec.pipeline.ranks import checked_when_joined, is_main
from facerec.pipeline.work import describe, is_done, partial_of, refuse_other_work, refuse_stale
from facerec.pipeline.worker_pool import refuse_unguarded
from facerec.pipeline.workplace import Workplace, remove_notes

logger = logging.getLogger(__name__)

P = ParamSpec("P")
Results = Mapping[str, Any] | None
InWords = Callable[[Mapping[str, Any]], str]


def stage(
    command: str,
    resumable: bool = False,
    incidental: Sequence[str] = (),
    named: Sequence[str] = (),
    distributed: bool = False,
    found: InWords | None = None,
    then: str = "",
) -> Callable[[Callable[P, Results]], Callable[P, Path]]:
    """Makes a function with a parameter ``out: Path`` a stage.

    The function receives ``OUT.partial`` as `out`. It may return a mapping of results, which goes into ``meta.json``.
    Its other `Path` arguments are inputs, identified by their contents. The rest is configuration.

    With the same arguments its attribute ``refuse_stale`` does no work. It refuses finished work that was made with
    other settings or inputs, see `facerec.pipeline.work.refuse_stale`.

    Args:
        command: Its name, as in ``python -m``.
        resumable: Whether what a killed run left in ``OUT.partial`` is kept for the next one.
        incidental: Parameters that do not change the result (devices, worker counts).
        named: Inputs whose names stand in the result, so that the same contents under another name are other work.
        distributed: Whether several processes that ``torchrun`` started do the work together. The first (``RANK`` 0)
            owns the folder. The others get the same `out` and return when the first has finished; only the first
            should write into it. The function waits for all with `facerec.pipeline.ranks.init_group` before it first
            looks into `out`.
        found: Puts the results into words, which are logged at the end: ``"{faces:,} faces".format_map``.
        then: The command that usually follows, with ``{out}`` for the folder and ``{name}`` for what an option was
            given; `command_line.run` shows it.
    """

    def decorate(function: Callable[P, Results]) -> Callable[P, Path]:
        signature = inspect.signature(function)

        def asked(args: Any, kwargs: Any) -> tuple[inspect.BoundArguments, dict[str, Any], Path]:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            bound.arguments |= typed_arguments(signature, function, bound.arguments)
            arguments = dict(bound.arguments)
            return bound, arguments, output_folder(arguments.pop("out"))

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> Path:
            refuse_unguarded()
            bound, arguments, out = asked(args, kwargs)
            work = describe(command, arguments, incidental, out, named)

            def run(folder: Path) -> Results:
                bound.arguments["out"] = folder
                return function(*bound.args, **bound.kwargs)

            if distributed and not is_main():
                _help(run, out, work)
            else:
                _make(run, Workplace(out, work, resumable), found)
            return out

        @functools.wraps(function)
        def check(*args: P.args, **kwargs: P.kwargs) -> None:
            _, arguments, out = asked(args, kwargs)
            refuse_stale(command, arguments, incidental, out, named)

        wrapper.then = then  # type: ignore[attr-defined]
        wrapper.refuse_stale = check  # type: ignore[attr-defined]
        return wrapper

    return decorate


def output_folder(out: Path) -> Path:
    """The folder itself where a link or ``..`` leads to it.

    Raises:
        InputError: The current folder, or one above it; a link that leads to itself.
    """
    try:
        out.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:  # not every Python's resolve says so
            raise InputError(f"--out {str(out)!r}: a link that leads to itself; choose another --out") from None
    resolved = out.resolve()
    if Path.cwd().is_relative_to(resolved):
        raise InputError(f"--out {str(out)!r}: the current folder or one above it; name a folder to make")
    return resolved if out.is_symlink() or ".." in out.parts else out


def _make(run: Callable[[Path], Results], workplace: Workplace, found: InWords | None) -> None:
    """Does the work, unless it is done already, and writes ``meta.json``."""
    out, work = workplace.out, workplace.work
    while not is_done(out, work) and not workplace.claim():
        pass  # another run was doing the same work; it has ended, one way or the other
    if not workplace.claimed:
        remove_notes(out)
        logger.info("%s: already done", out)
        return
    started = time.perf_counter()
    with workplace as folder:
        results = run(folder)
        about = {
            "results": dict(results or {}),
            "versions": _versions(),
            "seconds": round(time.perf_counter() - started, 3),
            "peak_memory_bytes": peak_memory_bytes(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        write_json(folder / "meta.json", {**work, **about})
    said = f"{found(results).rstrip('.')}; " if found and results else ""
    logger.info("%s: %sdone in %.1f s", out, said, time.perf_counter() - started)


def _help(run: Callable[[Path], Results], out: Path, work: Mapping[str, Any]) -> None:
    """Does another process's share of the work, and waits until the first has written it."""
    if not is_done(out, work):
        with checked_when_joined(lambda: refuse_other_work(out, work)):
            run(partial_of(out))
    while partial_of(out).exists():
        time.sleep(0.05)


def peak_memory_bytes() -> int:
    """The largest resident memory this process and its finished children have had, in bytes."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return unit * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


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
