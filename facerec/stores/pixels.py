"""Image files to pixels, strictly: what is damaged is no face."""

from __future__ import annotations

from io import BytesIO
from threading import Lock

import cv2
import numpy as np
import simplejpeg
from PIL import Image

MOST_PIXELS = 10**8
PNG_START, PNG_END, JPEG_START = b"\x89PNG", b"\0\0\0\0IEND", b"\xff\xd8"
EXIF, EXIF_BYTES = b"Exif\0", 1 << 20
"""What a JPEG's orientation begins with, and where: parts of a colour profile, 64 KiB each, may stand before it."""
PNG_SIZE = slice(16, 24)
JPEG_COLOURS = ("YCbCr", "Gray", "RGB")
ONE_AT_A_TIME = Lock()
"""Held while Pillow's limit, which all threads have in common, is another one."""


def resized(face: np.ndarray, size: int) -> np.ndarray:
    """A face uint8 [height, width, 3] at [size, size, 3]; averaged over areas if it shrinks to half or less."""
    if face.shape[:2] == (size, size):
        return face
    shrinks = min(face.shape[:2]) >= 2 * size
    return cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def decode(encoded: bytes, most_pixels: int = MOST_PIXELS) -> np.ndarray:
    """Decodes an image file to uint8 RGB [height, width, 3].

    Of a JPEG the decoder's warnings count as damage: libjpeg fills with grey what it cannot read. A PNG must have its
    end, behind which other bytes may stand. Other formats are taken as far as OpenCV reads them. Damage that leaves a
    file valid is not seen: flipped bits within a JPEG's compressed data that decode to other pixels, or bytes changed
    in a BMP.

    Args:
        encoded: The file.
        most_pixels: Larger images are refused before they are decoded.

    Raises:
        ValueError: Not an image, a damaged one, or one of more pixels.
    """
    if not encoded:
        raise ValueError("empty file")
    if encoded.startswith(JPEG_START):
        return _decode_jpeg(encoded, most_pixels)
    if encoded.startswith(PNG_START) and PNG_END not in encoded:
        raise ValueError("PNG cut short")
    _check_pixels(*_size(encoded), most_pixels)
    return _decode_by_opencv(encoded)


def _decode_jpeg(encoded: bytes, most_pixels: int) -> np.ndarray:
    height, width, colours, _ = simplejpeg.decode_jpeg_header(encoded)
    _check_pixels(height, width, most_pixels)
    if colours not in JPEG_COLOURS:
        return _decode_by_opencv(encoded)
    image: np.ndarray = simplejpeg.decode_jpeg(encoded, "RGB", strict=True)
    # OpenCV turns photographs as their EXIF says.
    return _decode_by_opencv(encoded) if encoded.find(EXIF, 0, EXIF_BYTES) >= 0 else image


def _size(encoded: bytes) -> tuple[int, int]:
    """Height and width by the header; zeros where Pillow cannot read it."""
    if encoded.startswith(PNG_START):  # of which Pillow refuses some for what else is in them
        width, height = np.frombuffer(encoded[PNG_SIZE].ljust(8, b"\0"), ">u4").tolist()
        return height, width
    with ONE_AT_A_TIME:
        most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # else it tells no size above a limit of its own
        try:
            with Image.open(BytesIO(encoded)) as image:
                return image.height, image.width
        except Exception:  # Pillow raises many kinds; OpenCV has the last word
            return 0, 0
        finally:
            Image.MAX_IMAGE_PIXELS = most


def _check_pixels(height: int, width: int, most: int) -> None:
    if height * width > most:
        raise ValueError(f"{width}x{height} pixels, more than {most}; see --max-pixels")


def _decode_by_opencv(encoded: bytes) -> np.ndarray:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the caller says what is wrong, and where
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:  # a damaged header asks for more pixels than OpenCV allows
        image = None
    if image is None:
        raise ValueError("not a readable image")
    return image
