"""Galleries and probes drawn from a labelled set: an open-set search as IJB-C has it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.all_pairs.units import Units
from eval.metrics.fnir import Identification, search_galleries
from facerec.pipeline.keys import plain_key


@dataclass(frozen=True)
class Draw:
    """Which units are enrolled and which are searched; positions of units.

    Attributes:
        galleries: One unit of each enrolled subject; two galleries of different subjects.
        probes: All other units.
    """

    galleries: tuple[np.ndarray, np.ndarray]
    probes: np.ndarray


def draw_galleries(units: Units, seed: int) -> Draw:
    """Enrols one unit of each subject that has two: half of these subjects in one gallery, half in the other.

    A subject with one unit is enrolled nowhere: its unit is a non-mated probe in both.

    Args:
        units: The units; at least two subjects have two.
        seed: Draws the units, and the halves.
    """
    generator = np.random.default_rng(seed)
    several = np.flatnonzero(units.sizes > 1)
    first = np.searchsorted(units.subject, several)
    enrolled = first + generator.integers(0, units.sizes[several])
    order = generator.permutation(len(several))
    halves = [np.sort(enrolled[part]) for part in np.array_split(order, 2)]
    return Draw((halves[0], halves[1]), np.setdiff1d(np.arange(len(units)), enrolled))


def digest(units: Units, draw: Draw, keys: Sequence[str] | None) -> str:
    """A hash of what is compared and searched: the people's faces in their order, and the galleries.

    Args:
        units: The units. Each counts as its first face.
        draw: Galleries and probes.
        keys: Names of the faces, by embedding row; without them the rows count.
    """
    faces = units.face.tolist()
    names = faces if keys is None else [plain_key(keys[row]) for row in faces]
    text = repr([names, units.subject.tolist(), *(gallery.tolist() for gallery in draw.galleries)])
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def search_drawn(units: Units, draw: Draw, rates: list[float]) -> Identification:
    """Searches the probes in both galleries."""
    subject = units.subject.astype(np.int64)
    galleries = [(units.features[rows], subject[rows]) for rows in draw.galleries]
    return search_galleries(units.features[draw.probes], subject[draw.probes], galleries, rates)
