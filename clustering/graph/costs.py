"""What a graph and Hi-LANDER on it take in memory and disk, and which graph is made when none is named."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import faiss

from clustering.graph.approximate import LEAST_FACES, ApproximateSettings
from clustering.graph.blocks_on_disk import MOST_ROWS
from clustering.graph.exact import SEARCH_ROWS
from facerec.pipeline.files import InputError

INDEXES = ("auto", "exact", "ivf")
MOST_OPERATIONS = {"cpu": 2e13, "gpu": 4e16}
KNN_BASE, HILANDER_BASE = 300 << 20, 1 << 30
FOUND_BYTES = 256 << 20  # candidates that a block of faces finds in cells
LINKED_BYTES = 100  # a face, while links are found, beside the links themselves
KEPT_LISTS, KEPT_LINKS = 8, 5  # lists and links of earlier steps that stay on disk until the graph is finished
HILANDER_EDGE, HILANDER_UPPER = 20, 6  # measured on a million and on three million faces


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
    few = faces <= LEAST_FACES or takes_minutes_at_most(faces, faces, dimension, device)
    return "exact" if few else "ivf"


def takes_minutes_at_most(queries: int, faces: int, dimension: int, device: str) -> bool:
    """Whether an exact search for the neighbours of some faces takes at most `MOST_OPERATIONS` of the device."""
    return 2 * queries * faces * dimension <= MOST_OPERATIONS[device]


@dataclass(frozen=True)
class Costs:
    """Memory and disk that a stage needs.

    Attributes:
        memory: Bytes beyond the mapped embeddings, at the peak.
        disk: Bytes, while it works.
    """

    memory: int
    disk: int

    @classmethod
    def of(cls, index: str, faces: int, dimension: int, k: int, processes: int = 1) -> Costs:
        """Costs of the kNN graph; docs/lab/scale.md says where the figures come from.

        Args:
            index: ``exact`` or ``ivf``.
            faces: n.
            dimension: d.
            k: Neighbours a face.
            processes: Processes on this machine. Part of the memory is needed by each.
        """
        lists = 8 * k
        own = processes * (KNN_BASE + 4 * dimension * SEARCH_ROWS + 24 * (k + 1) * MOST_ROWS + 9 * faces)
        if index == "exact":
            return cls(own + faces * lists, faces * lists)
        links, coded = 5 * sum(ApproximateSettings().widths), 20 + dimension
        memory = own + processes * FOUND_BYTES + faces * (coded + max(12, links + LINKED_BYTES) + 2 * lists)
        return cls(memory, faces * (KEPT_LISTS * lists + 4 * dimension + coded + KEPT_LINKS * links))

    @classmethod
    def of_hilander(cls, faces: int, dimension: int, k: int) -> Costs:
        """Costs of one climb of Hi-LANDER on that graph."""
        return cls(HILANDER_BASE + faces * (HILANDER_UPPER * dimension + HILANDER_EDGE * k), faces * 40)


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
        costs: Costs of the work.
        out: The existing folder it is done in; what is there already counts as room.

    Raises:
        InputError: Less memory available, or less disk free, than it takes.
    """
    memory, there = available_memory(), sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    if costs.memory > memory:
        raise InputError(
            f"this takes {sized(costs.memory)} of memory beside the embeddings, and {sized(memory)} are available; "
            "free some, lower --k, or choose another --index (clustering plan tells what each takes)"
        )
    free = shutil.disk_usage(out).free + there
    if costs.disk > free:
        raise InputError(
            f"{out}: this takes {sized(costs.disk)} of disk, and {sized(free)} are free; choose another --out "
            "or lower --k"
        )


def sized(size: float) -> str:
    """Bytes, for people, in a unit in which they are not 0.00.

    Example:
        >>> sized(5 << 29), sized(1 << 20), sized(100)
        ('2.50 GiB', '1.00 MiB', '0.10 KiB')
    """
    power, unit = 30, "GiB"
    if size < 2**30 / 100:
        power, unit = (20, "MiB") if size >= 2**20 / 100 else (10, "KiB")
    return f"{size / 2**power:.2f} {unit}"
