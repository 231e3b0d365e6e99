"""Neighbour lists that are filled block by block on disk, so that a killed run goes on from its finished blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from facerec.artifacts import read_json, write_json

PASS_ROWS = 16_384
PROGRESS = "progress.json"

Work = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Rows, int64 [b] and consecutive, to their neighbours and similarities, [b, k] each."""


class Lists(NamedTuple):
    """Neighbours of n rows, mapped from disk: int32 [n, k], -1 where there are no more; float32 [n, k] cosines."""

    neighbors: np.ndarray
    similarities: np.ndarray


def fill(folder: Path, n: int, k: int, name: str, prepare: Callable[[], Work]) -> Lists:
    """Neighbour lists of all rows, a block of `PASS_ROWS` after the other; finished blocks are not done again.

    A block is noted in ``progress.json`` only after its lists are on disk, so a run that is killed at any moment
    leaves nothing half done that would count.

    Args:
        folder: For ``neighbors.npy`` and ``similarities.npy``; made if it is not there.
        n: Rows.
        k: Neighbours a row.
        name: What is being done; blocks that were noted under another name do not count.
        prepare: Makes what finds the lists of a block; not called when all are there. The same rows must always give
            the same lists.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = {"pass": name, "rows": n, "k": k, "block": PASS_ROWS}
    progress = read_json(folder / PROGRESS) if (folder / PROGRESS).exists() else {}
    done = int(progress.get("done", 0)) if {**progress, "done": 0} == {**note, "done": 0} else 0
    neighbors = _mapped(folder / "neighbors.npy", (n, k), np.int32, done > 0)
    similarities = _mapped(folder / "similarities.npy", (n, k), np.float32, done > 0)
    starts = range(0, n, PASS_ROWS)
    if done == len(starts):
        return Lists(neighbors, similarities)
    work = prepare()
    for number in tqdm(range(done, len(starts)), name, len(starts), initial=done, unit="block", disable=None):
        block = slice(starts[number], min(starts[number] + PASS_ROWS, n))
        neighbors[block], similarities[block] = work(np.arange(block.start, block.stop))
        neighbors.flush()
        similarities.flush()
        write_json(folder / PROGRESS, {**note, "done": number + 1})
    return Lists(neighbors, similarities)


def _mapped(path: Path, shape: tuple[int, int], dtype: type, keep: bool) -> np.memmap:
    if keep:
        return np.lib.format.open_memmap(path, mode="r+")
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
