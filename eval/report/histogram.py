"""How the scores of genuine and impostor pairs are distributed: scores.csv."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eval.metrics.pair_scores import PairScores
from facerec.pipeline.files import write_table

BINS = 200
COLUMNS = ("lowest", "highest", "genuine_pairs", "impostor_pairs")
ScoreBins = list[tuple[float, float, int, int]]
"""Of each bin the lowest and the highest score, and the numbers of genuine and of impostor pairs."""


def score_bins(scores: PairScores, bins: int = BINS) -> ScoreBins:
    """Counts scores in equally wide bins between -1 and 1; empty bins at both ends are left out.

    Args:
        scores: Scores of pairs; cosines.
        bins: Number of bins.

    Returns:
        The bins, rising. A bin's highest score belongs to the next one.
    """
    edges = np.linspace(-1, 1, bins + 1)
    inner = edges[1:-1].astype(np.float32)
    counts = [
        np.diff(np.searchsorted(side, inner), prepend=0, append=len(side)) for side in (scores.genuine, scores.impostor)
    ]
    filled = np.flatnonzero(counts[0] + counts[1])
    return [
        (round(float(edges[b]), 6), round(float(edges[b + 1]), 6), int(counts[0][b]), int(counts[1][b]))
        for b in range(filled[0], filled[-1] + 1)
    ]


def write_scores(out: Path, scores: PairScores) -> None:
    """Writes scores.csv into a folder."""
    write_table(out / "scores.csv", list(COLUMNS), score_bins(scores))
