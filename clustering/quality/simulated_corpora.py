"""Simulated corpora of many kinds, from which the estimate of quality learns how errors show without labels.

`clustering.learning.simulated` simulates recognisers that a linkage model learns from. Here the range is wider, because
the estimate must know corpora in which clustering goes wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.learning.labelled_faces import LabelledFaces
from clustering.learning.simulated import spectrum
from facerec.pipeline.embeddings import normalize

FACES = (150, 7000)
DIMENSIONS = (48, 1024)
DIRECTIONS = (8, 250)
"""Range of the number of directions that a recogniser really uses."""
TIDY = 0.65
"""Share of tidy recognisers, see `recogniser`."""
GENUINE, WILD_GENUINE = (0.35, 0.85), (0.2, 0.8)
"""Ranges of the mean cosine of two faces of one identity, of tidy recognisers and of others."""
COMMON = 0.9
"""Largest cosine that all faces of a corpus share."""
SIZES = ("few", "tail", "equal", "power", "large", "mixed")
"""Kinds of `faces_per_identity`."""


@dataclass(frozen=True)
class SimulatedRecogniser:
    """How a simulated recogniser embeds faces.

    Attributes:
        between: float64 [d], the standard deviations of identities' centres.
        within: float64 [d], those of a face around its centre, times its scale.
        mean: float64 [d], what all faces share.
        scale: The usual distance of a face from its centre, of centres of unit length.
        uneven: How far identities' scales differ, and faces' scales: standard deviations of their logarithms.
        looks: How many looks an identity has, and the share of the residual that belongs to them.
        kin: The share of a centre that it has in common with its group, and the identities of a group.
        bad: The share of faces that are hardly recognisable, and how many kinds of such faces there are.
    """

    between: np.ndarray
    within: np.ndarray
    mean: np.ndarray
    scale: float
    uneven: tuple[float, float]
    looks: tuple[int, float]
    kin: tuple[float, int]
    bad: tuple[float, int]


def corpus(random: np.random.Generator) -> LabelledFaces:
    """Simulated people, as a simulated recogniser embeds them, with some wrong labels, as real sets have."""
    numbers = faces_per_identity(str(random.choice(SIZES)), log_uniform(random, *FACES), random)
    labels = np.repeat(np.arange(len(numbers)), numbers)
    faces = embedded(labels, recogniser(random), random)
    return LabelledFaces(faces, with_errors(labels, random.choice([0, 0.002, 0.005, 0.015]), random))


def recogniser(random: np.random.Generator) -> SimulatedRecogniser:
    """Draws one: its dimension, the directions that it uses, a common mean, how alike genuine faces are, and so on.

    Most are tidy, like recognisers of faces on faces that a detector found. The others have outliers, kin and
    identities in parts, like embeddings of sentences that are grouped by intent.
    """
    tidy = random.random() < TIDY
    d = round(log_uniform(random, *DIMENSIONS))
    directions = log_uniform(random, DIRECTIONS[0], min(0.6 * d, DIRECTIONS[1]))
    between, within = spectrum(d, directions), spectrum(d, min(directions * random.uniform(0.7, 2.5), d))
    if random.random() < 0.5:
        within = random.permutation(within)
    common = random.choice([random.uniform(0, 0.08), random.uniform(0, COMMON)])
    length = np.sqrt(common / (1 - common))
    genuine = random.uniform(*(GENUINE if tidy else WILD_GENUINE))
    most_uneven, most_held, most_kin, most_bad = (0.45, 0.6, 0.4, 0.02) if tidy else (0.7, 0.9, 0.75, 0.15)
    return SimulatedRecogniser(
        between, within, length * normalize(random.normal(size=(1, d)) * between)[0], np.sqrt(1 / genuine - 1),
        (random.uniform(0.05, 0.3), random.uniform(0.05, most_uneven)),
        (int(random.integers(2, 7)), random.choice([0, random.uniform(0, most_held)])),
        (random.choice([0, random.uniform(0, most_kin)]), int(random.integers(2, 12))),
        (random.choice([0, random.uniform(0, most_bad)]), int(random.integers(1, 6))),
    )  # fmt: skip


def embedded(labels: np.ndarray, how: SimulatedRecogniser, random: np.random.Generator) -> np.ndarray:
    """Float32 [n, d], unit rows: a face of each of the identities 0, 1, ... that int64 [n] names."""
    identities, d = int(labels.max()) + 1, len(how.between)
    share, together = how.kin
    own = random.normal(size=(identities, d))
    groups = random.normal(size=(identities // together + 1, d))[random.permutation(identities) // together]
    centres = normalize((np.sqrt(1 - share) * own + np.sqrt(share) * groups) * how.between)
    count, held = how.looks
    looks = random.normal(size=(identities, count, d))[labels, random.integers(0, count, len(labels))]
    residuals = (np.sqrt(1 - held) * random.normal(size=(len(labels), d)) + np.sqrt(held) * looks) * how.within
    scales = how.scale * np.exp(how.uneven[0] * random.normal(size=identities))[labels]
    scales = scales * np.exp(how.uneven[1] * random.normal(size=len(labels)))
    faces = centres[labels] + scales[:, None] * residuals
    share, kinds = how.bad
    bad = np.flatnonzero(random.random(len(labels)) < share)
    kind = normalize(random.normal(size=(kinds, d)) * how.between)[random.integers(0, kinds, len(bad))]
    mixed = random.uniform(0.2, 0.8, (len(bad), 1))
    faces[bad] = mixed * faces[bad] + (1 - mixed) * (1 + how.scale) * kind
    return normalize(faces + how.mean)


def faces_per_identity(kind: str, faces: float, random: np.random.Generator) -> np.ndarray:
    """Int64 [identities]: how many faces each has, about so many in all.

    Args:
        kind: ``few``, one to eight; ``tail``, a lognormal distribution; ``equal``, about as many each; ``power``, most
            have one and some hundreds; ``large``, up to 40 of very different size; ``mixed``, such ones among ``few``.
        faces: All together.
        random: Where numbers are drawn from.
    """
    if kind == "mixed":
        some = faces_per_identity("large", 0.5 * faces, random)
        return np.concatenate([some, faces_per_identity("few", 0.5 * faces, random)])
    if kind == "large":
        identities = int(random.integers(10, 40))
        numbers = np.geomspace(1, random.uniform(3, 30), identities)
        return np.maximum(np.rint(numbers * faces / numbers.sum()), 1).astype(np.int64)
    most = int(faces) + 1
    if kind == "few":
        numbers = np.minimum(random.geometric(random.uniform(0.25, 0.6), most), 8)
    elif kind == "tail":
        numbers = random.lognormal(random.uniform(1, 3), random.uniform(0.5, 1.1), most)
    elif kind == "equal":
        numbers = log_uniform(random, 5, 150) * random.uniform(0.7, 1.3, most)
    else:
        numbers = random.pareto(random.uniform(0.9, 1.6), most) + 1
    numbers = np.clip(np.rint(numbers), 1, max(faces / 12, 8)).astype(np.int64)
    return numbers[: max(int(np.searchsorted(np.cumsum(numbers), faces)), 5)]


def with_errors(labels: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Labels of which this share is somebody else's."""
    wrong = random.random(len(labels)) < share
    return np.where(wrong, random.permutation(labels), labels)


def log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    """A number between both whose logarithm is uniform."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))
