"""Pairs of clusters that stand out: each is likely for one of its clusters far beyond any other partner.

Some faces of a person, turned heads for example, resemble the rest of the person less than `p_tau` asks for. But they
resemble everybody else still less. A stranger resembles several clusters about equally. So where no pair joins by
`p_tau`, a cluster joins its best partner if the second-best is far behind. This is Lowe's ratio test (2004,
"Distinctive image features from scale-invariant keypoints", section 7.1).

Decoys tell how many partners stand out by accident, as in the search for peptides (Elias and Gygi 2007). A decoy is a
second-best partner, taken for the best one. Its lead over the third is doubled: if accidents fall off exponentially,
the mean distance from the second to the third is half of that from the first to the second (Renyi 1953).
"""

from __future__ import annotations

import numpy as np

CLEAR = 1.5
"""Log-odds by which the best partner has to lead at least."""
SPREADS = 2.0
"""Least log-odds of a pair that stands out: so many standard deviations above the mean of the second-best partners."""
FLOOR, CEILING = -4.0, -0.5
"""Bounds of these least log-odds. Beyond the higher one no pair joins: many second-best partners are then nearly as
likely one person as not, so the recogniser is too weak for the model."""
LARGE, SMALL = 10, 20
"""The larger cluster of a pair has at least `LARGE` faces: the mean of few says little, and accidents are frequent.
The smaller one has fewer than `SMALL`: many faces have an exact mean, and two such clusters are judged by `p_tau`."""
MOST_DECOYS = 0.2
"""The lead that is asked for rises until decoys are at most this share of the pairs that stand out."""
LEAST_CLUSTERS = 15
"""Fewer clusters than this say too little about accidents."""


def outstanding(i: np.ndarray, j: np.ndarray, values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Int64: the edges that stand out for one of their ends, in rising order.

    Args:
        i: int32 [e], one end of each edge. A pair has one edge.
        j: int32 [e], the other end.
        values: float32 [e], log-odds that both ends are of one identity.
        sizes: float32 [n], faces of each cluster.
    """
    ends = np.concatenate([i, j])
    order = np.lexsort((-np.tile(values, 2), ends))
    first = np.flatnonzero(np.diff(ends[order], prepend=-1))
    first = first[np.diff(first, append=len(ends)) >= 3]
    if len(first) < LEAST_CLUSTERS:
        return np.zeros(0, np.int64)
    best, second, third = (order[first + place] % len(i) for place in range(3))
    least = max(values[second].mean(dtype=np.float64) + SPREADS * values[second].std(dtype=np.float64), FLOOR)
    if least > CEILING:
        return np.zeros(0, np.int64)
    fitting = (np.maximum(sizes[i], sizes[j]) >= LARGE) & (np.minimum(sizes[i], sizes[j]) < SMALL)

    def leads(edges: np.ndarray, lead: np.ndarray) -> np.ndarray:
        return np.where(fitting[edges] & (values[edges] >= least) & (lead >= CLEAR), lead, 0)

    found, decoys = leads(best, values[best] - values[second]), leads(second, 2 * (values[second] - values[third]))
    limits = np.sort(found[found > 0])
    beyond = np.arange(len(limits), 0, -1)
    wrong = len(decoys) - np.searchsorted(np.sort(decoys), limits)
    limit = limits[wrong <= MOST_DECOYS * beyond].min(initial=np.inf)
    return np.unique(best[found >= limit])
