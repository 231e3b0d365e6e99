"""The head as a star-shaped surface: a radius for every direction, on a map of directions.

The map is Lambert's azimuthal projection of the sphere of directions, centred on the direction in which the face
looks: ``u = x sqrt(2 / (1 + z))``, ``v = y sqrt(2 / (1 + z))`` for a unit direction (x, y, z). It costs one square
root, wastes little of the grid on the back of the head and has no seam in front.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from facerec.rendering.person import Look, Person

HALF = 1.9
GRID = 176


@lru_cache(maxsize=4)
def axis(size: int) -> np.ndarray:
    """Map coordinates of the columns (or rows) of a grid, float32 [size]."""
    return np.linspace(-HALF, HALF, size, dtype=np.float32)


@lru_cache(maxsize=4)
def directions(size: int) -> np.ndarray:
    """Unit directions of a grid on the map, float32 [3, size, size]."""
    v, u = np.meshgrid(axis(size), axis(size), indexing="ij")
    squares = np.minimum(u * u + v * v, 3.98)
    shrink = np.sqrt(1 - squares / 4)
    unit = np.stack([u * shrink, v * shrink, 1 - squares / 2])
    return unit / np.linalg.norm(unit, axis=0)


@lru_cache(maxsize=4)
def angles(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth (positive to image right) and elevation (positive up) of a grid, radians, each float32 [size, size]."""
    x, y, z = directions(size)
    return np.arctan2(x, z), np.arcsin(np.clip(-y, -1, 1))


def to_map(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Map coordinates u, v and distance from the origin of points in head coordinates."""
    distance = np.sqrt(x * x + y * y + z * z)
    scale = distance + z
    scale *= distance
    scale += np.float32(1e-6)
    scale = np.sqrt(np.float32(2) / scale)
    return x * scale, y * scale, distance


def sample(image: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Values of a square map at coordinates (u, v), bilinear."""
    size = image.shape[0]
    step = np.float32((size - 1) / (2 * HALF))
    centre = np.float32((size - 1) / 2)
    return cv2.remap(image, u * step + centre, v * step + centre, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def spot(x: float, y: float, z: float) -> tuple[float, float]:
    """Map coordinates of one point."""
    u, v, _ = to_map(*np.array([x, y, z], np.float32))
    return float(u), float(v)


def bump(target: np.ndarray, centre: tuple[float, float], width: float, height: float, amount: float) -> None:
    """Adds a Gaussian to a square map in place."""
    coordinates = axis(target.shape[0])
    columns = np.exp(-0.5 * ((coordinates - centre[0]) / width) ** 2)
    rows = np.exp(-0.5 * ((coordinates - centre[1]) / height) ** 2)
    target += (amount * rows)[:, None] * columns[None, :]


def pair(target: np.ndarray, x: float, y: float, z: float, width: float, height: float, amount: float) -> None:
    """Adds the same Gaussian left and right."""
    u, v = spot(x, y, z)
    bump(target, (u, v), width, height, amount)
    bump(target, (-u, v), width, height, amount)


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def skin_radii(person: Person) -> np.ndarray:
    """Radius of the bare head at rest, float32 [GRID, GRID]."""
    p = person
    skull = _ellipsoid((0, -0.45, -0.05), (p["skull_width"], 0.85, p["skull_depth"]))
    face = _ellipsoid((0, 0.20, 0.21), (p["jaw_width"], p["jaw_length"], p["face_depth"]))
    radii = (np.logaddexp(16 * skull, 16 * face) / 16).astype(np.float32)
    bump(radii, spot(0, -0.75, 0.8), 0.35, 0.22, p["forehead"])
    pair(radii, 0.62, -0.45, 0.45, 0.16, 0.2, p["temple"])
    pair(radii, 0.26, p["eye_y"] - 0.14, 0.88, 0.19, 0.065, p["brow_ridge"])
    pair(radii, 0.46, 0.02, 0.66, 0.16, 0.12, p["cheekbone"])
    pair(radii, 0.40, 0.36, 0.66, 0.17, 0.18, p["cheek"])
    pair(radii, 0.54, 0.50, 0.20, 0.16, 0.16, p["jaw_angle"])
    pair(radii, 0.46, 0.76, 0.42, 0.17, 0.16, p["jaw_taper"])
    bump(radii, spot(0, 0.40 + p["jaw_length"] * 0.5, 0.80), p["chin_width"], 0.10, p["chin_out"])
    bump(radii, spot(0, 0.42 + p["jaw_length"] * 0.5, 0.80), 0.025, 0.06, -abs(p["chin_cleft"]))
    bump(radii, spot(0, p["mouth_y"] - 0.02, 0.92), 0.22, 0.16, p["muzzle"])
    _eyes(radii, p)
    _nose(radii, p)
    _mouth(radii, p)
    pair(radii, 0.76, -0.10, -0.06, 0.055, 0.17, p["ear"])
    return radii


def _ellipsoid(centre: tuple[float, float, float], axes: tuple[float, float, float]) -> np.ndarray:
    """Distance from the origin to an ellipsoid around it, in every direction of the grid."""
    weights = (1 / np.square(axes))[:, None, None]
    unit, middle = directions(GRID), np.reshape(centre, (3, 1, 1))
    a = (weights * unit**2).sum(0)
    b = (weights * unit * middle).sum(0)
    c = float((weights * middle**2).sum()) - 1
    return (b + np.sqrt(b * b - a * c)) / a


def _eyes(radii: np.ndarray, p: Person) -> None:
    pair(radii, p["eye_apart"] + 0.01, p["eye_y"], 0.86, 0.13, 0.085, p["socket"])
    pair(radii, p["eye_apart"] - 0.19, p["eye_y"], 0.90, 0.06, 0.08, 0.6 * p["socket"])
    pair(radii, p["eye_apart"], p["eye_y"], 0.82, 0.075, 0.05, 0.048)


def _nose(radii: np.ndarray, p: Person) -> None:
    """A ridge that rises from bridge to tip, a ball, and two wings."""
    v = axis(GRID)
    top, tip = spot(0, p["eye_y"] - 0.03, 0.9)[1], spot(0, p["nose_tip_y"], 1.1)[1]
    along = (v - top) / (tip - top)
    height = p["nose_bridge"] + (p["nose_out"] - p["nose_bridge"]) * np.clip(along, 0, 1) ** 1.25
    height += p["nose_hump"] * np.exp(-0.5 * ((along - 0.45) / 0.2) ** 2)
    height *= smoothstep(-0.75, 0.1, along) * (1 - smoothstep(1.03, 1.50, along))
    width = np.interp(along, [-0.5, 0.3, 1.0], [0.11, 0.75 * p["nose_width"], 0.85 * p["nose_width"]])
    u = v[None, :] - p["skew_nose"] * np.clip(along, 0, 1.2)[:, None]
    radii += height[:, None] * np.exp(-0.5 * np.abs(u / width[:, None]) ** 2)
    pair(radii, p["nose_wing"], p["nose_tip_y"] + 0.03, 0.96, 0.046, 0.045, 0.062)


def _mouth(radii: np.ndarray, p: Person) -> None:
    width = 0.62 * p["mouth_width"]
    u, v = spot(0, p["mouth_y"], 0.95)
    bump(radii, (u, v - 0.8 * p["upper_lip"]), width, 0.032, p["lip_out"])
    bump(radii, (u, v + 0.8 * p["lower_lip"]), 0.9 * width, 0.035, 1.1 * p["lip_out"])
    bump(radii, (u, v), 1.1 * width, 0.015, -0.8 * p["lip_out"])
    bump(radii, (u, v + 0.17), 0.12, 0.035, -0.03)
    pair(radii, p["mouth_width"] + 0.03, p["mouth_y"], 0.86, 0.05, 0.05, -0.022)


def hair_cover(person: Person, look: Look, noise: np.ndarray) -> np.ndarray:
    """How far the hair covers the skin, 0 to 1, float32 [size, size].

    Args:
        person: For the hairline.
        look: For the style.
        noise: About standard normal, [size, size], to fray the edge.
    """
    size = len(noise)
    azimuth, elevation = angles(size)
    side = np.abs(azimuth)
    if look.hair == "bald":
        return np.zeros((size, size), np.float32)
    peak = person["hairline"]
    points = np.array([0, 0.45, 0.80, 1.12, 1.30, 1.50, 1.62, 3.2])
    recess = person["temple_hair"]
    if look.hair == "cap":
        line = np.interp(side, points, [0.62, 0.60, 0.55, 0.42, 0.32, 0.22, 0.15, -0.1])
    else:
        front = np.array([peak, peak + recess + 0.02, peak - 0.10 + recess, 0.50, 0.05, 0.10, -0.1, -0.75])
        if look.hair == "long":
            front[3:] = [0.35, -1.2, -1.5, -1.5, -1.5]
        line = np.interp(side, points, front)
    if look.hair in ("fringe", "swept"):
        depth = 0.42 if look.hair == "fringe" else 0.5
        swing = azimuth - look.parting
        lift = (
            np.exp(-0.5 * (swing / 0.25) ** 2)
            if look.hair == "fringe"
            else smoothstep(-0.1, 0.7, swing * (1 if look.parting < 0 else -1))
        )
        line = np.minimum(line, np.where(side < 1.2, depth + (peak - depth) * lift, line))
    fray = 0.012 if look.hair == "cap" else 0.045
    down, across = np.gradient(elevation - line.astype(np.float32), np.float32(2 * HALF / (size - 1)))
    distance = (elevation - line) / np.maximum(np.sqrt(down**2 + across**2), 0.7)
    return smoothstep(-0.035, 0.035, distance + fray * noise).astype(np.float32)


def hair_radii(look: Look, cover: np.ndarray) -> np.ndarray:
    """What the hair adds to the radius, float32 [GRID, GRID]."""
    azimuth, elevation = angles(GRID)
    thickness = look.hair_length * np.clip(0.5 + 0.9 * smoothstep(0.2, 1.1, elevation), 0, None)
    if look.hair == "long":
        hang = smoothstep(1.0, 1.5, np.abs(azimuth)) * smoothstep(0.1, -0.5, elevation)
        thickness = thickness + 0.30 * hang + 0.04
    soft = smoothstep(0.6, 1.0, cv2.GaussianBlur(cover, (0, 0), 1.5))
    return (soft * thickness).astype(np.float32)


def expression_warp(person: Person, smile: float, jaw: float, brows: float) -> tuple[np.ndarray, np.ndarray]:
    """How an expression moves the skin: what to add to (u, v) to find the place at rest, each float32 [GRID, GRID]."""
    du, dv = np.zeros((2, GRID, GRID), np.float32)
    u, v = axis(GRID)[None, :], axis(GRID)[:, None]
    mouth = spot(0, person["mouth_y"], 0.95)[1]
    below = smoothstep(mouth, mouth + 0.30, v) * np.exp(-0.5 * (u / 0.6) ** 2)
    dv -= (0.16 * jaw) * below
    pair(dv, 0.26, person["eye_y"] - person["brow_up"] - 0.03, 0.9, 0.22, 0.08, 0.06 * brows)
    corner = spot(person["mouth_width"] + 0.06, person["mouth_y"], 0.88)
    for side in (-1, 1):
        bump(du, (side * corner[0], corner[1]), 0.14, 0.14, -side * 0.035 * smile)
        bump(dv, (side * corner[0], corner[1]), 0.14, 0.14, 0.04 * smile)
    return du, dv


def posed_radii(rest: np.ndarray, warp: tuple[np.ndarray, np.ndarray], smile: float) -> np.ndarray:
    """The radius with an expression, float32 [GRID, GRID]."""
    radii = sample(rest, axis(GRID)[None, :] + warp[0], axis(GRID)[:, None] + warp[1])
    pair(radii, 0.36, 0.20, 0.76, 0.12, 0.10, 0.05 * smile)
    return radii


def normals(radii: np.ndarray) -> np.ndarray:
    """Outward unit normals and a cavity term (negative in hollows), float32 [GRID, GRID, 4]."""
    x, y, z = directions(GRID) * radii
    xu, yu, zu = (cv2.Sobel(part, cv2.CV_32F, 1, 0) for part in (x, y, z))
    xv, yv, zv = (cv2.Sobel(part, cv2.CV_32F, 0, 1) for part in (x, y, z))
    nx, ny, nz = yu * zv - zu * yv, zu * xv - xu * zv, xu * yv - yu * xv
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + np.float32(1e-9)
    cavity = radii - cv2.blur(radii, (15, 15))
    return cv2.merge([nx / length, ny / length, nz / length, cavity])
