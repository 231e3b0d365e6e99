"""From the head to pixels: projection, alignment of the crop, and where each pixel's ray meets the head."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facerec.rendering.person import Person
from facerec.rendering.photograph import Photograph
from facerec.rendering.surface import sample, spot, to_map

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where alignment puts eyes, nose tip and mouth corners in a crop of 112 pixels (the ArcFace template)."""

NEAR, FAR = 1.5, -0.5
COARSE_STEPS, FINE_STEPS = 21, 5


@dataclass(frozen=True)
class Rays:
    """One ray a pixel, a function of the depth z in camera coordinates: ``start + z * slope`` in head coordinates.

    Attributes:
        start: float32 [3, h, w].
        slope: float32 [3, h, w].
    """

    start: np.ndarray
    slope: np.ndarray

    def at(self, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points x, y, z in head coordinates at the given depths, which broadcast against [h, w]."""
        x, y, z = (start + depth * slope for start, slope in zip(self.start, self.slope, strict=True))
        return x, y, z


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation matrix [3, 3] from head to camera coordinates (x right, y down, z towards the viewer)."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return tilt @ nod @ turn


def landmarks(person: Person, radii: np.ndarray) -> np.ndarray:
    """Eyes, nose tip and mouth corners on the surface, float64 [5, 3] in head coordinates, image left first."""
    eye = spot(person["eye_apart"], person["eye_y"], 0.87)
    nose = spot(person["skew_nose"], person["nose_tip_y"], 1.1)
    mouth = spot(person["mouth_width"], person["mouth_y"], 0.93)
    u = np.array([-eye[0], eye[0], nose[0], -mouth[0], mouth[0]], np.float32)
    v = np.array([eye[1], eye[1], nose[1], mouth[1], mouth[1]], np.float32)
    distance = sample(radii, u[None], v[None])[0].astype(np.float64)
    squares = (u * u + v * v).astype(np.float64)
    shrink = np.sqrt(1 - squares / 4)
    return np.column_stack([u * shrink, v * shrink, 1 - squares / 2]) * distance[:, None]


def project(points: np.ndarray, turn: np.ndarray, distance: float) -> np.ndarray:
    """Perspective projection of points [n, 3] onto the plane through the head's origin, float64 [n, 2]."""
    seen = points @ turn.T
    return seen[:, :2] * (distance / (distance - seen[:, 2:]))


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[complex, complex]:
    """Least squares similarity between point lists [n, 2]: ``target = m * source + c`` in complex numbers."""
    a, b = source @ np.array([1, 1j]), target @ np.array([1, 1j])
    centred = a - a.mean()
    m = complex((np.conj(centred) * (b - b.mean())).sum() / (np.abs(centred) ** 2).sum())
    return m, complex(b.mean() - m * a.mean())


def align(person: Person, radii: np.ndarray, shot: Photograph, turn: np.ndarray) -> tuple[complex, complex]:
    """The similarity from the projection plane to a crop of 112 pixels, as a detector's landmarks would give it."""
    seen = project(landmarks(person, radii), turn, shot.distance)
    return similarity(seen, TEMPLATE + shot.landmark_noise)


def rays(pixels: int, aligned: tuple[complex, complex], turn: np.ndarray, distance: float) -> Rays:
    """The rays through the pixel centres of a crop of `pixels` by `pixels`."""
    m, c = aligned
    places = ((np.arange(pixels) + 0.5) * (112 / pixels) - 0.5).astype(np.float32)
    back_scale, back_shift = 1 / m, -c / m
    across, along = places[None, :], places[:, None]
    x = np.float32(back_scale.real) * across - np.float32(back_scale.imag) * along + np.float32(back_shift.real)
    y = np.float32(back_scale.imag) * across + np.float32(back_scale.real) * along + np.float32(back_shift.imag)
    back = turn.T.astype(np.float32)
    start = np.stack([row[0] * x + row[1] * y for row in back])
    slope = np.stack([row[2] - start[index] / np.float32(distance) for index, row in enumerate(back)])
    return Rays(start, slope)


def excess(radii: np.ndarray, points: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """How far points lie outside the surface along their direction from the origin (negative: inside)."""
    u, v, length = to_map(*points)
    shape = length.shape
    flat = (-1, shape[-1])
    return length - sample(radii, u.reshape(flat), v.reshape(flat)).reshape(shape)


def cast(radii: np.ndarray, fine: Rays, coarse: Rays) -> np.ndarray:
    """Depth at which each ray first meets the surface, float32 [h, w]; NaN where it misses.

    A march over coarse rays brackets the crossing, or the closest approach. Within the brackets of a ray's
    neighbourhood, a short march over the fine rays and two secant steps find it.
    """
    steps = np.linspace(NEAR, FAR, COARSE_STEPS, dtype=np.float32)[:, None, None]
    gaps = excess(radii, coarse.at(steps))
    inside = gaps < 0
    first = np.where(inside.any(0), inside.argmax(0), gaps.argmin(0))
    depth = steps[first, 0, 0]
    step = np.float32((NEAR - FAR) / (COARSE_STEPS - 1))
    size = fine.start.shape[2], fine.start.shape[1]
    kernel = np.ones((3, 3), np.uint8)
    high = cv2.resize(cv2.dilate(depth, kernel) + step, size, interpolation=cv2.INTER_NEAREST)
    low = cv2.resize(cv2.erode(depth, kernel) - step / 2, size, interpolation=cv2.INTER_NEAREST)
    shares = np.linspace(0, 1, FINE_STEPS, dtype=np.float32)[:, None, None]
    depths = high - shares * (high - low)
    values = np.stack([excess(radii, fine.at(step_depth)) for step_depth in depths])
    crossing = values < 0
    index = np.maximum(crossing.argmax(0), 1)[None]
    above, below = (np.take_along_axis(depths, index - back, 0)[0] for back in (1, 0))
    out, into = (np.take_along_axis(values, index - back, 0)[0] for back in (1, 0))
    found = _secant(radii, fine, above, below, np.maximum(out, 1e-6), into)
    found[~crossing.any(0)] = np.nan
    return found


def _secant(
    radii: np.ndarray, fine: Rays, above: np.ndarray, below: np.ndarray, out: np.ndarray, into: np.ndarray
) -> np.ndarray:
    """Two steps of regula falsi between a depth outside and one inside."""
    middle = above + (below - above) * np.clip(out / (out - into + np.float32(1e-9)), 0, 1)
    value = excess(radii, fine.at(middle))
    inside = value < 0
    above, out = np.where(inside, above, middle), np.where(inside, out, value)
    below, into = np.where(inside, middle, below), np.where(inside, value, into)
    return above + (below - above) * np.clip(out / (out - into + np.float32(1e-9)), 0, 1)
