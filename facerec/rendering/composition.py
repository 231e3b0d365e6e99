"""Which photographs a corpus has: identities, numbers of photographs, file names. Nothing is rendered here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facerec.pipeline.arguments import Seed
from facerec.pipeline.files import InputError
from facerec.rendering.ijb_files import ProtocolFace, plan_media

SPLITS = {"labelled": 0, "unlabelled": 1, "test": 2, "composition": 3, "validation": 4}
TAIL = 0.8
FEWEST, MOST = 2, 60
TEST_FACES = (6, 16)
LIMITS = {
    "labelled": (1, 10**5), "validation": (1, 10**5), "unlabelled": (1, 10**5), "strangers": (0, 10**6),
    "test": (4, 10**5), "faces_per_identity": (FEWEST, MOST), "size": (32, 512), "difficulty": (0, 2),
    "seed": (0, 2**63),
}  # fmt: skip


@dataclass(frozen=True)
class Composition:
    """What a corpus is made of.

    Attributes:
        labelled: Labelled identities, to train recognisers on.
        validation: Labelled identities that no recogniser is trained on, to choose clusterings on.
        unlabelled: Unlabelled identities.
        strangers: Further unlabelled identities with a single photograph each, as found material has them.
        test: Test identities, at least 4; each has 6 to 16 photographs.
        faces_per_identity: Mean of the heavy-tailed (log-normal) number of photographs of a labelled or unlabelled
            identity; the numbers themselves lie between 2 and 60.
        size: Width and height of a crop in pixels.
        difficulty: Scale of pose, light, noise, occlusion and changes of appearance; 0 is passport photographs.
        seed: Seed of everything.

    Raises:
        InputError: One of them lies outside its `LIMITS`.
    """

    labelled: int = 200
    validation: int = 80
    unlabelled: int = 300
    strangers: int = 0
    test: int = 200
    faces_per_identity: float = 12.0
    size: int = 112
    difficulty: float = 1.0
    seed: Seed = 0

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            if not least <= getattr(self, name) <= most:
                raise InputError(f"--{name} {getattr(self, name)}: must lie between {least} and {most}")


def generator_of(*key: int) -> np.random.Generator:
    """A generator of its own for every key, so that parts do not depend on each other."""
    return np.random.default_rng(np.random.SeedSequence(key[0], spawn_key=key[1:]))


def face_counts(rng: np.random.Generator, identities: int, mean: float) -> np.ndarray:
    """Heavy-tailed numbers of photographs, int64 [identities]."""
    normal = rng.lognormal(np.log(mean) - TAIL**2 / 2, TAIL, identities)
    return np.clip(np.rint(normal), FEWEST, MOST).astype(np.int64)


def compose_test(
    rng: np.random.Generator, identities: int
) -> tuple[list[list[str]], list[tuple[int, ...]], list[ProtocolFace]]:
    """Names and media of every test identity's photographs, and the same as rows of the protocol, by name."""
    plans = [plan_media(rng, int(rng.integers(TEST_FACES[0], TEST_FACES[1] + 1))) for _ in range(identities)]
    places = rng.permutation(sum(map(len, plans)))
    names, media, faces = [], [], []
    templates = taken = shot = 0
    for subject, plan in enumerate(plans):
        names.append([f"{place:06d}.jpg" for place in places[shot : shot + len(plan)]])
        media.append(tuple(m for _, m in plan))
        faces += [
            ProtocolFace(name, subject, templates + template, taken + m)
            for name, (template, m) in zip(names[-1], plan, strict=True)
        ]
        templates += 1 + max(template for template, _ in plan)
        taken += 1 + plan[-1][1]
        shot += len(plan)
    return names, media, faces


def compose_named(rng: np.random.Generator, identities: int, mean: float) -> list[list[str]]:
    """Names of every identity's photographs, in a folder an identity."""
    counts = face_counts(rng, identities, mean)
    return [[f"id{identity:05d}/{number:03d}.jpg" for number in range(n)] for identity, n in enumerate(counts)]


def compose_shuffled(rng: np.random.Generator, counts: np.ndarray) -> tuple[list[list[str]], np.ndarray]:
    """Names that say nothing about the identity.

    Args:
        rng: Source of chance.
        counts: int64 [identities], photographs of each.

    Returns:
        Names of every identity's photographs, and the identity of each photograph by name, int64 [n].
    """
    order = rng.permutation(counts.sum())
    owner = np.repeat(np.arange(len(counts)), counts)
    truth = np.empty(len(order), np.int64)
    truth[order] = owner
    return [[f"{place:06d}.jpg" for place in order[owner == i]] for i in range(len(counts))], truth
