"""What a graph and Hi-LANDER on it take in memory, disk and time, and which graph is made when none is named."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from clustering.graph.approximate import BACK_LINKS, EXTRA, LEAST_FACES, LINKS, ROUNDS, best
from clustering.graph.blocks_on_disk import MOST_ROWS
from clustering.graph.exact import SEARCH_ROWS, gpu_index, nearest
from facerec.pipeline.files import InputError

INDEXES = ("auto", "exact", "ivf")
MOST_OPERATIONS = {"cpu": 2e13, "gpu": 4e16}
KNN_BASE, HILANDER_BASE = 300 << 20, 1 << 30
LINKED_BYTES = 100  # on the way, beside the links themselves
ROUND_ROWS, CODED_ROWS = 530, 1000
SOUGHT_AGAIN = 0.12  # of what an exact search of all faces takes
HILANDER_EDGE, HILANDER_UPPER, HILANDER_GATHERED, UPPER_PAIRS = 40, 6, 3500, 0.0125
GROWING_FACES = 1_000_000  # beyond them climbs take time as the faces to the power of 1.4: rows lie further apart
SEARCHED_FACES = 180_000  # with more, their clusters are sought by links, see `hilander.level_neighbors`
CALIBRATION_ROWS, CALIBRATION_QUERIES = 65_536, 2_048


def choose_index(index: str, faces: int, dimension: int) -> str:
    """``exact`` or ``ivf``: what was asked for, and with ``auto`` exact up to so many operations as take minutes.

    That is 2 n^2 d up to `MOST_OPERATIONS`: at d = 128, 280,000 faces on a CPU and 12 million on a GPU. Times that were
    measured do not decide, so that the same faces get the same graph on a busy machine.

    Raises:
        InputError: Unknown, or approximate for too few faces.
    """
    if index not in INDEXES:
        raise InputError(f"--index {index}; choose one of {', '.join(INDEXES)}")
    if index == "ivf" and faces <= LEAST_FACES:
        raise InputError(
            f"--index ivf with {faces} readable faces; it needs more than {LEAST_FACES}; use --index exact"
        )
    if index != "auto":
        return index
    device = "gpu" if faiss.get_num_gpus() > 0 else "cpu"
    few = faces <= LEAST_FACES or 2 * faces**2 * dimension <= MOST_OPERATIONS[device]
    return "exact" if few else "ivf"


@dataclass(frozen=True)
class Costs:
    """Of one stage.

    Attributes:
        memory: Bytes beyond the mapped embeddings, at the peak.
        disk: Bytes, while it works.
        multiplied: Floating-point operations of its matrix products.
        gathered: Bytes of rows that are fetched one by one.
    """

    memory: int
    disk: int
    multiplied: float
    gathered: float

    @classmethod
    def of(cls, index: str, faces: int, dimension: int, k: int, processes: int = 1) -> Costs:
        """Of the kNN graph; see docs/scale.md for where the figures come from.

        Args:
            index: ``exact`` or ``ivf``.
            faces: n.
            dimension: d.
            k: Neighbours a face.
            processes: On this machine; some of the memory each has for itself.
        """
        lists = 8 * k
        own = processes * (KNN_BASE + 4 * dimension * SEARCH_ROWS + 24 * (k + 1) * MOST_ROWS + 9 * faces)
        if index == "exact":
            return cls(own + faces * lists, faces * lists, 2.0 * faces**2 * dimension, 0)
        wide = 8 * (k + EXTRA)
        coded = 8 + dimension // 4
        linked = 4 * (LINKS + BACK_LINKS) + LINKED_BYTES
        memory = own + faces * (max(processes * coded, linked) + 2 * wide)
        disk = faces * (lists + (ROUNDS + 1) * wide + coded + ROUNDS * 4 * (LINKS + BACK_LINKS))
        rows = ROUNDS * ROUND_ROWS + CODED_ROWS
        return cls(memory, disk, SOUGHT_AGAIN * 2.0 * faces**2 * dimension, 4.0 * dimension * rows * faces)

    @classmethod
    def of_hilander(cls, faces: int, dimension: int, k: int) -> Costs:
        """Of one climb of Hi-LANDER on that graph: the level above is searched exactly up to so many faces."""
        memory = HILANDER_BASE + faces * (HILANDER_UPPER * dimension + HILANDER_EDGE * k)
        searched, growth = min(faces, SEARCHED_FACES), max(1.0, faces / GROWING_FACES) ** 0.4
        multiplied, gathered = 2.0 * UPPER_PAIRS * faces * searched * dimension, faces * k * HILANDER_GATHERED * growth
        return cls(memory, faces * 40, multiplied, gathered)

    def seconds(self, rates: Rates) -> float:
        """Estimated, of the clock, on a machine as busy as when its rates were measured."""
        return self.multiplied / rates.search + self.gathered / rates.gather


@dataclass(frozen=True)
class Rates:
    """What this machine does a second, measured shortly.

    Attributes:
        search: Floating-point operations of exact search.
        gather: Bytes of rows, fetched one by one and multiplied.
    """

    search: float
    gather: float

    @classmethod
    def measured(cls, dimension: int) -> Rates:
        """From some seconds of random rows."""
        random = np.random.default_rng(0)
        rows = random.standard_normal((CALIBRATION_ROWS, dimension), dtype=np.float32)
        some, ids = np.arange(CALIBRATION_QUERIES), random.integers(0, len(rows), (CALIBRATION_QUERIES, 256))
        index = gpu_index(rows, np.arange(len(rows)))
        search_seconds = _least(lambda: nearest(rows[some], rows, np.arange(len(rows)), 11, index))
        gather_seconds = _least(lambda: best(rows, some, ids, 32))
        return cls(
            2.0 * len(some) * len(rows) * dimension / search_seconds, 4.0 * dimension * ids.size / gather_seconds
        )


def _least(function: Callable[[], object], repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def available_memory() -> int:
    """Bytes that can be had without swapping: what Linux says is available, else all there is."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check_room(costs: Costs, out: Path) -> None:
    """Refuses work that does not fit, before it starts.

    Args:
        costs: Of the work.
        out: The existing folder it is done in; what is there already counts as room.

    Raises:
        InputError: Less memory available, or less disk free, than it takes.
    """
    memory, there = available_memory(), sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    if costs.memory > memory:
        raise InputError(
            f"this takes {gib(costs.memory)} of memory beside the embeddings, and {gib(memory)} are available; free "
            "some, lower --k, or choose another --index (clustering plan tells what each takes)"
        )
    free = shutil.disk_usage(out).free + there
    if costs.disk > free:
        raise InputError(
            f"{out}: this takes {gib(costs.disk)} of disk, and {gib(free)} are free; choose another --out or lower --k"
        )


def gib(size: float) -> str:
    """Bytes, for people."""
    return f"{size / 2**30:.2f} GiB"
