"""1:N identification in an open set: FNIR at FPIR, ranks, and the IET and CMC curves.

A probe is searched in one gallery, which has one feature a subject. A probe whose subject is enrolled is mated. A
non-mated probe is a false positive where its highest score reaches the threshold; the threshold at FPIR = f is the
smallest at which at most the share f of the non-mated probes are. A mated probe is missed unless its mate has rank 1
and the mate's score reaches the threshold. A tie with another subject counts against the probe: its rank is one more
than the number of other subjects that score at least as high as the mate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eval.metrics.verification import OperatingPoint, curve_rates, operating_point

PROBES_PER_BLOCK = 2048
SUBJECTS_PER_BLOCK = 4096


@dataclass(frozen=True)
class Search:
    """All probes searched in one gallery.

    Attributes:
        mate_scores: float32 [mated].
        ranks: int64 [mated], from 1.
        highest: float32 [nonmated], in rising order.
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

    @property
    def hits(self) -> np.ndarray:
        """float32 [mated], rising: the mate's score, or -inf where its rank is not 1 and no threshold helps."""
        return np.sort(self.hit_scores)

    @property
    def hit_scores(self) -> np.ndarray:
        """The same in the order of the probes."""
        return np.where(self.ranks == 1, self.mate_scores, np.float32(-np.inf))

    @property
    def rank1(self) -> float:
        """Share of mated probes whose mate has rank 1."""
        return self.found_up_to(1)

    def found_up_to(self, rank: int) -> float:
        """Share of mated probes whose mate has at most this rank: a point of the CMC curve."""
        return float(np.mean(self.ranks <= rank))


def search(probes: np.ndarray, probe_subjects: np.ndarray, gallery: np.ndarray, gallery_subjects: np.ndarray) -> Search:
    """Searches probes in a gallery, in blocks of both; scores are rounded to float32, so that ties are ties.

    Memory does not depend on the number of probes, but for three numbers each. Either side may be a memory map.

    Args:
        probes: float [p, d], unit or zero rows.
        probe_subjects: int64 [p].
        gallery: float [g, d], unit or zero rows, one a subject.
        gallery_subjects: int64 [g], rising.
    """
    column = np.minimum(np.searchsorted(gallery_subjects, probe_subjects), len(gallery) - 1)
    mated = gallery_subjects[column] == probe_subjects
    best = np.empty(len(probes), dtype=np.float32)
    ranks = np.zeros(len(probes), dtype=np.int64)
    for start in range(0, len(probes), PROBES_PER_BLOCK):
        block = slice(start, start + PROBES_PER_BLOCK)
        best[block], ranks[block] = _search_block(probes[block], column[block], mated[block], gallery)
    return Search(best[mated], ranks[mated], np.sort(best[~mated]), len(gallery), mated, best[~mated])


def _search_block(
    probes: np.ndarray, column: np.ndarray, mated: np.ndarray, gallery: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The mate's score and rank of mated probes; the highest score of the others, with rank 0."""
    probes = np.asarray(probes, dtype=np.float64)
    mate = np.einsum("pd,pd->p", probes, np.asarray(gallery[column], np.float64)).astype(np.float32)
    best, ranks = np.where(mated, mate, np.float32(-np.inf)), mated.astype(np.int64)
    for start in range(0, len(gallery), SUBJECTS_PER_BLOCK):
        part = np.asarray(gallery[start : start + SUBJECTS_PER_BLOCK], dtype=np.float64)
        scores = (probes @ part.T).astype(np.float32)
        here = np.flatnonzero(mated & (column >= start) & (column < start + len(part)))
        scores[here, column[here] - start] = -np.inf
        ranks[mated] += np.count_nonzero(scores[mated] >= mate[mated, None], axis=1)
        np.maximum(best, scores.max(axis=1), out=best, where=~mated)
    return best, ranks


def fnir_at_fpir(found: Search, fpir: float) -> OperatingPoint:
    """The operating point of one gallery; FNIR is its `rejected` over the number of mated probes."""
    return operating_point(found.hits, found.highest, fpir)


def iet_curve(searches: dict[str, Search]) -> list[list[float]]:
    """FPIR, then FNIR in each gallery, then their mean, at log-spaced rates that every gallery supports."""
    fpirs = curve_rates(min(len(found.highest) for found in searches.values()))
    columns = []
    for found in searches.values():
        hits = found.hits
        columns.append([operating_point(hits, found.highest, fpir).rejected / len(hits) for fpir in fpirs])
    return [
        [float(fpir), *row, float(np.mean(row))] for fpir, row in zip(fpirs, zip(*columns, strict=True), strict=True)
    ]


def cmc_curve(searches: dict[str, Search], ranks: int = 50) -> list[list[float]]:
    """Rank, then the share of mated probes found up to it in each gallery, then their mean."""
    ranks = min(ranks, *(found.subjects for found in searches.values()))
    columns = [
        np.cumsum(np.bincount(found.ranks, minlength=ranks + 1))[1 : ranks + 1] / len(found.ranks)
        for found in searches.values()
    ]
    return [[rank, *map(float, row), float(np.mean(row))] for rank, row in enumerate(zip(*columns, strict=True), 1)]
