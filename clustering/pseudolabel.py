"""The command ``pseudolabel``: clusters to what retraining reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clustering.base import consecutive
from facerec.artifacts import InputError, load_array, load_labels, write_json
from facerec.stages import stage

QUANTILES = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)


@stage("clustering pseudolabel")
def pseudolabel(clusters: Path, out: Path, min_size: int = 2) -> Mapping[str, Any]:
    """Makes pseudo-labels of clusters: drops the small ones, numbers the rest from 0.

    Args:
        clusters: Folder made by cluster, or a .npy file of labels.
        out: Folder to make: labels.npy (-1 = not used), weights.npy, summary.json.
        min_size: Faces that a cluster must have to be used.
    """
    if min_size < 1:
        raise InputError(f"min_size is {min_size}; it must be at least 1")
    found = load_labels(clusters)
    weights = _confidence(clusters, len(found))
    labels, summary = select(found, min_size)
    if not summary["used"]:
        raise InputError(
            f"{clusters}: no cluster of at least {min_size} faces (largest {_largest(found)}); "
            "lower --min-size or cluster with other settings"
        )
    np.save(out / "labels.npy", labels, allow_pickle=False)
    np.save(out / "weights.npy", np.where(labels < 0, 0, weights).astype(np.float32), allow_pickle=False)
    write_json(out / "summary.json", summary)
    return summary


def select(found: np.ndarray, min_size: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Drops unassigned faces and small clusters.

    Args:
        found: int64 [n], -1 for unassigned.
        min_size: Faces that a cluster must have.

    Returns:
        int64 [n], -1 or consecutive from 0; and a summary of what was kept and dropped.
    """
    sizes = np.bincount(found[found >= 0], minlength=1)
    assigned = found >= 0
    kept = assigned & (sizes[found] >= min_size)
    labels = consecutive(np.where(kept, found, -1))
    used = np.bincount(labels[kept])
    return labels, {
        "faces": len(found),
        "used": int(kept.sum()),
        "clusters": len(used),
        "min_size": min_size,
        "sizes": {f"{q:g}": float(np.quantile(used, q)) for q in QUANTILES} if len(used) else {},
        "dropped": {"unassigned": int((~assigned).sum()), "small_cluster": int((assigned & ~kept).sum())},
    }


def _confidence(clusters: Path, rows: int) -> np.ndarray:
    """The backend's confidence if there is one, else ones."""
    file = clusters / "confidence.npy"
    if not (clusters.is_dir() and file.exists()):
        return np.ones(rows, dtype=np.float32)
    confidence = load_array(file, kind="f", ndim=1)
    if len(confidence) != rows or not np.all((confidence >= 0) & (confidence <= 1)):
        raise InputError(f"{file}: {len(confidence)} values for {rows} faces; expected one in [0, 1] for each")
    return confidence


def _largest(found: np.ndarray) -> int:
    return int(np.bincount(found[found >= 0], minlength=1).max())
