"""Versions of a labelled set with other numbers of identities and of faces per identity.

What is chosen or learned on one set of faces has to hold on others, so it is chosen and learned on several. Some are
subsets of the faces. Others have more identities or more faces per identity than there are, and these are simulated: a
face is its identity's centre plus a residual. New centres are random combinations of real centres. They have their
mean, their covariance, and as many lookalikes. Residuals are real ones. For new identities they are mirrored, so that
identities with residuals of one real person are no more alike than strangers.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from clustering.learning.labelled_faces import LabelledFaces
from clustering.partition import places_in_groups
from facerec.pipeline.embeddings import normalize

SMALL = 3
LARGE, LARGE_IDENTITIES = (20, 600), 24
CROWD, CROWD_LIMIT = 10, 3_000
MIXTURES = (2, 3, 4, 6, 8, 12, 20, 40)
MIN_FACES = 8


def versions(faces: LabelledFaces, seed: int, alike: bool = False) -> dict[str, LabelledFaces]:
    """Versions of a labelled set, by name.

    ``whole``; ``small``, one to three faces of every identity; ``tail``, a heavy-tailed share of every identity's
    faces, from one to all; ``large``, some identities with tens to hundreds of simulated faces each; ``crowd``, many
    simulated identities with a heavy tail of faces, most with one or two; ``mixed``, these two in one, as in found
    material, where a single face near a large identity may well be somebody else's. Subsets of fewer than `MIN_FACES`
    faces are left out.

    Args:
        faces: The labelled set.
        seed: Seed of the sampling.
        alike: See `crowd`: for learning, not for scoring.
    """
    random = np.random.default_rng(seed)
    _, inverse, sizes = np.unique(faces.labels, return_inverse=True, return_counts=True)
    rank = random_places(inverse, random)
    kept = {
        "small": random.integers(1, SMALL + 1, len(sizes)),
        "tail": np.ceil(sizes ** random.random(len(sizes))).astype(int),
    }
    found = {"whole": faces}
    for name, numbers in kept.items():
        rows = np.flatnonzero(rank < numbers[inverse])
        if len(rows) >= MIN_FACES:
            found[name] = LabelledFaces(faces.embeddings[rows], faces.labels[rows])
    heads, tails = large(faces, random), crowd(faces, random, alike)
    labels = np.append(heads.labels, tails.labels + heads.labels.max() + 1)
    mixed = LabelledFaces(np.vstack([heads.embeddings, tails.embeddings]), labels)
    return found | {"large": heads, "crowd": tails, "mixed": mixed}


def large(faces: LabelledFaces, random: np.random.Generator) -> LabelledFaces:
    """Real identities with many faces, see `new_faces_of`."""
    centres, residuals, inverse = centres_and_residuals(faces)
    sizes = np.bincount(inverse)
    identities = np.argsort(-sizes, kind="stable")[:LARGE_IDENTITIES]
    numbers = np.geomspace(*LARGE, len(identities)).astype(int)
    labels = np.repeat(random.permutation(identities), numbers)
    return LabelledFaces(new_faces_of(centres, residuals, inverse, labels, random), labels)


def new_faces_of(
    centres: np.ndarray, residuals: np.ndarray, inverse: np.ndarray, labels: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """New faces of real identities: the centre plus two of its own residuals, mixed at a random angle.

    Args:
        centres: float64 [c, d], see `centres_and_residuals`.
        residuals: float64 [n, d].
        inverse: int64 [n].
        labels: int64 [m], below c: the identity of each new face.
        random: Where residuals and angles are drawn from.

    Returns:
        float32 [m, d].
    """
    sizes = np.bincount(inverse)
    order, starts = np.argsort(inverse, kind="stable"), np.cumsum(sizes) - sizes
    first, second = (order[starts[labels] + random.integers(0, sizes[labels])] for _ in range(2))
    angle = random.random((len(labels), 1)) * (np.pi / 2)
    return normalize(centres[labels] + (np.cos(angle) * residuals[first] + np.sin(angle) * residuals[second]))


def crowd(faces: LabelledFaces, random: np.random.Generator, alike: bool = False) -> LabelledFaces:
    """Many new identities: new centres, each with faces that are spread like some of one real identity.

    Args:
        faces: The labelled set.
        random: Where all is drawn from.
        alike: Whether residuals are taken as they are. About ten new identities have those of the same real one and
            are then more alike than strangers are. What learns from such faces is the more careful: Hi-LANDER trained
            so on celeba299 reaches .968/.957 on LFW (Fp/Fb, five seeds), and .944/.947 without. A threshold chosen on
            them is too strict, see `transplanted`.
    """
    centres, residuals, inverse = centres_and_residuals(faces)
    count = min(CROWD * len(centres), CROWD_LIMIT)
    invented = invent(centres, count, random)
    donors = random.integers(0, len(centres), count)
    sizes = np.bincount(inverse)
    numbers = np.ceil(sizes[donors] ** (random.random(count) ** 2)).astype(int)
    labels = np.repeat(np.arange(count), numbers)
    order, starts = np.argsort(inverse, kind="stable"), np.cumsum(sizes) - sizes
    place = places_in_groups(numbers)
    if alike:
        lengths = np.linalg.norm(invented, axis=1)
        invented *= (np.linalg.norm(centres, axis=1)[donors] / np.where(lengths == 0, 1, lengths))[:, None]
        rows = order[starts[donors[labels]] + place]
        return LabelledFaces(normalize(invented[labels] + residuals[rows]), labels)
    place += random.integers(0, sizes[donors])[labels]
    donor = donors[labels]
    rows = order[starts[donor] + place % sizes[donor]]
    return LabelledFaces(transplanted(faces.embeddings, centres[inverse], rows, invented, labels, random), labels)


def transplanted(
    faces: np.ndarray, own: np.ndarray, rows: np.ndarray, centres: np.ndarray, labels: np.ndarray,
    random: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Faces around other centres, each with the cosine to its centre that a real face has to its own.

    What is left of a real face is at right angles to its own centre. For each new identity it is mirrored, with
    probability 1/2 each, in the principal axes of all such residuals. This keeps the spread of residuals and the
    likeness within an identity. Two identities with residuals of one real person are then no more alike than any two.
    Without mirrors a threshold chosen on such faces is too strict: made from 100 people of celeba299, a face has its
    nearest stranger at a cosine of 0.51. Among as many real people it is 0.42, and with mirrors 0.42, too.

    Args:
        faces: float32 [n, d], real faces.
        own: float64 [n, d], their identities' centres, of any length.
        rows: int64 [m], the real face that each new one is made from.
        centres: float64 [c, d], the new identities' centres, of any length.
        labels: int64 [m], the new identity of each.
        random: Where the mirrors are drawn from.

    Returns:
        float32 [m, d].
    """
    own, centres = normalize(own), normalize(centres)
    cosines = np.minimum((faces * own).sum(axis=1, keepdims=True), 1)
    residuals = faces - cosines * own
    axes = np.linalg.eigh(residuals.T @ residuals)[1]
    signs = random.choice(np.array([-1, 1], np.float32), size=(len(centres), len(axes)))
    mirrored = ((residuals @ axes)[rows] * signs[labels]) @ axes.T
    mirrored -= (mirrored * centres[labels]).sum(axis=1, keepdims=True) * centres[labels]
    cosines = cosines[rows]
    return normalize(cosines * centres[labels] + np.sqrt(1 - cosines**2) * normalize(mirrored))


def invent(centres: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """New centres with the mean and the covariance of the real ones, and about as many lookalikes.

    A new centre is the mean plus a random combination of a few real centres' deviations from it. The combination is as
    long as one of these deviations. The fewer are combined, the more alike some new centres are. `MIXTURES` has the
    numbers to try. With the one that is taken the nearest other centre is as near as among as many real ones, see
    `expected_nearest_cosine`.

    If new identities lay as far apart as Gaussian ones, a threshold chosen on them would be too loose. If deviations
    had other lengths, strangers of a recogniser whose faces all share a direction would lie twice as far apart as real
    ones.

    Args:
        centres: float64 [c, d], any length.
        count: Number of new centres.
        random: Where they are drawn from.

    Returns:
        float64 [count, d].
    """
    mean = centres.mean(axis=0)
    deviations = centres - mean
    lengths = np.linalg.norm(deviations, axis=1)[random.integers(0, len(centres), count)]

    def combined(parts: int) -> np.ndarray:
        weights, chosen = random.normal(size=count * parts), random.integers(0, len(centres), count * parts)
        starts = np.arange(0, len(chosen) + 1, parts)
        combination = csr_array((weights, chosen, starts), (count, len(centres)))
        return mean + lengths[:, None] * normalize(combination @ deviations)

    wanted = expected_nearest_cosine(centres[random.permutation(len(centres))[:count]], count)
    return min(map(combined, MIXTURES), key=lambda invented: abs(nearest_cosine(invented, count) - wanted))


def expected_nearest_cosine(centres: np.ndarray, count: int) -> float:
    """What `nearest_cosine` is likely to be among so many centres, by how it grows with their number.

    The largest of n Gaussian values grows as the square root of log n. On real faces this does so, too, approximately.
    One face each of 400 people of LFW gives 0.35, from which 0.44 follows for all 5,749; the true value is 0.43.
    """
    sizes = [len(centres) // part for part in (8, 4, 2) if len(centres) // part > 1] + [len(centres)]
    found = [nearest_cosine(centres, size) for size in sizes]
    if len(sizes) == 1:
        return found[0]
    slope, start = np.polyfit(np.sqrt(np.log(sizes)), found, 1)
    return min(float(start + slope * np.sqrt(np.log(count))), 1.0)


def nearest_cosine(centres: np.ndarray, together: int) -> float:
    """How near the nearest other centre is: the mean cosine, over all whole groups of so many centres."""
    groups = normalize(centres[: len(centres) // together * together]).reshape(-1, together, centres.shape[1])
    cosines = np.matmul(groups, groups.transpose(0, 2, 1))
    cosines[:, np.arange(together), np.arange(together)] = -1
    return float(cosines.max(axis=2).mean())


def centres_and_residuals(faces: LabelledFaces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres [c, d] (means of an identity's faces), each face's residual [n, d], and its identity's number [n]."""
    _, inverse, sizes = np.unique(faces.labels, return_inverse=True, return_counts=True)
    centres = np.zeros((len(sizes), faces.embeddings.shape[1]))
    np.add.at(centres, inverse, faces.embeddings)
    centres /= sizes[:, None]
    return centres, faces.embeddings - centres[inverse], inverse


def random_places(groups: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Int64 [n]: each row's place in a random order of its group; groups are numbered from 0."""
    order = np.lexsort((random.random(len(groups)), groups))
    rank = np.empty(len(groups), dtype=np.int64)
    rank[order] = places_in_groups(np.bincount(groups))
    return rank
