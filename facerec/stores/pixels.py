"""Image files to pixels."""

from __future__ import annotations

import cv2
import numpy as np


def resized(face: np.ndarray, size: int) -> np.ndarray:
    """A face uint8 [height, width, 3] at [size, size, 3]; averaged over areas where it shrinks much."""
    if face.shape[:2] == (size, size):
        return face
    shrinks = min(face.shape[:2]) >= 2 * size
    return cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


PNG_START, PNG_END = b"\x89PNG", b"IEND"


def decode(encoded: bytes) -> np.ndarray:
    """Decodes an image file to uint8 RGB [height, width, 3].

    Raises:
        ValueError: Not an image, or a damaged one.
    """
    if not encoded:
        raise ValueError("empty file")
    if encoded.startswith(PNG_START) and PNG_END not in encoded[-16:]:
        raise ValueError("PNG cut short")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the caller says what is wrong, and where
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:  # a damaged header asks for more pixels than OpenCV allows
        image = None
    if image is None:
        raise ValueError("not a readable image")
    return image
