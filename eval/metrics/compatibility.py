"""The figures of widely used scripts, by their definitions, for comparison with published tables and for nothing else.

docs/reference/published-figures.md explains every difference with an example. Sources: insightface,
``recognition/_evaluation_/ijb/ijb_11.py`` and ``ijb_1n.py``, and ``recognition/arcface_torch/eval/verification.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from facerec.pipeline.files import row_blocks

FARS = ("1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "1e-1")
SCRIPT_FARS = ("1e-2", "1e-1")
RANKS = (1, 5, 10)
FOLDS = 10
GRID = np.arange(0, 4, 0.01)
ROWS_PER_BLOCK = 2048


def nearest_tar(genuine: np.ndarray, impostor: np.ndarray) -> dict[str, float]:
    """TAR at FAR as in ijb_11.py: at the point of scikit-learn's ROC whose FPR is nearest, which may be above.

    Points that lie on a line between their neighbours are left out before, as `roc_curve` does by default. Of equally
    near points the one with the highest FPR counts.

    Args:
        genuine: Scores.
        impostor: Scores.
    """
    from sklearn.metrics import roc_curve

    label = np.r_[np.ones(len(genuine), np.int8), np.zeros(len(impostor), np.int8)]
    fpr, tpr, _ = roc_curve(label, np.r_[genuine, impostor])
    fpr, tpr = fpr[::-1], tpr[::-1]
    return {far: float(tpr[np.argmin(np.abs(fpr - float(far)))]) for far in FARS}


def flattened_recall(
    probes: np.ndarray, probe_subjects: np.ndarray, gallery: np.ndarray, gallery_subjects: np.ndarray
) -> dict[str, Any]:
    """Ranks and recall at FAR as in ijb_1n.py: both galleries in one, all impostor scores in one list.

    The threshold at FAR = f is the ceil(f x probes)-th highest of them; recall is the share of all probes whose mate
    scores above it, at whatever rank.

    Args:
        probes: float [p, d], one row a template.
        probe_subjects: int [p].
        gallery: float [g, d], one row a template.
        gallery_subjects: int [g].

    Returns:
        ``recall_at_far``, ``rank1``, ``rank5``, ``rank10``; or ``not_applicable`` and why the script would stop.
    """
    order = np.argsort(gallery_subjects, kind="stable")
    ids = gallery_subjects[order]
    column = np.minimum(np.searchsorted(ids, probe_subjects), len(ids) - 1)
    if np.any(np.diff(ids) == 0):
        return {"not_applicable": f"subject {ids[:-1][np.diff(ids) == 0][0]} has more than one gallery template"}
    if np.any(ids[column] != probe_subjects):
        stranger = probe_subjects[ids[column] != probe_subjects][0]
        return {"not_applicable": f"probe subject {stranger} is in no gallery, and every probe needs a mate there"}
    mate = order[column]
    needed = {far: math.ceil(len(probes) * float(far)) for far in SCRIPT_FARS}
    positive, rank = np.empty(len(probes)), np.empty(len(probes), np.int64)
    highest = np.empty(0)
    for block in row_blocks(len(probes), ROWS_PER_BLOCK):
        scores = probes[block] @ gallery.T
        row = np.arange(len(scores))
        positive[block] = scores[row, mate[block]]
        rank[block] = 1 + np.count_nonzero(scores > positive[block, None], axis=1)
        scores[row, mate[block]] = -np.inf
        highest = _largest(np.r_[highest, _largest(scores.ravel(), max(needed.values()))], max(needed.values()))
    recall = {far: float(np.mean(positive > highest[count - 1])) for far, count in needed.items()}
    return {"recall_at_far": recall, **{f"rank{k}": float(np.mean(rank <= k)) for k in RANKS}}


def script_flags(norm: str, detector_scores: bool, flip: bool | None) -> Mapping[str, Any]:
    """The three flags of the scripts. ``use_norm_score`` is inverse to what it sounds like: true keeps the length."""
    return {"use_norm_score": norm == "kept", "use_detector_score": detector_scores, "use_flip_test": flip}


def grid_accuracy(scores: np.ndarray, same: np.ndarray) -> dict[str, Any]:
    """10-fold accuracy as in verification.py: squared distances against 400 thresholds of a grid, folds in order.

    Args:
        scores: Cosines of unit embeddings, float [p].
        same: bool [p].
    """
    if len(scores) < FOLDS:
        return {"not_applicable": f"{len(scores)} pairs; the script wants at least {FOLDS}"}
    distance = 2 - 2 * scores.astype(np.float64)
    right = (distance[:, None] < GRID) == same[:, None]
    accuracies = []
    for fold in np.array_split(np.arange(len(scores)), FOLDS):
        train = np.ones(len(scores), bool)
        train[fold] = False
        accuracies.append(float(right[fold, np.argmax(right[train].mean(axis=0))].mean()))
    return {"accuracy": float(np.mean(accuracies)), "std": float(np.std(accuracies)), "folds": accuracies}


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """The largest values, falling."""
    if len(values) > count:
        values = np.partition(values, len(values) - count)[len(values) - count :]
    return np.sort(values)[::-1]
