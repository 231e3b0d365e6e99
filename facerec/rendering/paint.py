"""The head's colours, painted on the same map as its shape.

A painting is float32 [4, TEXELS, TEXELS]: linear RGB albedo and how much the place shines.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from facerec.rendering.person import Look, Person
from facerec.rendering.photograph import Photograph
from facerec.rendering.surface import HALF, angles, axis, bump, hair_cover, pair, smoothstep, spot

TEXELS = 352
LIP = np.array([0.62, 0.24, 0.22])
TEETH = np.array([0.62, 0.58, 0.50])
GUM = np.array([0.07, 0.018, 0.018])


class Patch:
    """A rectangle of a painting around a point, with coordinates relative to it."""

    def __init__(self, painting: np.ndarray, centre: tuple[float, float], half_width: float, half_height: float):
        scale, middle = (TEXELS - 1) / (2 * HALF), (TEXELS - 1) / 2
        left, right = (int(middle + scale * (centre[0] + side * half_width)) for side in (-1, 1))
        top, bottom = (int(middle + scale * (centre[1] + side * half_height)) for side in (-1, 1))
        self.pixels = painting[:, top:bottom, left:right]
        self.u = (axis(TEXELS)[left:right] - np.float32(centre[0]))[None, :]
        self.v = (axis(TEXELS)[top:bottom] - np.float32(centre[1]))[:, None]

    def mix(self, colour: np.ndarray, alpha: np.ndarray, shine: float | None = None) -> None:
        """Paints a colour with opacity `alpha` in place."""
        rgb = self.pixels[:3]
        rgb += alpha.astype(np.float32) * (planes(colour) - rgb)
        if shine is not None:
            self.pixels[3] += alpha * (shine - self.pixels[3])

    def darken(self, alpha: np.ndarray, by: float | np.ndarray = 1.0) -> None:
        """Multiplies the colour by ``1 - by * alpha``."""
        self.pixels[:3] *= 1 - planes(by) * alpha.astype(np.float32)


def planes(colour: np.ndarray | float) -> np.ndarray:
    """A colour so that it broadcasts against [3, h, w]; one that varies over the pixels already does."""
    colour = np.asarray(colour, np.float32)
    return colour[:, None, None] if colour.ndim == 1 else colour


@lru_cache(maxsize=1)
def _strand_coordinates() -> tuple[np.ndarray, np.ndarray]:
    azimuth, elevation = angles(TEXELS)
    flow = azimuth + 0.25 * np.sin(2.5 * elevation)
    return ((flow / np.pi + 1) * 255.5).astype(np.float32), ((elevation / np.pi + 0.5) * 31).astype(np.float32)


def smooth_noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """About standard normal noise with `cells` cells across, float32 [TEXELS, TEXELS]."""
    coarse = rng.standard_normal((cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (TEXELS, TEXELS), interpolation=cv2.INTER_CUBIC)


def strands(seed: int) -> np.ndarray:
    """Streaks along the hair, about standard normal, float32 [TEXELS, TEXELS]."""
    rng = np.random.default_rng(seed)
    fine = rng.standard_normal((32, 512)).astype(np.float32)
    broad = cv2.resize(rng.standard_normal((8, 96)).astype(np.float32), (512, 32), interpolation=cv2.INTER_CUBIC)
    x, y = _strand_coordinates()
    return cv2.remap(0.65 * fine + 0.75 * broad, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def paint_skin(person: Person) -> np.ndarray:
    """Skin, folds, moles and brows: what no look changes."""
    rng = np.random.default_rng(person.seed)
    tone = 0.045 * smooth_noise(rng, 14) + 0.035 * smooth_noise(rng, 70)
    red = np.zeros((TEXELS, TEXELS), np.float32)
    pair(red, 0.42, 0.12, 0.72, 0.14, 0.12, 0.5 + person["ruddy"])
    bump(red, spot(0, person["nose_tip_y"], 1.1), 0.08, 0.08, 0.6 + 0.6 * person["ruddy"])
    red += 0.25 * smooth_noise(rng, 9)
    painting = np.ones((4, TEXELS, TEXELS), np.float32)
    painting[:3] = planes(person.skin) * np.exp(tone + red * planes(np.array([0.05, -0.12, -0.10])))
    _marks(painting, person, rng)
    _folds(painting, person)
    _brows(painting, person, rng)
    return painting


def _marks(painting: np.ndarray, person: Person, rng: np.random.Generator) -> None:
    for u, v, size in person.moles:
        patch = Patch(painting, (u, v), 0.08, 0.08)
        patch.darken(np.exp(-0.5 * (patch.u**2 + patch.v**2) / size**2), np.array([0.62, 0.75, 0.8]))
    if person.freckles > 0.05:
        dots = cv2.resize(rng.random((150, 150)).astype(np.float32), (TEXELS, TEXELS), interpolation=cv2.INTER_LINEAR)
        where = np.zeros_like(dots)
        bump(where, spot(0, 0.05, 0.95), 0.45, 0.16, 1.0)
        alpha = np.clip(person.freckles, 0, 0.8) * where * smoothstep(0.78, 0.9, dots)
        painting[:3] *= 1 - alpha * planes(np.array([0.25, 0.45, 0.55]))


def _folds(painting: np.ndarray, person: Person) -> None:
    """Nasolabial folds, bags under the eyes, the groove under the nose and the nostrils."""
    red_shadow = np.array([0.30, 0.42, 0.45])
    wing = spot(person["nose_wing"] + 0.03, person["nose_tip_y"], 0.95)
    corner = spot(person["mouth_width"] + 0.07, person["mouth_y"], 0.9)
    for side in (-1, 1):
        patch = Patch(painting, (side * corner[0], (wing[1] + corner[1]) / 2), 0.3, 0.4)
        along = (patch.v + (corner[1] - wing[1]) / 2) / (corner[1] - wing[1])
        line = side * (wing[0] - corner[0]) * np.clip(1 - along, 0, None) ** 1.5
        ends = smoothstep(-0.1, 0.2, along) * (1 - smoothstep(0.8, 1.3, along))
        patch.darken(max(0.0, person["folds"]) * ends * np.exp(-0.5 * ((patch.u - line) / 0.018) ** 2), red_shadow)
        eye = spot(person["eye_apart"], person["eye_y"] + 0.10, 0.87)
        patch = Patch(painting, (side * eye[0], eye[1]), 0.25, 0.15)
        bag = np.exp(-0.5 * ((patch.u / 0.11) ** 2 + ((patch.v + 0.6 * patch.u**2) / 0.03) ** 2))
        patch.darken(max(0.0, person["eye_bags"]) * bag, red_shadow)
        hole = spot(0.62 * person["nose_wing"], person["nose_tip_y"] + 0.085, 1.05)
        patch = Patch(painting, (side * hole[0], hole[1]), 0.12, 0.10)
        slant = patch.v + 0.35 * side * patch.u
        patch.darken(
            0.85 * np.exp(-(((patch.u / 0.038) ** 2 + (slant / 0.017) ** 2) ** 1.5)), np.array([0.75, 0.88, 0.9])
        )
    lip = spot(0, person["mouth_y"] - 0.14, 1.0)
    patch = Patch(painting, lip, 0.15, 0.15)
    patch.darken(0.22 * np.exp(-0.5 * ((patch.u / 0.018) ** 2 + (patch.v / 0.05) ** 2)), red_shadow)


def _brows(painting: np.ndarray, person: Person, rng: np.random.Generator) -> None:
    colour = 0.6 * np.array(person.looks[0].hair_colour) + 0.01
    middle = spot(person["eye_apart"] - 0.005, person["eye_y"] - person["brow_up"], 0.9)
    hairs = smooth_noise(rng, TEXELS // 2)
    for side in (-1, 1):
        patch = Patch(painting, (side * middle[0], middle[1]), 0.34, 0.2)
        along = side * patch.u / person["brow_width"]
        arch = person["brow_arch"] * (1 - (along - 0.25) ** 2) - person["brow_slope"] * along * person["brow_width"]
        thick = person["brow_thick"] * np.clip(1.15 - 0.6 * smoothstep(0.0, 1.2, along), 0.2, None)
        ends = smoothstep(-1.08, -0.75, along) * (1 - smoothstep(0.80, 1.12, along))
        distance = np.abs(patch.v + arch) / thick
        fray = 0.28 * hairs[: patch.pixels.shape[1], : patch.pixels.shape[2]]
        alpha = np.clip(person["brow_dark"], 0.25, 1) * ends * (1 - smoothstep(0.55, 1.35, distance + fray))
        patch.mix(colour, alpha, 0.3)


def paint_look(person: Person, look: Look, skin: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Adds hair and beard.

    Returns:
        The painting, the hair's cover [TEXELS, TEXELS] and the beard's cover, of the same shape.
    """
    painting = skin.copy()
    streaks = strands(look.seed)
    cover = cv2.GaussianBlur(hair_cover(person, look, streaks), (0, 0), 1.2)
    colour = np.asarray(look.hair_colour, np.float32)
    tone = np.exp(0.30 * streaks)
    if look.hair == "cap":
        colour = np.random.default_rng(look.seed).uniform(0.02, 0.5, 3).astype(np.float32)
        tone = np.exp(0.04 * streaks)
    beard = beard_cover(person, look.beard_shape) * (1 - cover)
    if look.beard:
        density = look.beard * np.clip(0.75 + 0.25 * streaks, 0, 1)
        blend(painting, beard * density, 0.8 * np.asarray(look.hair_colour) + 0.006, 0.3)
    blend(painting, np.clip(1.6 * cover, 0, 1), planes(colour) * tone, 0.55)
    return painting, cover, beard


def beard_cover(person: Person, shape: tuple[float, float, float]) -> np.ndarray:
    """Where a beard grows, 0 to 1, float32 [TEXELS, TEXELS]; `shape` weights moustache, chin and cheeks."""
    cover = np.zeros((TEXELS, TEXELS), np.float32)
    bump(cover, spot(0, person["mouth_y"] - 0.11, 0.98), 0.17, 0.04, 1.1 * shape[0])
    bump(cover, spot(0, person["mouth_y"] + 0.36, 0.82), 0.22, 0.20, 1.2 * shape[1])
    pair(cover, 0.30, person["mouth_y"] + 0.10, 0.82, 0.06, 0.16, 0.7 * min(shape[0], shape[1]))
    pair(cover, 0.50, person["mouth_y"] + 0.20, 0.45, 0.20, 0.17, 1.1 * shape[2])
    pair(cover, 0.70, 0.25, 0.12, 0.10, 0.22, 1.0 * shape[2])
    return smoothstep(0.3, 0.85, np.clip(cover, 0, 1)).astype(np.float32)


def blend(painting: np.ndarray, alpha: np.ndarray, colour: np.ndarray, shine: float) -> None:
    """Paints a colour with opacity `alpha` over everything, in place."""
    painting[:3] += alpha * (planes(colour) - painting[:3])
    painting[3] += alpha * (shine - painting[3])


def paint_eyes(painting: np.ndarray, person: Person, shot: Photograph, lashes: float) -> None:
    """Eyes with lids, gaze and a line of lashes, in place."""
    for side in (-1, 1):
        y = person["eye_y"] + side * person["skew_eyes"]
        u, v = spot(person["eye_apart"], y, 0.87)
        patch = Patch(painting, (side * u, v), 0.30, 0.21)
        tilt = person["eye_tilt"] * side
        a = (patch.u + tilt * patch.v) / person["eye_width"]
        b = patch.v - tilt * patch.u
        inside = np.clip(1 - a * a, 0, None)
        opening = person["eye_open"] * shot.lids * (1 - 0.18 * shot.smile)
        upper = -opening * inside ** (0.62 + 0.1 * side * np.sign(a))
        lower = (0.72 * person["eye_open"] * (0.8 + 0.2 * shot.lids) if shot.lids > 0.15 else 0.012) * inside**0.9
        upper = upper if shot.lids > 0.15 else lower - 0.012
        edge = smoothstep(-0.012, 0.012, b - upper) * smoothstep(-0.012, 0.012, lower - b) * (np.abs(a) < 1)
        crease = np.exp(-0.5 * ((b - upper + person["eye_crease"]) / 0.010) ** 2) * smoothstep(0, 0.4, inside)
        patch.darken(0.50 * crease, np.array([0.55, 0.7, 0.72]))
        patch.darken(
            0.35 * np.exp(-0.5 * ((b - lower - 0.018) / 0.014) ** 2) * smoothstep(0, 0.5, inside),
            np.array([0.5, 0.6, 0.6]),
        )
        radius = np.hypot(patch.u - shot.gaze[0] * person["iris"], patch.v - (shot.gaze[1] - 0.1) * person["iris"])
        radius /= person["iris"]
        ball = planes(np.array([0.60, 0.55, 0.52])) * (1 - 0.45 * np.abs(a) ** 3)
        ball = ball * (0.62 + 0.38 * smoothstep(0.0, 0.05, b - upper))
        disc = 1 - smoothstep(0.88, 1.08, radius)
        ring = 1 - 0.65 * smoothstep(0.65, 1.0, radius)
        ball += disc * (planes(person.iris_colour) * ring - ball)
        ball *= 1 - 0.95 * (1 - smoothstep(0.34, 0.48, radius))
        patch.mix(ball, edge, 1.6)
        glint = np.exp(
            -0.5 * ((patch.u - shot.light[0] * 0.03) ** 2 + (patch.v - shot.light[1] * 0.04) ** 2) / 0.011**2
        )
        patch.mix(np.array([1.6, 1.6, 1.6]), 0.75 * glint * edge)
        line = np.exp(-0.5 * ((b - upper) / (0.010 + 0.006 * lashes)) ** 2) * smoothstep(-0.02, 0.25, inside)
        patch.darken(np.clip((0.72 + 0.2 * lashes) * line, 0, 1))


def paint_mouth(painting: np.ndarray, person: Person, look: Look, shot: Photograph) -> None:
    """Lips, and between them teeth or dark, in place."""
    u, v = spot(0, person["mouth_y"], 0.95)
    patch = Patch(painting, (u, v + 0.05), 0.48, 0.36)
    width = person["mouth_width"] * (1 + 0.16 * shot.smile - 0.10 * shot.jaw)
    a = patch.u / width
    inside = np.clip(1 - a * a, 0, None)
    b = patch.v + 0.05 - person["skew_mouth"] * a + 0.06 * shot.smile * a * a
    gap = 0.16 * shot.jaw + 0.075 * max(0.0, shot.smile - 0.45)
    top = -0.22 * gap * inside**0.7
    bottom = 0.78 * gap * inside**0.8
    bow = 1 - person["cupid"] * np.exp(-0.5 * (a / 0.16) ** 2) + 0.25 * np.exp(-0.5 * ((np.abs(a) - 0.28) / 0.18) ** 2)
    outer_top = top - person["upper_lip"] * (1 - 0.25 * shot.smile) * bow * inside**0.75
    outer_bottom = bottom + person["lower_lip"] * (1 - 0.2 * shot.smile) * inside**0.6
    soft = 0.016
    lips = smoothstep(-soft, soft, b - outer_top) * smoothstep(-soft, soft, outer_bottom - b) * (np.abs(a) < 1)
    strength = np.clip(0.50 + 0.18 * person["lip_colour"] + 0.4 * look.lipstick, 0.2, 0.95)
    skin = person.skin
    natural = skin * np.array([0.80, 0.55, 0.58])
    red = np.array([0.50, 0.05, 0.07]) if look.lipstick else LIP * skin.mean() * 1.6
    patch.mix(natural + strength * (red - natural), 0.85 * lips, 1.3 + look.lipstick)
    patch.darken(0.22 * lips * (b < 0.5 * (top + bottom)))
    hole = smoothstep(-0.006, 0.008, b - top) * smoothstep(-0.006, 0.008, bottom - b) * (np.abs(a) < 0.98)
    if gap > 0.012:
        depth = (b - top) / 0.075
        teeth = (
            (1 - smoothstep(0.75, 1.0, depth)) * (1 - 0.55 * np.abs(a) ** 2) * (0.55 + 0.45 * smoothstep(0, 0.2, depth))
        )
        patch.mix(planes(GUM) + teeth * planes(TEETH - GUM), hole, 0.5)
    line = np.exp(-0.5 * ((b - top) / 0.010) ** 2) * smoothstep(0.0, 0.12, 1.06 - np.abs(a))
    patch.darken(0.62 * line, np.array([0.8, 0.92, 0.92]))
    low = np.exp(-0.5 * ((b - outer_bottom - 0.03) / 0.022) ** 2) * smoothstep(0.1, 0.6, inside)
    patch.darken(0.22 * low)
    corners = np.exp(-0.5 * (((np.abs(a) - 1.02) / 0.07) ** 2 + (b / 0.03) ** 2))
    patch.darken((0.35 + 0.25 * shot.smile) * corners)


def paint_mask(painting: np.ndarray, colour: np.ndarray) -> None:
    """A cloth mask over nose and mouth, in place."""
    azimuth, elevation = angles(TEXELS)
    cover = smoothstep(-0.03, 0.03, -elevation + 0.10 - 0.12 * azimuth**2) * smoothstep(1.25, 1.15, np.abs(azimuth))
    pleats = 1 + 0.06 * np.sin(22 * elevation)
    blend(painting, cover.astype(np.float32), planes(colour) * pleats, 0.1)
