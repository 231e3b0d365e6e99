"""Where the records of a RecordIO file begin, found without its index.

A record begins with the magic, at a whole word. Writers cut the magic out of a record's own bytes wherever it stands at
a whole word (dmlc-core's ``recordio.h``). So every such word of the file begins a record or a part of one.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from facerec.pipeline.files import InputError, check_file
from facerec.pipeline.progress import progress

logger = logging.getLogger(__name__)

MAGIC = 0xCED7230A
FRAME = 8
LENGTH_BITS = 29
FIRST = 1
WORD = 4
BLOCK_WORDS = 1 << 24


def find_records(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Keys, from 0 in the order of the file, and offsets, each int64 [n]. The file is read once, in blocks.

    Raises:
        InputError: No such file, or no record in it.
    """
    check_file(file)
    words = file.stat().st_size // WORD
    found = [np.empty(0, np.int64)]
    for start in progress(range(0, words - 1, BLOCK_WORDS), "index", "blocks"):
        count = min(BLOCK_WORDS + 1, words - start)  # a word more, for the length behind the last magic
        block = np.memmap(file, "<u4", "r", start * WORD, (count,))
        places = np.flatnonzero(block[:-1] == MAGIC)
        found.append(start + places[block[places + 1] >> LENGTH_BITS <= FIRST])
    offsets = WORD * np.concatenate(found)
    if not offsets.size:
        raise InputError(f"{file}: no records in it; copy it again")
    logger.info("%s: no .idx beside it; %d records found in one pass", file, offsets.size)
    return np.arange(offsets.size), offsets
