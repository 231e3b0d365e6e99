"""Whether faces have the shapes of aligned crops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

SQUARE = 1.25
"""Longer sides of this many times the shorter one are no crop's."""
FEW_SIZES = 8


def about_shapes(faces: Sequence[np.ndarray]) -> Iterator[str]:
    """What a person should be told about the shapes of some faces, [height, width, 3] each; at most one line."""
    sides = [face.shape[:2] for face in faces]
    long = [side for side in sides if max(side) > SQUARE * min(side)]
    if 2 * len(long) > len(sides):
        height, width = long[0]
        yield (
            f"{len(long)} of {len(sides)} pictures looked at are far from square (e.g. {width}x{height}), as whole "
            "photographs are; a recogniser wants aligned crops, which python -m facerec align makes"
        )
    elif len(set(sides)) > FEW_SIZES:
        yield (
            f"{len(sides)} pictures looked at have {len(set(sides))} sizes; a recogniser wants aligned crops, which "
            "python -m facerec align makes"
        )
