"""Who: the traits that fix one person's head, and the looks that the person wears from time to time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

SPREAD = 1.0
"""Scale of all differences between people; smaller is harder."""

CLIP = 2.2
"""Traits stay within this many standard deviations, so that every head is a possible one."""

# name: (mean, standard deviation between people, what is added for men and taken away for women).
# Lengths are in decimetres; the origin lies inside the head, below the eyes; x right, y down, z forward.
TRAITS: dict[str, tuple[float, float, float]] = {
    "skull_width": (0.77, 0.035, 0.01),
    "skull_depth": (0.90, 0.03, 0.0),
    "face_depth": (0.71, 0.025, 0.0),
    "jaw_width": (0.625, 0.045, 0.015),
    "jaw_length": (0.73, 0.05, 0.015),
    "jaw_angle": (0.01, 0.035, 0.015),
    "jaw_taper": (-0.045, 0.035, 0.01),
    "chin_out": (0.045, 0.035, 0.01),
    "chin_width": (0.16, 0.04, 0.02),
    "chin_cleft": (0.0, 0.012, 0.003),
    "cheekbone": (0.03, 0.03, -0.005),
    "cheek": (0.0, 0.035, 0.0),
    "forehead": (0.0, 0.03, -0.005),
    "temple": (-0.02, 0.02, 0.0),
    "brow_ridge": (0.035, 0.022, 0.012),
    "eye_apart": (0.312, 0.022, 0.003),
    "eye_y": (-0.25, 0.022, 0.0),
    "eye_width": (0.165, 0.014, -0.003),
    "eye_open": (0.064, 0.013, -0.006),
    "eye_tilt": (-0.05, 0.08, 0.01),
    "eye_crease": (0.045, 0.018, -0.003),
    "socket": (-0.085, 0.025, -0.005),
    "iris": (0.064, 0.004, 0.0),
    "nose_tip_y": (0.15, 0.04, 0.005),
    "nose_out": (0.25, 0.045, 0.012),
    "nose_bridge": (0.085, 0.03, 0.008),
    "nose_hump": (0.0, 0.022, 0.004),
    "nose_width": (0.085, 0.017, 0.005),
    "nose_wing": (0.135, 0.022, 0.006),
    "mouth_y": (0.44, 0.03, 0.003),
    "mouth_width": (0.250, 0.026, 0.006),
    "upper_lip": (0.052, 0.014, -0.006),
    "lower_lip": (0.068, 0.016, -0.006),
    "lip_out": (0.04, 0.014, -0.004),
    "muzzle": (0.02, 0.022, 0.0),
    "cupid": (0.35, 0.22, 0.0),
    "brow_up": (0.165, 0.022, -0.012),
    "brow_thick": (0.030, 0.009, 0.007),
    "brow_arch": (0.035, 0.02, -0.008),
    "brow_slope": (-0.03, 0.08, 0.02),
    "brow_width": (0.20, 0.02, 0.008),
    "brow_dark": (0.72, 0.16, 0.06),
    "ear": (0.11, 0.03, 0.01),
    "skew_eyes": (0.0, 0.008, 0.0),
    "skew_mouth": (0.0, 0.012, 0.0),
    "skew_nose": (0.0, 0.012, 0.0),
    "hairline": (0.88, 0.07, 0.0),
    "temple_hair": (0.0, 0.07, 0.03),
    "folds": (0.35, 0.25, 0.05),
    "eye_bags": (0.3, 0.22, 0.0),
    "ruddy": (0.0, 0.5, 0.1),
    "lip_colour": (0.0, 0.6, -0.3),
}


@dataclass(frozen=True)
class Look:
    """What a person can change from one day to the next.

    Attributes:
        hair: ``bald``, ``short``, ``fringe``, ``long``, ``swept`` or ``cap``.
        hair_length: Thickness of the hair in decimetres.
        parting: Where the hair parts, radians of azimuth.
        hair_colour: Linear RGB.
        beard: Strength of the beard, 0 to 1; moustache and chin are weighted by `beard_shape`.
        beard_shape: Weights of moustache, chin and cheeks.
        lipstick: 0 to 1.
        seed: For strands and edges.
    """

    hair: str
    hair_length: float
    parting: float
    hair_colour: tuple[float, float, float]
    beard: float
    beard_shape: tuple[float, float, float]
    lipstick: float
    seed: int


@dataclass(frozen=True)
class Person:
    """One identity.

    Attributes:
        traits: Value of every name in `TRAITS`.
        skin: Linear RGB albedo.
        iris_colour: Linear RGB.
        looks: The usual look first.
        glasses: Probability that a photograph shows glasses.
        frame: Width, height, roundness and thickness of the glasses, and their grey or brown tone.
        moles: (u, v, size) on the face map.
        freckles: 0 to 1.
        seed: For the skin's own unevenness.
        male: Whether the person is a man.
    """

    traits: dict[str, float]
    skin: np.ndarray
    iris_colour: np.ndarray
    looks: tuple[Look, ...]
    glasses: float
    frame: tuple[float, float, float, float, float]
    moles: np.ndarray
    freckles: float
    seed: int
    male: bool

    def __getitem__(self, name: str) -> float:
        return self.traits[name]


SKIN = np.array([[0.80, 0.53, 0.41], [0.66, 0.40, 0.28], [0.42, 0.22, 0.13], [0.16, 0.075, 0.045]])
HAIR = np.array(
    [[0.010, 0.008, 0.008], [0.045, 0.024, 0.014], [0.13, 0.07, 0.035], [0.42, 0.27, 0.13], [0.35, 0.34, 0.33]]
)
IRIS = np.array(
    [[0.035, 0.017, 0.010], [0.11, 0.055, 0.025], [0.12, 0.14, 0.06], [0.14, 0.22, 0.30], [0.22, 0.26, 0.28]]
)
STYLES = ("bald", "short", "fringe", "long", "swept", "cap")


def draw_person(rng: np.random.Generator) -> Person:
    """A random person."""
    male = bool(rng.random() < 0.5)
    normals = np.clip(rng.standard_normal(len(TRAITS)), -CLIP, CLIP)
    traits = {
        name: float(mean + SPREAD * deviation * normal + (sex if male else -sex))
        for (name, (mean, deviation, sex)), normal in zip(TRAITS.items(), normals, strict=True)
    }
    melanin = rng.beta(1.1, 1.5)
    skin = _between(SKIN, melanin) * np.exp(rng.normal(0, [0.05, 0.05, 0.09]))
    iris = _between(IRIS, np.clip(rng.beta(1.0, 1.6) * (1.35 - 1.2 * melanin), 0, 1))
    first = draw_look(rng, male, melanin)
    looks = (first, _change(first, rng, male, melanin), _change(first, rng, male, melanin))
    return Person(
        traits=traits,
        skin=skin,
        iris_colour=iris,
        looks=looks,
        glasses=float(rng.choice([0.03, 0.5, 0.9], p=[0.68, 0.17, 0.15])),
        frame=(
            float(rng.normal(0.25, 0.012)),
            float(rng.uniform(0.12, 0.18)),
            float(rng.uniform(2.2, 5.0)),
            float(rng.uniform(0.006, 0.018)),
            float(rng.beta(0.8, 2.0)),
        ),
        moles=np.column_stack([rng.uniform(-0.6, 0.6, 4), rng.uniform(-0.55, 0.7, 4), rng.uniform(0.009, 0.02, 4)])[
            : rng.integers(0, 5)
        ],
        freckles=float(max(0.0, rng.normal(-0.2, 0.5)) * (1 - melanin)),
        seed=int(rng.integers(2**31)),
        male=male,
    )


def draw_look(rng: np.random.Generator, male: bool, melanin: float) -> Look:
    """A random look."""
    weights = [0.12, 0.52, 0.12, 0.05, 0.17, 0.02] if male else [0.005, 0.12, 0.20, 0.42, 0.235, 0.02]
    hair = str(rng.choice(STYLES, p=weights))
    dark = np.clip(rng.beta(1.2, 1.4) * (1.1 - melanin), 0, 1)
    colour = _between(HAIR[:4], dark) if rng.random() < 0.88 else HAIR[4] * rng.uniform(0.5, 1.2)
    return Look(
        hair=hair,
        hair_length=float(rng.uniform(0.03, 0.12) if hair in ("bald", "short") else rng.uniform(0.08, 0.17)),
        parting=float(rng.normal(0, 0.35)),
        hair_colour=_triple(colour),
        beard=float(rng.choice([0, rng.uniform(0.1, 0.45), rng.uniform(0.6, 0.95)], p=[0.5, 0.3, 0.2]))
        if male
        else 0.0,
        beard_shape=_triple(rng.choice([1.0, 0.15], 3, p=[0.75, 0.25])),
        lipstick=0.0 if male else float(rng.choice([0.0, 0.35, 0.8], p=[0.45, 0.35, 0.2])),
        seed=int(rng.integers(2**31)),
    )


def _change(look: Look, rng: np.random.Generator, male: bool, melanin: float) -> Look:
    """Another day's look: another style and beard, mostly the same colour of hair."""
    other = draw_look(rng, male, melanin)
    colour = look.hair_colour if rng.random() < 0.7 else other.hair_colour
    return replace(other, hair_colour=colour)


def _between(palette: np.ndarray, position: float) -> np.ndarray:
    """A colour between the palette's entries, mixed in the logarithm, `position` from 0 to 1."""
    steps = np.linspace(0, 1, len(palette))
    return np.exp([np.interp(position, steps, np.log(channel)) for channel in palette.T])


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third
