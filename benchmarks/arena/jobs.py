"""All methods on groups of sets, in this process or several.

Other processes import this module. They could not import the program itself, which is ``__main__``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from arena.cells import Cache, describe, run
from arena.choices import Effort
from arena.methods import METHODS
from arena.sets import read_set
from facerec.pipeline.files import InputError

SLOW = ("evoc", "fast_hdbscan", "lgcn", "l2c", "gcn_e", "gcn_v", "lander", "hilander")
"""Methods that run last on each set, so that an interrupted run has most of the results."""


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


@dataclass(frozen=True)
class Job:
    """Several methods with one setting on the sets of a group.

    Attributes:
        files: The YAML files of the sets.
        root: Folder that the sets' paths begin at.
        out: Folder of the arena.
        setting: One of `arena.cells.SETTINGS`.
        methods: Names of the methods.
        effort: How long to search for settings.
    """

    files: Sequence[Path]
    root: Path
    out: Path
    setting: str
    methods: Sequence[str]
    effort: Effort

    def run(self) -> None:
        """Runs every method on every set; prints a line for each cell that is new."""
        for file in self.files:
            faces = read_set(file, self.root)
            for name in in_order(self.methods):
                started = time.time()
                cell, new = run(METHODS[name], faces, self.setting, self.effort, Cache(self.out / "cells"))
                if new:
                    print(f"{describe(cell)}  [{time.time() - started:.0f} s]", flush=True)


def spread(jobs: Sequence[Job], processes: int) -> None:
    """Runs jobs on several processes."""
    if processes <= 1:
        for job in jobs:
            job.run()
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(Job.run, jobs))


def in_order(names: Sequence[str]) -> Iterator[str]:
    """The slow ones last."""
    yield from sorted(names, key=lambda name: SLOW.index(name) if name in SLOW else -1)
