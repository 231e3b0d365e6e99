"""The camera's imperfections: exposure, white balance, tone, blur, resolution, noise."""

from __future__ import annotations

import cv2
import numpy as np

from facerec.rendering.photograph import Photograph


def develop(linear: np.ndarray, shot: Photograph) -> np.ndarray:
    """A linear RGB image as a file would hold it, uint8 [h, w, 3] BGR."""
    scale = linear.shape[0] / 112
    image = linear * (shot.exposure * shot.white_balance).astype(np.float32)
    image = _blur(image, shot, scale)
    if shot.resolution < 1:
        image = _resample(image, shot.resolution)
    image = _tone(image, shot.contrast)
    grey = image @ np.array([0.299, 0.587, 0.114], np.float32)
    image = grey[..., None] + np.float32(shot.saturation) * (image - grey[..., None])
    if shot.noise > 0:
        image += _noise(image.shape, shot)
    return np.clip(image[..., ::-1] * 255 + 0.5, 0, 255).astype(np.uint8)


def _tone(linear: np.ndarray, contrast: float) -> np.ndarray:
    """A film-like curve with a soft shoulder, then the display's gamma."""
    x = np.maximum(linear, 0)
    shoulder = x * (1 + x / 2.2) / (1 + x)
    return np.power(np.maximum(1.12 * shoulder, 1e-5), np.float32(contrast / 2.2))


def _blur(image: np.ndarray, shot: Photograph, scale: float) -> np.ndarray:
    if shot.blur > 0.15:
        image = cv2.GaussianBlur(image, (0, 0), shot.blur * scale)
    length, angle = shot.motion
    if length * scale < 1:
        return image
    size = 2 * int(np.ceil(length * scale / 2)) + 3
    kernel = np.zeros((size, size), np.float32)
    middle = size // 2
    offset = length * scale / 2 * np.array([np.cos(angle), np.sin(angle)])
    start, end = (tuple(int(value) for value in np.rint(middle + side * offset)) for side in (-1, 1))
    cv2.line(kernel, start, end, 1.0, 1)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _resample(image: np.ndarray, share: float) -> np.ndarray:
    size = max(8, round(image.shape[0] * share))
    small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _noise(shape: tuple[int, ...], shot: Photograph) -> np.ndarray:
    """Noise of the sensor, softened a little by the camera, partly the same in all channels when grey."""
    rng = np.random.default_rng(shot.grain)
    if shot.saturation == 0:
        noise = np.repeat(rng.standard_normal((*shape[:2], 1), dtype=np.float32), 3, axis=2)
    else:
        noise = rng.standard_normal(shape, dtype=np.float32)
    return np.float32(shot.noise / 255) * cv2.GaussianBlur(noise, (3, 3), 0.5) * 1.6
