"""How the scores of genuine and impostor pairs are distributed: scores.csv."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eval.all_pairs.scores import GRID, AllPairs
from eval.metrics.pair_scores import PairScores
from facerec.pipeline.files import write_table

BINS = 200
COLUMNS = ("lowest", "highest", "genuine_pairs", "impostor_pairs")
ScoreBins = list[tuple[float, float, int, int]]
"""Of each bin the lowest and the highest score, and the numbers of genuine and of impostor pairs."""


def score_bins(scores: PairScores) -> ScoreBins:
    """Counts scores in equally wide bins between -1 and 1; empty bins at both ends are left out.

    Args:
        scores: Scores of pairs; cosines.

    Returns:
        The bins, rising. A bin's highest score belongs to the next one.
    """
    edges = np.linspace(-1, 1, BINS + 1)
    inner = edges[1:-1].astype(np.float32)
    genuine, impostor = (
        np.diff(np.searchsorted(side, inner), prepend=0, append=len(side)) for side in (scores.genuine, scores.impostor)
    )
    return _filled(np.round(edges, 6), genuine, impostor)


def counted_bins(pairs: AllPairs) -> ScoreBins:
    """The same of scores that are counted on the grid; the highest score of the last bin, 1, belongs to it."""
    edges = np.linspace(0, 2 * GRID, BINS + 1).astype(np.int64)
    counts = (np.add.reduceat(side, edges[:-1]) for side in (pairs.genuine_counts, pairs.impostor_counts))
    return _filled((edges - GRID) / GRID, *counts)


def _filled(edges: np.ndarray, genuine: np.ndarray, impostor: np.ndarray) -> ScoreBins:
    filled = np.flatnonzero(genuine + impostor)
    rows = zip(*(each.tolist() for each in (edges[:-1], edges[1:], genuine, impostor)), strict=True)
    return list(rows)[filled[0] : filled[-1] + 1]


def write_scores(out: Path, bins: ScoreBins) -> None:
    """Writes scores.csv into a folder."""
    write_table(out / "scores.csv", COLUMNS, bins)
