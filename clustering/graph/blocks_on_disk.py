"""Neighbour lists that are filled block by block on disk, by one process or by several at once.

A block is finished when a file with its name is in the folder ``finished``. The file is made after the block's lists
are on disk. So a run may be killed at any moment, and goes on from there with any number of processes. How rows are
divided into blocks depends on their number alone, and so do the last bits of the cosines.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facerec.pipeline.files import new_array, read_json, row_blocks, write_json
from facerec.pipeline.progress import progress
from facerec.pipeline.ranks import barrier, broadcast_object, is_main, make_once, rank, world_size

BLOCKS, LEAST_ROWS, MOST_ROWS = 1024, 512, 16_384
"""Blocks that are wanted, and the fewest and the most rows of one."""
CHEAP = 4
"""How many times as many rows a block has if a row is little work."""
PARTS = (("neighbors", np.int32), ("similarities", np.float32))

Work = Callable[[np.ndarray], tuple[np.ndarray, ...]]
"""Computes consecutive rows, int64 [b], of all arrays, such as neighbours and similarities, [b, k] each."""

Arrays = Mapping[str, tuple[tuple[int, ...], type]]
"""Names of arrays to the shape of a row and the kind of number."""


class Lists(NamedTuple):
    """Neighbours of n rows, mapped from disk: int32 [n, k], -1 where there are no more; float32 [n, k] cosines."""

    neighbors: np.ndarray
    similarities: np.ndarray


def fill(folder: Path, finished: Path, n: int, k: int, name: str, prepare: Callable[[], Work], rows: int = 0) -> Lists:
    """Fills the neighbour lists of all rows, block by block; of R processes each does every R-th unfinished block.

    Args:
        folder: For ``neighbors.npy`` and ``similarities.npy``.
        finished: Folder for the names of the finished blocks.
        n: Rows.
        k: Neighbours a row.
        name: What is being done, for the progress bar.
        prepare: Makes the function that finds the lists of a block; called by all processes, or by none if all blocks
            are finished. The same rows must always give the same lists.
        rows: Rows of a block; 0 for `block_rows`.
    """
    arrays = {part: ((k,), dtype) for part, dtype in PARTS}
    return Lists(*fill_arrays(folder, finished, n, arrays, name, prepare, rows))


def fill_arrays(
    folder: Path, finished: Path, n: int, arrays: Arrays, name: str, prepare: Callable[[], Work], rows: int = 0
) -> list[np.ndarray]:
    """Fills arrays of n rows, as `fill` fills lists.

    Args:
        folder: For NAME.npy of each array.
        finished: Folder for the names of the finished blocks.
        n: Rows.
        arrays: Shape of a row, and kind of number, of each array.
        name: What is being done, for the progress bar.
        prepare: Makes the function that finds a block's rows of all arrays, see `fill`.
        rows: Rows of a block; 0 for `block_rows`.

    Returns:
        The arrays, mapped for reading.
    """
    files = [
        make_once(folder / f"{part}.npy", partial(new_array, dtype=dtype, shape=(n, *shape)))
        for part, (shape, dtype) in arrays.items()
    ]
    blocks = row_blocks(n, rows or block_rows(n))
    left = broadcast_object([block for block in blocks if not _mark(finished, block).exists()])
    if left:
        finished.mkdir(parents=True, exist_ok=True)
        work = prepare()
        done = len(blocks) - len(left)
        own, total = left[rank() :: world_size()], -(-len(left) // world_size()) + done
        for block in progress(own, name, "blocks", total, done, hidden=not is_main()):
            for file, found in zip(files, work(np.arange(block.start, block.stop)), strict=True):
                _write(file, block.start, found)
            _mark(finished, block).touch()
        barrier()
    return [np.load(file, mmap_mode="r") for file in files]


def block_rows(n: int) -> int:
    """Rows of a block: few enough that losing one loses little work, and enough for fast products."""
    return min(max(-(-n // BLOCKS), LEAST_ROWS), MOST_ROWS)


def cheap_rows(n: int) -> int:
    """Rows of a block if a row takes microseconds: blocks are larger, as writing one takes a millisecond."""
    return CHEAP * block_rows(n)


def even_rows(n: int, most: int) -> int:
    """Rows of a block, at most so many, if blocks are alike and even in number: two processes then have the same to do.

    For blocks that are so long that one more of them counts.
    """
    return max(-(-n // (2 * -(-n // (2 * most)))), 1) if n else most


def cached_json(path: Path, make: Callable[[], Any]) -> Any:
    """A value for all processes, kept as JSON: the first process makes it, unless an earlier run has."""
    if is_main() and not path.exists():
        write_json(path, make())
    return broadcast_object(read_json(path) if is_main() else None)


def release(array: np.ndarray) -> None:
    """Frees the memory of an array that is mapped for reading only; later reads come from the disk again."""
    base: Any = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    if isinstance(base, mmap.mmap) and not array.flags.writeable and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def _mark(finished: Path, block: slice) -> Path:
    return finished / f"{block.start}-{block.stop}"


def _write(path: Path, first: int, rows: np.ndarray) -> None:
    """Writes rows into a .npy file, through to the disk; not by a map, which two machines could not share."""
    mapped = np.load(path, mmap_mode="r")
    rows = np.ascontiguousarray(rows, dtype=mapped.dtype)
    if rows.shape[1:] != mapped.shape[1:]:
        raise ValueError(f"{path}: rows of {list(rows.shape[1:])} for an array of {list(mapped.shape[1:])}")
    with path.open("r+b") as file:
        file.seek(mapped.offset + first * mapped.strides[0])
        file.write(rows.data)
        file.flush()
        os.fsync(file.fileno())
