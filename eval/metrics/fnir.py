"""1:N identification in an open set: FNIR at FPIR, ranks, and the IET and CMC curves.

A probe is searched in a gallery, which has one feature per subject. Its score with a subject is their cosine. The probe
is *mated* if its own subject (the mate) is enrolled.

    rank of a mated probe = 1 + number of other subjects that score at least as high as its mate
    FPIR(t) = share of non-mated probes whose highest score is >= t
    FNIR(t) = share of mated probes whose mate does not have rank 1, or scores < t
    FNIR at FPIR = f: FNIR(t) at the smallest t for which FPIR(t) <= f

A tie counts against the probe. Each gallery has its own t. Figures of several galleries are averaged.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from eval.metrics.operating_point import OperatingPoint, check_rates, curve_rates, operating_point
from eval.metrics.pair_scores import rounded
from eval.metrics.templates import pool_subjects, unit_rows
from facerec.pipeline.counts import counted
from facerec.pipeline.files import InputError, row_blocks
from facerec.pipeline.values import as_array, as_labels, shown, whole

logger = logging.getLogger(__name__)
PROBES_PER_BLOCK = 2048
SUBJECTS_PER_BLOCK = 4096
MOST_RANKS = 50
SAME_FACE = 1 - 1e-6
Points = dict[float, tuple[OperatingPoint, ...]]
"""FPIR to threshold, false positives (`accepted`) and misses (`rejected`) in each gallery."""


@dataclass(frozen=True)
class Search:
    """All probes searched in one gallery.

    Attributes:
        mate_scores: float32 [mated].
        ranks: int64 [mated], from 1.
        highest: float32 [nonmated], the highest score of each non-mated probe, in ascending order.
        subjects: Number of subjects enrolled.
        mated: bool [p], which of the probes are mated.
        nonmated_scores: float32 [nonmated], the highest scores in the order of the probes.
    """

    mate_scores: np.ndarray
    ranks: np.ndarray
    highest: np.ndarray
    subjects: int
    mated: np.ndarray
    nonmated_scores: np.ndarray

    @cached_property
    def hits(self) -> np.ndarray:
        """float32 [mated], ascending: the mate's score, or -inf if its rank is not 1, so that no threshold finds it."""
        return np.sort(self.hit_scores)

    @property
    def hit_scores(self) -> np.ndarray:
        """The same in the order of the probes."""
        return np.where(self.ranks == 1, self.mate_scores, np.float32(-np.inf))

    def found_up_to(self, rank: int) -> float:
        """Share of mated probes whose mate has at most this rank: a point of the CMC curve."""
        return float(np.mean(self.ranks <= rank))


@dataclass(frozen=True)
class Identification:
    """The figures of 1:N identification, as fractions.

    Attributes:
        searches: The search in each gallery, in the order of the galleries.
        points: For each FPIR the thresholds in the galleries, and their errors.
    """

    searches: tuple[Search, ...]
    points: Points

    @property
    def fnir(self) -> dict[float, float]:
        """FNIR for each FPIR, averaged over the galleries."""
        return mean_fnir(self.points)

    def rank(self, k: int) -> float:
        """Share of mated probes whose mate has rank k or better, averaged over the galleries.

        Raises:
            InputError: `k` is not a whole number from 1 on.
        """
        k = whole("k", k, 1)
        return float(np.mean([search.found_up_to(k) for search in self.searches]))


def identification(
    features: Any, subjects: Any, *galleries: tuple[Any, Any], fpirs: Sequence[float] = (1e-2,)
) -> Identification:
    """Searches probes in one or more galleries, and computes FNIR at each FPIR, and ranks.

    It warns of probes that seem to be the enrolled faces themselves.

    Args:
        features: Of the probes, float [p, d]; unit or zero rows, others are normalised.
        subjects: int [p], who each probe is; -1 for somebody who is in no gallery. Other negative numbers are people.
        *galleries: (features, subjects) each, float [t, d] and int [t], none -1. Rows of one subject are pooled
            (`pool_subjects`).
        fpirs: False positive identification rates, each in [0, 1]; none for ranks alone.

    Raises:
        InputError: NaN or infinite values (naming the row), lengths that differ, or a rate that is not in [0, 1]. No
            gallery, one with a subject -1, or one in which no probe has a mate. With rates also one in which
            every probe has a mate.

    Example:
        >>> enrolled, faces = np.eye(3)[:2], np.eye(3) + .1   # three people; only 7 and 8 are enrolled
        >>> found = identification(faces, [7, 8, 9], (enrolled, [7, 8]), fpirs=(.1,))
        >>> found.fnir, found.rank(1)
        ({0.1: 0.0}, 1.0)
    """
    found = search_galleries(features, subjects, galleries, fpirs)
    for number, each in enumerate(found.searches, 1):
        own = int(np.count_nonzero(each.mate_scores >= SAME_FACE))
        if own:
            logger.warning(
                "gallery %d: %s to be there (cosine 1 with its mate); leave enrolled faces out of the probes, else "
                "rank 1 and FNIR are too good", number, f"{counted(own, 'probe')} {'seems' if own == 1 else 'seem'}",
            )  # fmt: skip
    return found


def search_galleries(
    features: Any, subjects: Any, galleries: Sequence[tuple[Any, Any]], fpirs: Sequence[float]
) -> Identification:
    """As `identification`, without a warning."""
    if not galleries:
        raise InputError("no gallery; give at least one as (features, subjects)")
    probes, wanted = _checked(features, subjects, "probes")
    rates = check_rates(fpirs, "FPIR")
    searches = []
    for number, gallery in enumerate(galleries, 1):
        if not isinstance(gallery, tuple | list) or len(gallery) != 2:
            raise InputError(f"gallery {number}: {shown(gallery)}; expected two arrays, (features, subjects)")
        rows, enrolled = _checked(*gallery, f"gallery {number}")
        if rows.shape[1] != probes.shape[1]:
            width = probes.shape[1]
            raise InputError(f"gallery {number}: rows of {rows.shape[1]} numbers, but the probes have {width}")
        ids, pooled = pool_subjects(rows, enrolled)
        if np.any(ids == -1):
            raise InputError(f"gallery {number}: subject -1 is nobody known; leave such rows out")
        result = search(probes, wanted, pooled, ids)
        if not len(result.ranks) or (rates and not len(result.highest)):
            kind = "mated" if not len(result.ranks) else "non-mated"
            raise InputError(f"gallery {number}: no {kind} probe; an open-set search needs both kinds")
        searches.append(result)
    return Identification(tuple(searches), _points(searches, rates))


def _checked(features: Any, subjects: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows and the subject of each, or an `InputError`."""
    rows, given = unit_rows(features, name), as_array(f"{name}: subjects", subjects)
    if given.size and isinstance(given.flat[0], str | bytes):
        raise InputError(
            f"{name}: subjects are text; number those of probes and galleries in one go: "
            "np.unique([*probe_names, *gallery_names], return_inverse=True)[1]"
        )
    return rows, as_labels(f"{name}: subjects", subjects, len(rows))


def search(probes: np.ndarray, probe_subjects: np.ndarray, gallery: np.ndarray, gallery_subjects: np.ndarray) -> Search:
    """Searches probes in a gallery, in blocks of both. Scores are `rounded`, so that ties stay ties.

    Each probe needs memory for three numbers only. Both sides may be memory maps.

    Args:
        probes: float [p, d], unit or zero rows.
        probe_subjects: int64 [p].
        gallery: float [g, d], unit or zero rows, one per subject.
        gallery_subjects: int64 [g], ascending.
    """
    column = np.minimum(np.searchsorted(gallery_subjects, probe_subjects), len(gallery) - 1)
    mated = gallery_subjects[column] == probe_subjects
    best = np.empty(len(probes), dtype=np.float32)
    ranks = np.zeros(len(probes), dtype=np.int64)
    for block in row_blocks(len(probes), PROBES_PER_BLOCK):
        best[block], ranks[block] = _search_block(probes[block], column[block], mated[block], gallery)
    return Search(best[mated], ranks[mated], np.sort(best[~mated]), len(gallery), mated, best[~mated])


def _search_block(
    probes: np.ndarray, column: np.ndarray, mated: np.ndarray, gallery: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The mate's score and rank of mated probes; the highest score of the others, with rank 0."""
    probes = np.asarray(probes, dtype=np.float64)
    mate = rounded(np.einsum("pd,pd->p", probes, np.asarray(gallery[column], np.float64)))
    best, ranks = np.where(mated, mate, np.float32(-np.inf)), mated.astype(np.int64)
    for start in range(0, len(gallery), SUBJECTS_PER_BLOCK):
        part = np.asarray(gallery[start : start + SUBJECTS_PER_BLOCK], dtype=np.float64)
        scores = rounded(probes @ part.T)
        inside = np.flatnonzero(mated & (column >= start) & (column < start + len(part)))
        scores[inside, column[inside] - start] = -np.inf
        ranks[mated] += np.count_nonzero(scores[mated] >= mate[mated, None], axis=1)
        np.maximum(best, scores.max(axis=1), out=best, where=~mated)
    return best, ranks


def fnir_at_fpir(result: Search, fpir: float) -> OperatingPoint:
    """The operating point of one gallery; FNIR is its `error`."""
    return operating_point(result.hits, result.highest, fpir)


def iet_curve(searches: Sequence[Search]) -> Points:
    """The points at all log-spaced rates that every gallery supports."""
    return _points(searches, curve_rates(min(len(result.highest) for result in searches)).tolist())


def mean_fnir(points: Points) -> dict[float, float]:
    """FNIR for each FPIR, averaged over the galleries."""
    return {fpir: float(np.mean([point.error for point in each])) for fpir, each in points.items()}


def _points(searches: Sequence[Search], rates: Sequence[float]) -> Points:
    return {fpir: tuple(fnir_at_fpir(result, fpir) for result in searches) for fpir in rates}


def cmc_curve(searches: Sequence[Search]) -> list[list[float]]:
    """Rank, up to `MOST_RANKS`, then the share of mated probes found up to it in each gallery, then their mean."""
    ranks = min(MOST_RANKS, *(result.subjects for result in searches))
    columns = [
        np.cumsum(np.bincount(result.ranks, minlength=ranks + 1))[1 : ranks + 1] / len(result.ranks)
        for result in searches
    ]
    return [[rank, *map(float, row), float(np.mean(row))] for rank, row in enumerate(zip(*columns, strict=True), 1)]
