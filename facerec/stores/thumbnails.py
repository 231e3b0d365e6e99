"""Small pictures of a store's faces."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from facerec.pipeline.files import row_blocks
from facerec.pipeline.progress import progress
from facerec.stores.store import Store, UnreadableFace

BLOCK = 4096
QUALITY = 90


def write_thumbnails(store: Store, file: Path, size: int, workers: int) -> np.ndarray:
    """Writes a JPEG file of every face, one behind the other in the order of the rows.

    Args:
        store: The faces.
        file: The file to write.
        size: Pixels on a side of each picture.
        workers: Number of threads; 0 is one, too.

    Returns:
        int64 [n], the bytes of each; 0 if the face cannot be read.

    Raises:
        ObstacleError: The faces cannot be reached any more.
    """
    lengths = np.zeros(len(store), np.int64)
    small = partial(thumbnail, store, size=size)
    with file.open("wb") as opened, ThreadPoolExecutor(max(workers, 1)) as pool:
        for block in progress(row_blocks(len(store), BLOCK), "thumbnails", "blocks"):
            rows = range(block.start, block.stop)
            for row, encoded in zip(rows, pool.map(small, rows), strict=True):
                lengths[row] = opened.write(encoded)
            if not lengths[block].all():
                store.refuse_if_gone()
    return lengths


def thumbnail(store: Store, row: int, size: int) -> bytes:
    """A face as a JPEG file of [size, size] pixels; nothing if it cannot be read."""
    try:
        face = store.read(row)
    except UnreadableFace:
        return b""
    small = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return bytes(encoded)
