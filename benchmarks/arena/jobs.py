"""All methods on groups of sets, in this process or several.

Other processes import this module. They could not import the program itself, which is ``__main__``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from arena.cells import Cache, describe, run
from arena.methods import METHODS
from arena.sets import read_set
from facerec.pipeline.files import InputError

SLOW = ("evoc", "fast_hdbscan", "lgcn", "l2c", "gcn_e", "gcn_v", "lander", "hilander")
"""Run last of a set, so that a run that is cut short has most."""


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
        groups.setdefault(faces.labelled_key or file.stem, []).append(file)
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
