"""The command ``thumbnails``: small pictures of a store's faces, by row, for the review page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from jsonargparse.typing import NonNegativeInt, PositiveInt

from facerec.pipeline.counts import told
from facerec.pipeline.files import InputError, write_lines
from facerec.pipeline.stage import stage
from facerec.stores.open import open_store
from facerec.stores.pixels import MOST_PIXELS
from facerec.stores.thumbnails import write_thumbnails

Size = Literal[16, 32, 48, 64, 80, 96, 112, 128]


@stage(
    "facerec thumbnails",
    incidental=("workers",),
    found=told("{faces:face}, {unreadable:,} of them unreadable"),
    then="python -m clustering review --clusters CLUSTERS --embeddings EMBEDDINGS --thumbnails {out} --out REVIEW",
)
def thumbnails(
    faces: Path, out: Path, size: Size = 64, workers: NonNegativeInt = 2, max_pixels: PositiveInt = MOST_PIXELS
) -> Mapping[str, int]:
    """Makes a small picture of every face, in the order of the rows, for `clustering review`.

    Args:
        faces: A face store.
        out: Folder to make: images.bin (JPEG files one behind the other), offsets.npy int64 [n + 1] and keys.txt. Row i
            is bytes offsets[i] to offsets[i + 1]. A face that cannot be read has none.
        size: Pixels on a side, a multiple of 16.
        workers: Threads that read faces; 0 and 1 read one face after another.
        max_pixels: Height times width; a larger picture is skipped before it is decoded.
    """
    store = open_store(faces, max_pixels)
    lengths = write_thumbnails(store, out / "images.bin", size, workers)
    if not lengths.any():
        raise InputError(f"{faces}: none of the {len(store)} faces can be read")
    np.save(out / "offsets.npy", np.concatenate([[0], np.cumsum(lengths)]), allow_pickle=False)
    write_lines(out / "keys.txt", store.keys)
    return {"faces": len(store), "unreadable": int(np.count_nonzero(lengths == 0))}
