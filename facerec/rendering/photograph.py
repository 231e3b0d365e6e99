"""Everything about a photograph that is not the person, drawn in one place, where its strength is set."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from facerec.rendering.person import Person

OCCLUDERS = ("hand", "mask", "scarf", "microphone")


@dataclass(frozen=True)
class Photograph:
    """One photograph's circumstances; angles in radians, lengths in decimetres, pixels of a 112-pixel crop.

    Attributes:
        yaw: Positive: the face looks to image right.
        pitch: Positive: the face looks down.
        roll: Clockwise.
        distance: From the head to the camera.
        landmark_noise: float [5, 2], error of the landmarks by which the crop is aligned, in pixels.
        look: Which of the person's looks.
        smile: 0 to 1.
        jaw: How far the mouth is open, 0 to 1.
        brows: Raised (1) or frowning (-1).
        lids: How far the eyes are open, 0 to 1.
        gaze: Right and down, in iris radii.
        glasses: 0 without, 1 clear, 2 dark.
        stubble: Beard of a few days, 0 to 1.
        weight: Fuller (positive) or thinner cheeks.
        light: Direction to the key light in camera coordinates, unit length.
        key: Linear RGB strength of the key light.
        ambient: Linear RGB of the light from everywhere.
        gloss: How much the skin shines.
        exposure: Factor on linear light.
        white_balance: Linear RGB factors.
        saturation: 0 is grey.
        contrast: Exponent of the tone curve.
        occluder: Empty, or one of `OCCLUDERS`.
        scene: Seed of background, occluder's place and clothes.
        blur: Standard deviation in pixels.
        motion: Length (pixels) and angle of motion blur.
        resolution: Share of the pixels that the sensor had, 1 for all.
        noise: Standard deviation in grey levels (of 255).
        quality: Of the JPEG.
        grain: Seed of the noise.
    """

    yaw: float
    pitch: float
    roll: float
    distance: float
    landmark_noise: np.ndarray
    look: int
    smile: float
    jaw: float
    brows: float
    lids: float
    gaze: tuple[float, float]
    glasses: int
    stubble: float
    weight: float
    light: np.ndarray
    key: np.ndarray
    ambient: np.ndarray
    gloss: float
    exposure: float
    white_balance: np.ndarray
    saturation: float
    contrast: float
    occluder: str
    scene: int
    blur: float
    motion: tuple[float, float]
    resolution: float
    noise: float
    quality: int
    grain: int


def draw_photograph(rng: np.random.Generator, person: Person, difficulty: float = 1.0) -> Photograph:
    """A random photograph of a person.

    Args:
        rng: Source of chance.
        person: For the habit of wearing glasses.
        difficulty: Scale of everything that makes two photographs of one person differ; 0 is a passport office.
    """
    d = difficulty
    light = np.array([rng.normal(0, 0.75 * d), -0.35 + rng.normal(0, 0.4 * d), rng.uniform(0.55, 1.1)])
    warmth = rng.normal(0, 0.11 * d)
    tint = np.exp([warmth, rng.normal(0, 0.03 * d), -warmth])
    fill = rng.uniform(0.22, 0.75)
    sunglasses = rng.random() < 0.025 * d
    glasses = rng.random() < person.glasses if d > 0 else person.glasses >= 0.5
    grey = rng.random() < 0.07 * d
    return Photograph(
        yaw=float(np.clip(0.24 * d * rng.standard_t(4), -0.95, 0.95)),
        pitch=float(np.clip(0.11 * d * rng.standard_t(5) + 0.02, -0.42, 0.42)),
        roll=float(rng.normal(0, 0.12 * d)),
        distance=float(np.exp(rng.uniform(np.log(5), np.log(16)))),
        landmark_noise=rng.normal(0, 1.0 * d, (5, 2)),
        look=int(rng.choice(3, p=_shares(0.20 * d))),
        smile=float(np.clip(rng.normal(0.2, 0.45 * d), 0, 1)),
        jaw=float(np.clip(rng.normal(-0.05, 0.30 * d), 0, 1)),
        brows=float(np.clip(rng.normal(0, 0.35 * d), -1, 1)),
        lids=0.0 if rng.random() < 0.04 * d else float(np.clip(rng.normal(1.0, 0.18 * d), 0.4, 1.3)),
        gaze=(float(np.clip(rng.normal(0, 0.28 * d), -0.8, 0.8)), float(rng.normal(0, 0.08 * d))),
        glasses=2 if sunglasses else int(glasses),
        stubble=float(max(0.0, rng.normal(0.0, 0.3 * d))) if person.male else 0.0,
        weight=float(rng.normal(0, 0.35 * d)),
        light=light / np.linalg.norm(light),
        key=tint * rng.uniform(0.75, 1.25),
        ambient=fill * np.exp(rng.normal(0, 0.10 * d, 3)),
        gloss=float(rng.gamma(2.0, 0.5)),
        exposure=float(np.exp(rng.normal(0.05, 0.26 * d))),
        white_balance=np.exp(rng.normal(0, [0.10 * d, 0.03 * d, 0.12 * d])),
        saturation=0.0 if grey else float(np.exp(rng.normal(-0.05, 0.16 * d))),
        contrast=float(np.exp(rng.normal(0, 0.13 * d))),
        occluder=str(rng.choice(OCCLUDERS)) if rng.random() < 0.09 * d else "",
        scene=int(rng.integers(2**31)),
        blur=float(rng.gamma(1.2, 0.32 * d)) if d > 0 else 0.0,
        motion=(float(rng.gamma(1.5, 1.2)) if rng.random() < 0.10 * d else 0.0, float(rng.uniform(0, np.pi))),
        resolution=float(rng.uniform(0.24, 0.6)) if rng.random() < 0.12 * d else 1.0,
        noise=float(rng.gamma(1.2, 1.4 * d)) if d > 0 else 0.0,
        quality=int(rng.integers(int(max(25, 92 - 42 * d)), 96)),
        grain=int(rng.integers(2**31)),
    )


def next_frame(rng: np.random.Generator, frame: Photograph, difficulty: float = 1.0) -> Photograph:
    """The same scene a moment later: same light, background and look, a little later in pose and expression."""
    d = difficulty
    return replace(
        frame,
        yaw=float(np.clip(frame.yaw + rng.normal(0, 0.09 * d), -0.95, 0.95)),
        pitch=float(np.clip(frame.pitch + rng.normal(0, 0.05 * d), -0.42, 0.42)),
        roll=float(frame.roll + rng.normal(0, 0.03 * d)),
        landmark_noise=rng.normal(0, 1.0 * d, (5, 2)),
        smile=float(np.clip(frame.smile + rng.normal(0, 0.15 * d), 0, 1)),
        jaw=float(np.clip(frame.jaw + rng.normal(0, 0.2 * d), 0, 1)),
        lids=0.1 if rng.random() < 0.05 * d else frame.lids,
        gaze=(float(np.clip(frame.gaze[0] + rng.normal(0, 0.1 * d), -0.8, 0.8)), frame.gaze[1]),
        motion=(float(rng.gamma(1.5, 1.2)) if rng.random() < 0.25 * d else 0.0, float(rng.uniform(0, np.pi))),
        grain=int(rng.integers(2**31)),
    )


def _shares(change: float) -> list[float]:
    """Probabilities of the usual look and two others, `change` each."""
    change = min(change, 1 / 3)
    return [1 - 2 * change, change, change]
