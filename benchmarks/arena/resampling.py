"""Bootstrap over identities: how Fp and Fb of a clustering vary between samples of people.

A sample draws as many identities as there are, with replacement; identity s is drawn w_s times. Each of its faces then
counts w_s times, each time among one copy of s. Copies of one identity are not told apart, so pairs of two copies count
for neither precision nor recall, as in `eval.bootstrap.resampling`. With n_cs faces of s in cluster c, N_s faces of s,
and W_c = sum over s of w_s n_cs:

    pairs together = sum w_s n_cs (n_cs - 1) / 2                 pairs of an identity = sum w_s N_s (N_s - 1) / 2
    pairs of a cluster = pairs together + sum over c of (W_c^2 - sum over s of (w_s n_cs)^2) / 2
    BCubed precision = sum w_s n_cs n_cs / (n_cs + W_c - w_s n_cs) / sum w_s N_s
    BCubed recall = sum w_s n_cs n_cs / N_s / sum w_s N_s

BCubed precision is biased: 1 / size is convex, so samples lie above the figure, by .002 where clusters are pure and by
up to .03 where they are mixed. The intervals are percentiles of the samples as they are.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from eval.clusters.agreement import harmonic
from eval.clusters.contingency import Contingency, contingency

CELLS_PER_BLOCK = 1 << 22


def resampled(truth: np.ndarray, labels: np.ndarray, drawn: np.ndarray) -> dict[str, np.ndarray]:
    """Fp and Fb in each sample, float64 [samples] each.

    Args:
        truth: int [n], identities.
        labels: int [n], clusters; -1 is a cluster of one face.
        drawn: float64 [identities, samples], how often each is drawn, in order of identity; see
            `eval.bootstrap.resampling.draw`.
    """
    table = contingency(truth, labels)
    width = max(CELLS_PER_BLOCK // len(table.faces), 1)
    parts = [_block(table, drawn[:, at : at + width]) for at in range(0, drawn.shape[1], width)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _block(table: Contingency, drawn: np.ndarray) -> dict[str, np.ndarray]:
    n, sizes = table.faces.astype(np.float64), table.identity_sizes.astype(np.float64)
    membership = csr_array((n, (table.cluster, table.identity)), shape=(len(table.cluster_sizes), len(sizes)))
    own = n[:, None] * drawn[table.identity]
    whole = membership @ drawn
    faces = sizes @ drawn
    together = np.bincount(table.identity, n * (n - 1) / 2, len(sizes)) @ drawn
    claimed = together + ((whole**2).sum(axis=0) - (own**2).sum(axis=0)) / 2
    true = (sizes * (sizes - 1) / 2) @ drawn
    precision = (own * n[:, None] / (n[:, None] + whole[table.cluster] - own)).sum(axis=0) / faces
    recall = np.bincount(table.identity, n**2 / sizes[table.identity], len(sizes)) @ drawn / faces
    return {
        "pairwise_f": harmonic(share(together, claimed), share(together, true)),
        "bcubed_f": harmonic(precision, recall),
    }


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part of the whole; 1 where there is none."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 1)
