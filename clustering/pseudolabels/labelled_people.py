"""Finds the unlabelled faces of people who are labelled already, so that nobody is taught as two classes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustering.graph.copies import SAME
from clustering.learning.labelled_faces import LabelledFaces
from clustering.partition import consecutive
from clustering.similarity.centres import centres, nearest
from facerec.pipeline.counts import counted
from facerec.pipeline.embeddings import readable_rows

logger = logging.getLogger(__name__)

LEAST_PEOPLE = 3
"""With fewer, no person has two others to be compared with."""
COHORT = 10
"""People near a face whose mean cosine counts against it."""
RIVAL, STRANGERS = 0.5, 0.5
"""Weights of r and s in the score, see `find_labelled_people`. They and `COHORT` were chosen on random draws of LFW's
people other than those that benchmarks/pseudolabels.py measures."""


@dataclass(frozen=True)
class Overlap:
    """Which unlabelled faces belong to which labelled person.

    Attributes:
        person: int64 [n]: the label of that person, -1 for nobody.
        score: float32 [n], see `find_labelled_people`.
        threshold: Least score of a face that is found by itself.
    """

    person: np.ndarray
    score: np.ndarray
    threshold: float

    def summary(self) -> dict[str, Any]:
        """Faces and people found, and the threshold; for JSON."""
        found = self.person >= 0
        return {
            "threshold": round(self.threshold, 6),
            "faces": int(found.sum()),
            "people": len(np.unique(self.person[found])),
        }


def find_labelled_people(
    embeddings: np.ndarray,
    labels: np.ndarray,
    labelled: LabelledFaces,
    false_match: float,
    others: LabelledFaces | None = None,
) -> Overlap:
    """Finds the unlabelled faces of labelled people.

    The score of a face for a person is ``cosine - RIVAL * r - STRANGERS * s``:

    - ``cosine``: of the face with the person's centre;
    - ``r``: of that centre with the nearest cluster that the face is not in. A person's own faces are nearer to the
      centre than a lookalike's;
    - ``s``: the face's mean cosine with the next `COHORT` people.

    The threshold is the smallest that at most a share `false_match` of other people's faces reach, every person
    counting alike (`_threshold`). The other people are `others`, or else the labelled faces, each scored against all
    people but its own. If more than half of a cluster's faces reach it for one person, its other faces are that
    person's, too.

    Args:
        embeddings: float32 [n, d], unit rows, or zero rows for faces that could not be read.
        labels: int64 [n], clusters, consecutive from 0; unassigned faces (-1) are clusters of one.
        labelled: By the same recogniser, of `LEAST_PEOPLE` or more.
        false_match: Share of other people's faces that may be taken for a labelled person's.
        others: Faces of people who are not among the labelled ones. A recogniser that was trained on the labelled
            people keeps these apart better than it does others. With `others` the threshold holds for people like them.
    """
    people, number = np.unique(labelled.labels, return_inverse=True)
    persons, _, _ = centres(labelled.embeddings, number)
    cluster = consecutive(np.where(labels >= 0, labels, labels.max(initial=-1) + 1 + np.arange(len(labels))))
    rivals = _Rivals.of(persons, centres(embeddings, cluster)[0])
    readable = readable_rows(embeddings)
    who, score = _score(*nearest(embeddings, persons, COHORT + 1), rivals, cluster)
    score = np.where(readable, score, -np.inf).astype(np.float32)
    if others is None:
        near = _without_own(*nearest(labelled.embeddings, persons, COHORT + 2), number)
    else:
        number = np.unique(others.labels, return_inverse=True)[1]
        near = nearest(others.embeddings, persons, COHORT + 1)
    _, impostors = _score(*near, rivals, np.full(len(number), -1))
    threshold = _threshold(impostors, number, false_match)
    person = _vote(np.where(readable & (score >= threshold), who, -1), labels)
    return Overlap(np.where(person >= 0, people[person], -1), score, threshold)


def without_labelled(others: LabelledFaces, labelled: LabelledFaces) -> LabelledFaces | None:
    """The faces of people who share no face with the labelled people; None if fewer than two people are left.

    A labelled person's own faces would set the threshold so high that nobody is found. Says how many people are left
    out, unless the two sets are of the same people.
    """
    people, number = np.unique(others.labels, return_inverse=True)
    ours, own = np.unique(labelled.labels, return_inverse=True)
    alike, _ = nearest(centres(others.embeddings, number)[0], centres(labelled.embeddings, own)[0], 1)
    theirs, mine = (_rows_of(each, count) for each, count in ((number, len(people)), (own, len(ours))))
    shared = np.zeros(len(people), bool)
    for person, rows in enumerate(theirs):
        cosines = others.embeddings[rows] @ labelled.embeddings[mine[alike[person, 0]]].T
        shared[person] = cosines.max() >= SAME
    if not shared.any():
        return others
    kept = ~shared[number]
    if kept.any():
        logger.warning(
            "calibration: %s of %d share a face with the labelled people, and are left out where --overlap is measured",
            counted(int(shared.sum()), "person"), len(people),
        )  # fmt: skip
    return LabelledFaces(others.embeddings[kept], others.labels[kept]) if np.count_nonzero(~shared) > 1 else None


def _rows_of(number: np.ndarray, count: int) -> list[np.ndarray]:
    """The rows of each of so many people."""
    order = np.argsort(number, kind="stable")
    return np.split(order, np.cumsum(np.bincount(number, minlength=count))[:-1])


@dataclass(frozen=True)
class _Rivals:
    """The two clusters nearest to each person: int64 and float32 [people, 2]; cosine 0 where there is none."""

    clusters: np.ndarray
    cosines: np.ndarray

    @classmethod
    def of(cls, persons: np.ndarray, clusters: np.ndarray) -> _Rivals:
        ids, cosines = nearest(persons, clusters, 2)
        return cls(ids, np.where(ids < 0, 0, cosines))

    def cosine(self, person: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Float32 [n]: of each person's nearest cluster other than `own`."""
        first = self.clusters[person, 0] != own
        return np.where(first, self.cosines[person, 0], self.cosines[person, 1])


def _score(ids: np.ndarray, cosines: np.ndarray, rivals: _Rivals, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The person [n] and the score [n] of faces, given the people nearest to them [n, k] and their clusters [n].

    Of the two nearest people the one with the higher ``cosine - RIVAL * r`` is taken.
    """
    rows = np.arange(len(ids))
    first = [cosines[:, j] - RIVAL * rivals.cosine(ids[:, j], own) for j in (0, 1)]
    best = np.argmax(first, axis=0)
    cohort = min(COHORT, len(rivals.clusters) - 2)
    strangers = (cosines[:, : cohort + 1].sum(axis=1) - cosines[rows, best]) / cohort
    return ids[rows, best], np.max(first, axis=0) - STRANGERS * strangers


def _threshold(scores: np.ndarray, number: np.ndarray, share: float) -> float:
    """The smallest threshold that at most a share of the scores [m] reach; a person's scores weigh 1 together.

    One more person counts as above all scores. Then the share holds on average for people who were not looked at, even
    if there are few (conformal prediction, Vovk et al. 2005). For a share of 1 it is -inf, which everybody reaches.
    """
    if share >= 1:
        return -np.inf
    people = int(number.max()) + 1
    order = np.argsort(-scores, kind="stable")
    reached = np.cumsum((1 / np.bincount(number))[number[order]])
    place = int(np.searchsorted(reached, share * (people + 1) - 1 + 1e-9, side="right"))
    return float(np.nextafter(np.float32(scores[order[min(place, len(order) - 1)]]), np.float32(np.inf)))


def _without_own(ids: np.ndarray, cosines: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same lists with the face's own person moved out, in the last place."""
    order = np.argsort(ids == own[:, None], axis=1, kind="stable")[:, :-1]
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(cosines, order, axis=1)


def _vote(person: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Int64 [n]: `person`; for faces without one that of more than half of their cluster."""
    rows = np.flatnonzero((person >= 0) & (labels >= 0))
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    cells, votes = np.unique(np.stack([labels[rows], person[rows]]), axis=1, return_counts=True)
    most = votes > sizes[cells[0]] / 2
    elected = np.full(len(sizes) + 1, -1)  # its last entry is for unassigned faces
    elected[cells[0, most]] = cells[1, most]
    chosen = elected[labels]
    return np.where(person >= 0, person, chosen)
