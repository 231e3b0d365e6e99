"""The command ``thumbnails``: small pictures of a store's faces, by row, for whoever shows clusters to a person."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jsonargparse.typing import PositiveInt
from tqdm import tqdm

from facerec.pipeline.files import InputError, write_lines
from facerec.pipeline.stage import stage
from facerec.stores.open import open_store
from facerec.stores.store import Store, UnreadableFace

BLOCK = 4096
SIZES = Literal[16, 32, 48, 64, 80, 96, 112, 128]
QUALITY = 90


@stage("facerec thumbnails", incidental=("workers",))
def thumbnails(faces: Path, out: Path, size: SIZES = 64, workers: PositiveInt = 2) -> Mapping[str, int]:
    """Makes a small picture of every face, in the order of the rows, for `clustering review`.

    Args:
        faces: A face store.
        out: Folder to make: images.bin (JPEG files one behind the other), offsets.npy int64 [n + 1] (row i is bytes
            offsets[i] to offsets[i + 1]; none if the face cannot be read) and keys.txt.
        size: Pixels on a side, a multiple of 16.
        workers: Threads.
    """
    store = open_store(faces)
    lengths = np.zeros(len(store), np.int64)
    small = partial(thumbnail, store, size=size)
    starts = tqdm(range(0, len(store), BLOCK), "thumbnails", unit=" blocks", disable=None)
    with (out / "images.bin").open("wb") as file, ThreadPoolExecutor(workers) as pool:
        for start in starts:
            rows = range(start, min(start + BLOCK, len(store)))
            for row, encoded in zip(rows, pool.map(small, rows), strict=True):
                lengths[row] = file.write(encoded)
    if not lengths.any():
        raise InputError(f"{faces}: none of the {len(store)} faces can be read")
    np.save(out / "offsets.npy", np.concatenate([[0], np.cumsum(lengths)]), allow_pickle=False)
    write_lines(out / "keys.txt", store.keys)
    return {"faces": len(store), "unreadable": int(np.count_nonzero(lengths == 0))}


def thumbnail(store: Store, row: int, size: int) -> bytes:
    """A face as a JPEG file of [size, size] pixels; nothing if it cannot be read."""
    try:
        face = store.read(row)
    except UnreadableFace:
        return b""
    small = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return bytes(encoded)
