"""The summary of pseudo-labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

QUANTILES = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)


def summarise(
    found: np.ndarray, labels: np.ndarray, min_size: int, records: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What summary.json says: the faces used, their clusters, and what each rule did.

    Args:
        found: int64 [n], the clusters before all rules; -1 for unassigned.
        labels: int64 [n], the pseudo-labels.
        min_size: Least faces of a cluster.
        records: Records of the rules, in their order.
    """
    used = np.bincount(labels[labels >= 0])
    return {
        "faces": len(found),
        "used": int((labels >= 0).sum()),
        "clusters": len(used),
        "min_size": min_size,
        "sizes": {f"{q:g}": float(np.quantile(used, q)) for q in QUANTILES} if len(used) else {},
        "dropped": {"unassigned": int((found < 0).sum()), **{x["rule"]: x["dropped"] for x in records}},
        "rules": list(records),
    }
