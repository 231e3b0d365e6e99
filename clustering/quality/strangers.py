"""Whether faces left out of clusters belong to them: how alike they are, compared with what strangers are.

The nearest other cluster of a face in a cluster of its own person is one of strangers. So the highest cosine of such
faces with other clusters tells what chance gives among so many clusters. If many faces that are alone are more like a
cluster than that, they are likely to belong to it. A single one tells little, their share does.
"""

from __future__ import annotations

import numpy as np

from clustering.partition import cluster_sums
from clustering.similarity.corpus_scale import CorpusScale
from facerec.pipeline.embeddings import normalize

SAMPLE, CENTRES = 512, 8192
COMPANY = 4
CHANCE, TAILS = (0.5, 0.9, 0.98), (0.02, 0.1, 0.5)
GROUPS = ("alone", "few")
NO_ONE, NOBODY = (0.0, 0.1, 0.2), -1.0


def strangers(faces: np.ndarray, labels: np.ndarray, scale: CorpusScale) -> list[float]:
    """Compares faces by the size of their cluster, see `STRANGERS`: alone, with one or two others, and with more.

    Args:
        faces: float32 [n, d], unit rows.
        labels: int64 [n], consecutive from 0, none unassigned.
        scale: Of the cosines.
    """
    sums, sizes = cluster_sums(faces, labels), np.bincount(labels)
    centres, own = normalize(sums), sizes[labels]
    alone, few, many = (some(rows) for rows in (own == 1, (own > 1) & (own < COMPANY), own >= COMPANY))
    found: list[float] = []
    for candidates in (np.arange(len(sizes)), np.flatnonzero(sizes >= COMPANY)):
        best = [scale.corrected(nearest(faces[rows], labels[rows], centres, candidates)) for rows in (alone, few, many)]
        chance = np.quantile(best[2], CHANCE) if len(many) else np.array(NO_ONE)
        found += [chance[0], chance[2]]
        for values in best[:2]:
            found += [float(np.mean(values > each)) if len(values) else 0.0 for each in chance]
            found += [float(np.quantile(values, 0.9)) - chance[1] if len(values) else 0.0]
    rest = normalize(sums[labels[many]] - faces[many])
    return [*found, *_margins(scale.corrected(np.einsum("md,md->m", rest, faces[many])), best[2]),
            np.mean((own > 1) & (own < COMPANY)), np.mean(own >= COMPANY)]  # fmt: skip


STRANGERS = [
    f"{name} {kind}" for kind in ("of any", "of several")
    for name in ("chance", "high chance", *(f"{group} above {level}" for group in GROUPS for level in (*CHANCE, "by")))
] + [*(f"own cosine {tail}" for tail in TAILS), "own below chance", "own below high chance", "own margin",
     "share of few", "share of many"]  # fmt: skip


def _margins(own: np.ndarray, others: np.ndarray) -> list[float]:
    """Of faces in company: quantiles of the cosine with the rest of their cluster, and how it compares with chance."""
    if not len(own):
        return [1.0] * len(TAILS) + [0.0] * 3
    below = [float(np.mean(own < level)) for level in np.quantile(others, CHANCE[1:])]
    return [*np.quantile(own, TAILS), *below, float(np.mean(own - others))]


def nearest(faces: np.ndarray, labels: np.ndarray, centres: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Float32 [m]: the highest cosine with the centre of another cluster; -1 if there is none.

    Args:
        faces: float32 [m, d].
        labels: int64 [m], their own clusters.
        centres: float32 [clusters, d].
        candidates: int64 [c], the clusters that count.
    """
    best = np.full(len(faces), NOBODY, np.float32)
    for start in range(0, len(candidates), CENTRES):
        part = candidates[start : start + CENTRES]
        cosines = faces @ centres[part].T
        cosines[labels[:, None] == part] = NOBODY
        np.maximum(best, cosines.max(axis=1, initial=NOBODY), out=best)
    return best


def some(chosen: np.ndarray) -> np.ndarray:
    """Int64: at most `SAMPLE` of the rows that a bool [n] names, evenly spaced."""
    rows = np.flatnonzero(chosen)
    return rows[:: -(-len(rows) // SAMPLE)] if len(rows) else rows
