"""Contact sheets: many small pictures on one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray | None]], columns: int, size: int, paper: int, gap: int = 0, left: int = 0
) -> np.ndarray:
    """Draws rows of pictures.

    Args:
        rows: Pictures uint8 [size, size, 3], or None for an empty place; up to `columns` a row.
        columns: Places a row.
        size: Height and width of a picture, in pixels.
        paper: Grey value of what no picture covers.
        gap: Pixels between pictures, and above the first row.
        left: Width of a margin at the left.

    Returns:
        uint8 [gap + rows * (size + gap), left + columns * (size + gap), 3].
    """
    step = size + gap
    sheet = np.full((gap + len(rows) * step, left + columns * step, 3), paper, np.uint8)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            if picture is not None:
                top, start = gap + row * step, left + column * step
                sheet[top : top + size, start : start + size] = picture
    return sheet
