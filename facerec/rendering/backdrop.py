"""What stands behind, below and before the head: background, neck, glasses, things in the way."""

from __future__ import annotations

import cv2
import numpy as np

from facerec.rendering.camera import Rays
from facerec.rendering.person import Person
from facerec.rendering.photograph import Photograph
from facerec.rendering.surface import sample, smoothstep, spot


def background(rng: np.random.Generator, pixels: int) -> np.ndarray:
    """A blurred room, wall or street, float32 [pixels, pixels, 3], linear RGB."""
    base = np.exp(rng.normal(-1.6, 0.9)) * np.exp(rng.normal(0, 0.2, 3))
    cells = int(rng.integers(2, 7))
    coarse = base * np.exp(
        rng.normal(0, 0.25 + 0.5 * rng.random(), (cells, cells, 1)) + rng.normal(0, 0.07, (cells, cells, 3))
    )
    small = np.clip(cv2.resize(coarse.astype(np.float32), (48, 48), interpolation=cv2.INTER_CUBIC), 0.004, 1.5)
    for _ in range(int(rng.integers(0, 5))):
        colour = (base * np.exp(rng.normal(0, 0.7) + rng.normal(0, 0.3, 3))).tolist()
        x, y = (int(value) for value in rng.integers(-10, 58, 2))
        if rng.random() < 0.6:
            w, h = (int(value) for value in rng.integers(3, 40, 2))
            cv2.rectangle(small, (x, y), (x + w, y + h), colour, -1)
        else:
            cv2.circle(small, (x, y), int(rng.integers(3, 16)), colour, -1)
    small = cv2.GaussianBlur(small, (0, 0), float(rng.uniform(0.4, 3)))
    return cv2.resize(small, (pixels, pixels), interpolation=cv2.INTER_LINEAR)


def neck(
    image: np.ndarray, fine: Rays, depth: np.ndarray, person: Person, shot: Photograph, light: np.ndarray,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """A neck (an elliptic cylinder) and clothes (a wider one) where rays miss the head, in place."""
    cloth = np.exp(rng.normal(-1.8, 0.9)) * np.exp(rng.normal(0, 0.35, 3))
    collar = rng.uniform(1.02, 1.3)
    empty = np.isnan(depth)
    empty[: len(empty) // 2] = False
    start, slope = fine.start[:, empty], fine.slope[:, empty]
    pixels = image[empty]
    light = light.astype(np.float32)
    for wide, deep, top, colour in ((0.46, 0.46, 0.35, person.skin), (1.5, 0.62, collar, cloth)):
        a = (slope[0] / wide) ** 2 + (slope[2] / deep) ** 2
        b = start[0] * slope[0] / wide**2 + (start[2] + 0.3) * slope[2] / deep**2
        c = (start[0] / wide) ** 2 + ((start[2] + 0.3) / deep) ** 2 - 1
        under = b * b - a * c
        root = (-b + np.sqrt(np.maximum(under, 0))) / (a + np.float32(1e-9))
        x, y, z = start + root * slope
        seen = (under > 0) & (y > top + (0.25 * (x / wide) ** 2 if wide > 1 else 0))
        nx, nz = x[seen] / wide**2, (z[seen] + 0.3) / deep**2
        facing = (nx * light[0] + nz * light[2]) / np.sqrt(nx**2 + nz**2 + 1e-9)
        pixels[seen] = colour * (0.55 * np.clip(facing, 0, None)[:, None] * shot.key + 0.5 * shot.ambient)
    image[empty] = pixels


def glasses(
    image: np.ndarray, fine: Rays, depth: np.ndarray, person: Person, radii: np.ndarray, shot: Photograph
) -> None:
    """Frame, lenses and temples in front of the eyes, in place."""
    width, height, power, thick, tone = person.frame
    bridge = spot(0, person["eye_y"], 0.95)
    z_front = float(sample(radii, *(np.full((1, 1), value, np.float32) for value in bridge))[0, 0]) * 0.97 + 0.05
    head = np.where(np.isfinite(depth), depth, np.float32(-9))
    frame = np.array([0.02, 0.018, 0.016]) + tone * np.array([0.22, 0.12, 0.06])
    lit = 0.4 * shot.key + shot.ambient
    ahead = (z_front - fine.start[2]) / fine.slope[2]
    x, y, _ = fine.at(ahead)
    middle = person["eye_apart"] + 0.012
    a = (np.abs(x) - middle) / width
    b = (y - person["eye_y"] - 0.03) / height
    level = (np.abs(a) ** power + np.abs(b) ** power) ** (1 / power)
    visible = ahead > head
    soft = 0.07
    lens = (1 - smoothstep(1 - soft, 1 + soft, level)) * visible
    band = 2.0 * thick / height
    rim = smoothstep(1 - soft, 1 + soft, level) * (1 - smoothstep(1 + band, 1 + band + 2 * soft, level))
    span = (np.abs(x) < middle - 0.9 * width) * (
        1 - smoothstep(thick, thick + 0.012, np.abs(y - person["eye_y"] + 0.02))
    )
    temple = _temples(fine, head, person, middle + width, z_front, thick)
    if shot.glasses == 2:
        _mix(image, 0.02 * lit, 0.93 * lens)
    streak = np.exp(-0.5 * ((a + 0.5 * b - 4 * shot.light[0]) / 0.22) ** 2)
    _mix(image, 0.9 * lit, 0.22 * lens * streak)
    _mix(image, frame * lit, np.clip(np.maximum(rim, span) * visible, 0, 1))
    _mix(image, frame * lit, temple)


def _temples(fine: Rays, head: np.ndarray, person: Person, side: float, z_front: float, thick: float) -> np.ndarray:
    """Opacity of the two arms, from the frame's ends back to the ears."""
    cover = np.zeros_like(head)
    splay = (person["skull_width"] - 0.03 - side) / z_front
    for end in (-1, 1):
        slope = fine.slope[0] + end * splay * fine.slope[2]
        slope = np.where(np.abs(slope) < 1e-3, np.float32(1e-3), slope)
        where = (end * (side + splay * (z_front - fine.start[2])) - fine.start[0]) / slope
        _, y, z = fine.at(where)
        along = (z > 0.1) & (z < z_front) & (where > head)
        arm = 1 - smoothstep(thick + 0.004, thick + 0.02, np.abs(y - person["eye_y"] + 0.01))
        cover = np.maximum(cover, arm * along)
    return cover


def occlude(image: np.ndarray, rng: np.random.Generator, shot: Photograph, person: Person) -> None:
    """A hand, a scarf or a microphone before the face, in place."""
    pixels = image.shape[0]
    layer = np.zeros((pixels, pixels), np.float32)
    unit = pixels / 112
    if shot.occluder == "hand":
        colour = person.skin * rng.uniform(0.7, 1.0)
        x, y, angle = rng.uniform(15, 97), rng.uniform(70, 105), rng.uniform(-0.6, 0.6)
        for finger in range(4):
            base = np.array([x + (finger - 1.5) * 9.5 * np.cos(angle), y + 8 + (finger - 1.5) * 9.5 * np.sin(angle)])
            tip = base + np.array([np.sin(angle), -np.cos(angle)]) * (27 - 3 * abs(finger - 1.5))
            end = base + np.array([-np.sin(angle), np.cos(angle)]) * 40
            shade = float(0.85 + 0.15 * (finger % 2))
            _stroke(layer, end * unit, tip * unit, 8.6 * unit, shade)
    elif shot.occluder == "scarf":
        colour = np.exp(rng.normal(-1.5, 0.8)) * np.exp(rng.normal(0, 0.5, 3))
        x = np.arange(pixels, dtype=np.float32)[None, :] / unit
        y = np.arange(pixels, dtype=np.float32)[:, None] / unit
        top = rng.uniform(82, 98) + rng.normal(0, 0.1) * (x - 56) + 3 * np.sin(x / rng.uniform(6, 14))
        layer[:] = smoothstep(-0.8, 0.8, y - top) * (0.85 + 0.15 * np.sin((y + 0.4 * x) * rng.uniform(0.4, 1.2)))
    else:
        colour = np.full(3, 0.02)
        x, y = rng.uniform(30, 82), rng.uniform(88, 104)
        _stroke(layer, np.array([x, y]) * unit, np.array([x + rng.normal(0, 25), 140]) * unit, 6 * unit, 0.8)
        cv2.circle(layer, (int(x * unit), int(y * unit)), int(8 * unit), 1.0, -1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(layer, (0, 0), 0.7 * unit)
    rounded = 0.55 + 0.45 * cv2.GaussianBlur(layer, (0, 0), 2.2 * unit)
    light = 0.55 * shot.key + shot.ambient
    _mix(image, rounded[..., None] * colour * light, np.clip(1.15 * soft, 0, 1) * (layer > 0.02))


def _stroke(layer: np.ndarray, start: np.ndarray, end: np.ndarray, thickness: float, value: float) -> None:
    points = [(int(point[0]), int(point[1])) for point in (start, end)]
    cv2.line(layer, points[0], points[1], value, max(1, int(thickness)), cv2.LINE_AA)


def _mix(image: np.ndarray, colour: np.ndarray, alpha: np.ndarray) -> None:
    image += alpha[..., None].astype(np.float32) * (np.asarray(colour, np.float32) - image)
