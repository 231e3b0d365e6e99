"""All methods on all sets, with a page, a table and a picture.

    PYTHONPATH=benchmarks python -m arena [--root DATA] [--out runs/arena] [--sets a,b.yaml] [--methods a,b] \\
        [--settings published,tuned,oracle] [--trials 20] [--seconds 120] [--processes 2] [--report-only]

Sets are names of benchmarks/arena/sets or paths of YAML files, see `arena.sets`. What is in --out already is not done
again unless a method, a set or an option of the search has changed. A set whose faces are missing is left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from common import DATA

from arena.cells import SETTINGS, Cache, describe, run
from arena.choices import Effort
from arena.methods import METHODS
from arena.sets import SETS, fingerprint, read_set
from facerec.pipeline.files import InputError

SLOW = ("evoc", "fast_hdbscan", "lgcn", "l2c", "gcn_e", "gcn_v", "lander", "hilander")
"""Run last of a set, so that a run that is cut short has most."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="arena", description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=DATA, help="folder that the sets' paths begin at")
    parser.add_argument("--out", type=Path, default=Path("runs/arena"))
    parser.add_argument("--sets", default="", help="names or YAML files; by default all of benchmarks/arena/sets")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--settings", default=",".join(SETTINGS))
    parser.add_argument("--trials", type=int, default=Effort.trials)
    parser.add_argument("--seconds", type=float, default=Effort.seconds, help="CPU seconds of a search")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--report-only", action="store_true", help="of what is there, without running anything")
    given = parser.parse_args()
    for name, chosen, known in (("--methods", given.methods, METHODS), ("--settings", given.settings, SETTINGS)):
        if unknown := [each for each in chosen.split(",") if each not in known]:
            parser.error(f"{name}: {unknown[0]!r} is none of {', '.join(known)}")
    files = [SETS / f"{name}.yaml" if not name.endswith(".yaml") else Path(name) for name in given.sets.split(",")]
    files = files if given.sets else sorted(SETS.glob("*.yaml"))
    groups, left_out = grouped(files, given.root)
    if not given.report_only:
        effort = Effort(given.trials, given.seconds)
        for setting in given.settings.split(","):
            jobs = [(group, given.root, given.out, setting, given.methods.split(","), effort) for group in groups]
            spread(jobs, given.processes)
    from arena.report import write_report

    print("\n".join(f"left out: {name}: {reason}" for name, reason in left_out.items()))
    print(write_report([file for group in groups for file in group], given.root, given.out, left_out))


def grouped(files: Sequence[Path], root: Path) -> tuple[list[list[Path]], dict[str, str]]:
    """The sets that share labelled faces together, the largest group first; and why a set is left out."""
    groups: dict[str, list[Path]] = {}
    left_out = {}
    for file in files:
        try:
            faces = read_set(file, root)
        except InputError as error:
            left_out[file.stem] = str(error)
            continue
        groups.setdefault(fingerprint(faces.labelled) if faces.labelled else file.stem, []).append(file)
    return sorted(groups.values(), key=len, reverse=True), left_out


def spread(jobs: list[tuple], processes: int) -> None:
    """Runs jobs, a group of sets each, on several processes."""
    if processes <= 1:
        for each in jobs:
            job(each)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(job, jobs))


def job(given: tuple) -> None:
    """All methods with one setting on the sets of a group; prints a line for each that is new."""
    files, root, out, setting, names, effort = given
    for file in files:
        faces = read_set(file, root)
        for name in in_order(names):
            started = time.time()
            cell, new = run(METHODS[name], faces, setting, effort, Cache(out / "cells"))
            if new:
                print(f"{describe(cell)}  [{time.time() - started:.0f} s]", flush=True)


def in_order(names: Sequence[str]) -> Iterator[str]:
    """The slow ones last."""
    yield from sorted(names, key=lambda name: SLOW.index(name) if name in SLOW else -1)


if __name__ == "__main__":
    main()
