"""Embeddings of simulated recognisers: data that anyone can have, to learn linking from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clustering.learning.labelled_faces import LabelledFaces
from clustering.settings import check_choice
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.values import check_type

SHAPES = ("tail", "crowd", "large", "mixed")
DIMENSIONS = (64, 128, 256, 512)
FEWEST_DIRECTIONS, MOST_DIRECTIONS = 15, 200
"""Range of the number of directions that a recogniser really uses, whatever the dimension."""
GENUINE = (0.4, 0.8)
"""Range of a corpus's mean cosine of two faces of one identity."""
MODES = 4
"""Looks of an identity."""
FAMILY, MOST_FAMILIAR = (4, 12), 0.6
"""Identities of a family, and the largest share of a centre that is its family's."""


def recognisers(count: int, seed: int) -> Iterator[LabelledFaces]:
    """Corpora as several recognisers might embed them, each of one of the `SHAPES` in turn.

    Args:
        count: Number of corpora.
        seed: Seed of everything; each corpus has its own.
    """
    for number in range(count):
        yield corpus(SHAPES[number % len(SHAPES)], np.random.default_rng((seed, number)))


def corpus(shape: str, random: np.random.Generator) -> LabelledFaces:
    """Identities around their centres, as a simulated recogniser embeds them.

    Drawn for the recogniser: the embedding's dimension, the number of directions that it really uses, how near all
    faces are to one mean, and how similar two faces of an identity are. That similarity varies between identities and
    between faces. Part of a face's residual belongs to one of its identity's few looks (an age, a beard), so identities
    have clusters within. In about half of the corpora identities come in families, whose centres are alike: as intents
    of one domain, or people of one kind.

    Args:
        shape: ``tail``, 500 identities with a heavy tail of faces; ``crowd``, 3,000 with one to eight faces;
            ``large``, 24 with 20 to 600; ``mixed``, 12 such and 2,000 with one to eight.
        random: Where everything is drawn from.

    Raises:
        InputError: Another shape, or no generator.
    """
    check_choice("shape", shape, SHAPES)
    check_type("random", random, np.random.Generator)
    d = int(random.choice(DIMENSIONS))
    most = min(0.6 * d, MOST_DIRECTIONS)
    directions = np.exp(random.uniform(np.log(FEWEST_DIRECTIONS), np.log(most)))
    numbers = faces_per_identity(shape, random)
    labels = np.repeat(np.arange(len(numbers)), numbers)
    between = spectrum(d, directions)
    centres = normalize(random.normal(size=(len(numbers), d)) * between)
    centres = in_families(centres, between, random.spawn(1)[0])
    mean = normalize(random.normal(size=(1, d)) * between) * random.uniform(0, 0.3)
    within = spectrum(d, min(directions * random.uniform(1, 2), d))
    scale = np.sqrt(1 / random.uniform(*GENUINE) - 1)
    scales = scale * np.exp(random.uniform(0.1, 0.25) * random.normal(size=len(numbers)))[labels]
    scales = scales * np.exp(random.uniform(0.1, 0.3) * random.normal(size=len(labels)))
    share = random.uniform(0, 0.6)
    looks = random.normal(size=(len(numbers), MODES, d))[labels, random.integers(0, MODES, len(labels))]
    residuals = np.sqrt(1 - share) * random.normal(size=(len(labels), d)) + np.sqrt(share) * looks
    return LabelledFaces(normalize(centres[labels] + mean + scales[:, None] * residuals * within), labels)


def in_families(centres: np.ndarray, between: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The same centres, or centres of which a share of up to `MOST_FAMILIAR` belongs to families of a few.

    Args:
        centres: float64 [c, d], unit rows.
        between: float64 [d]: standard deviations of centres along the axes.
        random: Where families are drawn from.
    """
    if random.random() < 0.5:
        return centres
    share, count = random.uniform(0.1, MOST_FAMILIAR), max(2, len(centres) // int(random.integers(*FAMILY)))
    families = normalize(random.normal(size=(count, centres.shape[1])) * between)
    return normalize(np.sqrt(1 - share) * centres + np.sqrt(share) * families[random.integers(0, count, len(centres))])


def faces_per_identity(shape: str, random: np.random.Generator) -> np.ndarray:
    """Int64 [identities]: numbers of faces, see `corpus`."""
    if shape == "large":
        return np.geomspace(20, 600, 24).astype(np.int64)
    if shape == "crowd":
        return np.minimum(random.geometric(0.4, 3000), 8)
    if shape == "mixed":
        return np.append(np.geomspace(20, 600, 12).astype(np.int64), np.minimum(random.geometric(0.4, 2000), 8))
    return np.clip(np.rint(random.lognormal(2.0, 0.9, 500)), 1, 200).astype(np.int64)


def spectrum(dimension: int, directions: float) -> np.ndarray:
    """Standard deviations along the axes, falling exponentially, of total variance 1.

    Args:
        dimension: Number of axes.
        directions: About their participation ratio: so many equal axes would spread faces as much.
    """
    deviations = np.exp(-np.arange(dimension) / directions)
    return np.asarray(deviations / np.linalg.norm(deviations))
