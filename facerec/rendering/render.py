"""A photograph of a person: head, light, glasses, background, things in the way, and the camera's imperfections."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from facerec.rendering import backdrop, paint
from facerec.rendering.camera import Rays, align, cast, excess, rays, rotation
from facerec.rendering.person import Person
from facerec.rendering.photograph import Photograph
from facerec.rendering.sensor import develop
from facerec.rendering.surface import (
    GRID,
    bump,
    expression_warp,
    hair_radii,
    normals,
    pair,
    posed_radii,
    sample,
    skin_radii,
    smoothstep,
    spot,
    to_map,
)

SUPERSAMPLING = 1.5
WRAP = np.array([0.30, 0.12, 0.08], np.float32)


class Sitter:
    """A person with the work done that all photographs share."""

    def __init__(self, person: Person):
        self.person = person
        self.looks: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        self.scratch = np.empty((paint.TEXELS, paint.TEXELS, 4), np.float32)

    @cached_property
    def radii(self) -> np.ndarray:
        """The bare head at rest."""
        return skin_radii(self.person)

    @cached_property
    def skin(self) -> np.ndarray:
        """The painting without hair."""
        return paint.paint_skin(self.person)

    def look(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Painting (pixel by pixel, [TEXELS, TEXELS, 4]), beard's cover and what hair adds to the radius."""
        if index not in self.looks:
            look = self.person.looks[index]
            painting, cover, beard = paint.paint_look(self.person, look, self.skin)
            hair = hair_radii(look, cv2.resize(cover, (GRID, GRID), interpolation=cv2.INTER_AREA))
            self.looks[index] = cv2.merge(list(painting)), beard, hair
        return self.looks[index]


@dataclass(frozen=True)
class Head:
    """A head with its expression: radius, its normals, painting and where the painting is stretched.

    The painting is the sitter's scratch paper: the next pose overwrites it.
    """

    radii: np.ndarray
    normals: np.ndarray
    painting: np.ndarray
    warp: np.ndarray


def render(sitter: Sitter, shot: Photograph, size: int = 112) -> np.ndarray:
    """Takes a photograph.

    Args:
        sitter: The person.
        shot: The circumstances.
        size: Width and height in pixels.

    Returns:
        uint8 [size, size, 3], BGR.
    """
    head = pose(sitter, shot)
    turn = rotation(shot.yaw, shot.pitch, shot.roll)
    aligned = align(sitter.person, head.radii, shot, turn)
    pixels = round(size * SUPERSAMPLING)
    fine = rays(pixels, aligned, turn, shot.distance)
    coarse = rays(pixels // 4, aligned, turn, shot.distance)
    depth = cast(head.radii, fine, coarse)
    light = turn.T @ shot.light
    scene = np.random.default_rng(shot.scene)
    image = backdrop.background(scene, pixels)
    backdrop.neck(image, fine, depth, sitter.person, shot, light, scene)
    _shade(image, head, fine, coarse, depth, light, shot)
    if shot.glasses:
        backdrop.glasses(image, fine, depth, sitter.person, head.radii, shot)
    if shot.occluder in ("hand", "scarf", "microphone"):
        backdrop.occlude(image, scene, shot, sitter.person)
    small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return develop(small, shot)


def pose(sitter: Sitter, shot: Photograph) -> Head:
    """The head with a photograph's expression and look."""
    person = sitter.person
    usual, beard, hair = sitter.look(shot.look)
    np.copyto(sitter.scratch, usual)
    painting = np.moveaxis(sitter.scratch, 2, 0)
    warp = expression_warp(person, shot.smile, shot.jaw, shot.brows)
    radii = posed_radii(sitter.radii, warp, shot.smile)
    pair(radii, 0.42, 0.34, 0.66, 0.18, 0.20, 0.05 * shot.weight)
    radii += hair
    look = person.looks[shot.look]
    if shot.stubble > 0.05:
        lower = slice(paint.TEXELS // 2, None)
        shade = min(0.6 * shot.stubble, 0.75) * beard[lower]
        painting[:3, lower] *= 1 - shade * paint.planes(np.array([0.62, 0.60, 0.52]))
    paint.paint_eyes(painting, person, shot, 0.0 if person.male else 0.5 + 0.5 * look.lipstick)
    paint.paint_mouth(painting, person, look, shot)
    if shot.occluder == "mask":
        colour = np.random.default_rng(shot.scene).choice([[0.75, 0.75, 0.75], [0.30, 0.50, 0.68], [0.02, 0.02, 0.02]])
        paint.paint_mask(painting, colour.astype(np.float32))
        bump(radii, spot(0, person["mouth_y"] - 0.03, 0.95), 0.22, 0.14, 0.07)
    return Head(radii, normals(radii), sitter.scratch, cv2.merge(warp))


def _shade(
    image: np.ndarray, head: Head, fine: Rays, coarse: Rays, depth: np.ndarray, light: np.ndarray, shot: Photograph
) -> None:
    """Draws the head over the image, in place."""
    hit = np.isfinite(depth)
    depth = np.where(hit, depth, np.float32(0))
    points = fine.at(depth)
    u, v, _ = to_map(*points)
    surface = sample(head.normals, u, v)
    stretch = sample(head.warp, u, v)
    albedo = sample(head.painting, u + stretch[..., 0], v + stretch[..., 1])
    nx, ny, nz, hollow = cv2.split(surface)
    red, green, blue, shine = cv2.split(albedo)
    toward = light.astype(np.float32)
    facing = nx * toward[0] + ny * toward[1] + nz * toward[2]
    lit = 1 - _shadow(head.radii, coarse, depth, light)
    length = np.sqrt((fine.slope**2).sum(0))
    grazing = np.abs(nx * fine.slope[0] + ny * fine.slope[1] + nz * fine.slope[2])
    rim = 1 - 0.35 * (1 - smoothstep(0.0, 0.35, grazing))
    gloss = (0.055 * shot.gloss) * shine * lit * _highlight((nx, ny, nz), fine.slope / length, toward)
    sky = (0.78 - 0.22 * ny) * np.clip(1 + 2.6 * hollow, 0.45, 1.12)
    colours = []
    for index, colour in enumerate((red, green, blue)):
        key, ambient, wrap = np.float32(shot.key[index]), np.float32(shot.ambient[index]), WRAP[index]
        wrapped = np.maximum(facing + wrap, 0) * (key / (1 + wrap))
        colours.append((colour * (wrapped * lit + sky * ambient) + gloss * key) * rim)
    cv2.copyTo(cv2.merge(colours), hit.astype(np.uint8), image)


def _highlight(normal: tuple[np.ndarray, ...], view: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Blinn's highlight, a broad and a narrow one."""
    half = [view[index] + light[index] for index in range(3)]
    size = np.sqrt(half[0] ** 2 + half[1] ** 2 + half[2] ** 2) + np.float32(1e-6)
    cosine = (normal[0] * half[0] + normal[1] * half[1] + normal[2] * half[2]) / size
    eighth = np.square(np.square(np.square(np.maximum(cosine, 0))))
    return eighth * (0.5 + 1.6 * np.square(np.square(eighth)))


def _shadow(radii: np.ndarray, coarse: Rays, depth: np.ndarray, light: np.ndarray) -> np.ndarray:
    """How much of the key light the head itself keeps from each pixel, 0 to 1."""
    height, width = coarse.start.shape[1:]
    small = cv2.resize(depth, (width, height), interpolation=cv2.INTER_AREA)
    start = coarse.at(small)
    reach = np.array([0.08, 0.14, 0.22, 0.32, 0.45, 0.65], np.float32)[:, None, None]
    x, y, z = (part + reach * np.float32(along) for part, along in zip(start, light, strict=True))
    covered = (-excess(radii, (x, y, z)) / reach).max(0)
    soft = cv2.GaussianBlur(smoothstep(-0.02, 0.22, covered).astype(np.float32), (0, 0), 0.8)
    return 0.85 * cv2.resize(soft, depth.shape[::-1], interpolation=cv2.INTER_LINEAR)
