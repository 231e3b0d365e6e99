"""Face crops: the choice of a face in a photograph, and its alignment."""

from __future__ import annotations

import logging
import warnings

import numpy as np

from facerec.pipeline.files import InputError
from facerec.pipeline.values import as_array, as_picture, whole

logger = logging.getLogger(__name__)
LEAST_ACROSS = 0.25
"""Distance of the eyes, and of the corners of the mouth, as a share of that of eyes and mouth."""
ORDER = "their order is the eye on the left of the picture, the other, nose, left and right corner of the mouth; x, y"


def choose_face(boxes: np.ndarray, height: int, width: int, rule: str) -> int:
    """Chooses the face of a photograph that is kept.

    Args:
        boxes: float [n, 4], left, top, right, bottom.
        height: Height of the photograph.
        width: Width of the photograph.
        rule: ``"largest"``; or ``"centre"``, insightface's rule: the highest value of the area less twice the squared
            distance from the centre of the photograph.

    Returns:
        The row of its box.
    """
    left, top, right, bottom = boxes.T
    value = (right - left) * (bottom - top)
    if rule == "centre":
        value = value - 2 * (((left + right) / 2 - width // 2) ** 2 + ((top + bottom) / 2 - height // 2) ** 2)
    return int(np.argmax(value))


def lies_outside(landmarks: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Whether all landmarks of a face, [..., 5, 2], lie beyond one edge of the image: the crop would be black."""
    first, last = landmarks.min(axis=-2), landmarks.max(axis=-2)
    return np.asarray(((last < 0) | (first >= image.shape[1::-1])).any(axis=-1))


def is_mirrored(landmarks: np.ndarray) -> np.ndarray:
    """Whether faces, [..., 5, 2], are clearly those of a mirror, or have y before x: no rotation makes a crop of these.

    Eyes and corners of the mouth then go from right to left, seen with the mouth below. Of a face in profile the
    distances are too small to tell.
    """
    left, right = landmarks[..., [0, 3], :], landmarks[..., [1, 4], :]
    across = right - left
    down = (left + right)[..., 1, :] / 2 - (left + right)[..., 0, :] / 2
    area = across[..., 0] * down[..., None, 1] - across[..., 1] * down[..., None, 0]
    return np.asarray((area < -LEAST_ACROSS * np.sum(down**2, axis=-1)[..., None]).all(axis=-1))


def align_face(image: np.ndarray, landmarks: np.ndarray, size: int = 112) -> np.ndarray:
    """Cuts out a face in ArcFace alignment, like insightface's ``norm_crop``.

    The face is rotated, scaled and shifted so that its landmarks come closest to fixed points of the crop. A warning
    says if they are those of a mirror, of which the crop shows no face.

    Args:
        image: uint8 [height, width, 3].
        landmarks: float32 [5, 2], as returned by `Detector`: x and y of the eye on the left of the picture, the other
            eye, the nose, the left corner of the mouth and the right one.
        size: Side of the crop, a multiple of 112; or of 128, for the same face with a wider border.

    Returns:
        uint8 [size, size, 3], black beyond the edge of the photograph.

    Raises:
        InputError: The image has another type or shape, the landmarks are not five different points or all lie
            beyond one edge of the image, or the size is not such a multiple.
    """
    image, landmarks = as_picture("image", image), as_array("landmarks", landmarks)
    size = whole("size", size, 112, 8192)
    if landmarks.dtype.kind not in "fiu":
        raise InputError(f"landmarks: {landmarks.dtype}; expected numbers [5, 2]")
    if landmarks.shape != (5, 2) or not np.isfinite(landmarks).all() or not np.ptp(landmarks, axis=0).any():
        raise InputError(f"landmarks: shape {list(landmarks.shape)}; expected five points (x, y), finite, not all one")
    if size % 112 and size % 128:
        raise InputError(f"size is {size}; it must be a multiple of 112 or of 128")
    if lies_outside(landmarks, image):
        height, width = image.shape[:2]
        raise InputError(f"landmarks: they lie outside of the {width}x{height} image; are they of another size of it?")
    if is_mirrored(landmarks.astype(np.float64)):
        logger.warning("landmarks are mirrored; %s", ORDER)
    return cut_out(image, landmarks, size)


def cut_out(image: np.ndarray, landmarks: np.ndarray, size: int) -> np.ndarray:
    """As `align_face`, of arguments that are right."""
    from insightface.utils.face_align import norm_crop  # slow to import, and reading a list does without

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of scikit-image, about how insightface calls it
        return norm_crop(image, landmarks, size)
