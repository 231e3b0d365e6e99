"""Face crops: which face of a photograph, and its alignment."""

from __future__ import annotations

import warnings

import numpy as np
from insightface.utils.face_align import norm_crop


def choose_face(boxes: np.ndarray, height: int, width: int, rule: str) -> int:
    """Which of several faces is the photograph's.

    Args:
        boxes: float [n, 4], left, top, right, bottom.
        height: Of the photograph.
        width: Of the photograph.
        rule: ``"largest"``; or ``"centre"``, insightface's own: area less twice the squared distance from the centre.
    """
    left, top, right, bottom = boxes.T
    value = (right - left) * (bottom - top)
    if rule == "centre":
        value = value - 2 * (((left + right) / 2 - width // 2) ** 2 + ((top + bottom) / 2 - height // 2) ** 2)
    return int(np.argmax(value))


def align_face(image: np.ndarray, landmarks: np.ndarray, size: int = 112) -> np.ndarray:
    """Cuts out a face in ArcFace alignment: the similarity that brings its landmarks closest to fixed points.

    Args:
        image: uint8 [height, width, 3].
        landmarks: float32 [5, 2], as `Detector` gives them.
        size: Side of the crop, a multiple of 112, or of 128 (the same face with a wider border).

    Returns:
        uint8 [size, size, 3], black where the photograph ends; insightface's ``norm_crop``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of scikit-image, about how insightface calls it
        return norm_crop(image, landmarks, size)
