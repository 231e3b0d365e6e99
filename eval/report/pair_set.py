"""The content of ``metrics.json`` of a pair set such as LFW.

Accuracy is the mean over the folds (Huang et al. 2007, protocol for View 2); see `facerec.pipeline.pair_accuracy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eval.bootstrap.impostor_bins import pair_weights
from eval.bootstrap.resampling import CONFIDENCE, draw, interval, quotient, verification_samples
from eval.metrics.pair_scores import PairScores
from eval.protocols.pair_layouts import PairList
from eval.report.figures import FEW, few_errors, verification_figures

FMRS = ("1e-1", "1e-2", "1e-3")


def pair_set_figures(
    listed: PairList, scores: PairScores, right: np.ndarray, thresholds: Sequence[float]
) -> dict[str, Any]:
    """10-fold accuracy, FNMR at FMR, EER, AUC, and the counts behind each.

    Args:
        listed: The pairs.
        scores: Scores of the pairs.
        right: bool [p], whether each pair is decided rightly, from `decide`.
        thresholds: One a fold, from `decide`; an infinite one, at which no pair is accepted, becomes None.
    """
    folds = [right[listed.fold == index] for index in range(len(thresholds))]
    accuracies = [float(np.mean(fold)) for fold in folds]
    figures = verification_figures(scores, FMRS)
    counts = {
        "pairs": len(right),
        "folds": len(folds),
        "wrong": int(np.count_nonzero(~right)),
        **figures.pop("counts"),
    }
    return {
        "accuracy": float(np.mean(accuracies)),
        "accuracy_std": float(np.std(accuracies)),
        "folds": [
            {"accuracy": accuracy, "threshold": threshold if np.isfinite(threshold) else None, "pairs": len(fold)}
            for accuracy, threshold, fold in zip(accuracies, thresholds, folds, strict=True)
        ],
        **figures,
        "few_errors": few_errors(counts) + (["accuracy"] if counts["wrong"] < FEW else []),
        "counts": counts,
    }


def pair_set_intervals(
    listed: PairList, scores: PairScores, right: np.ndarray, samples: int, seed: int
) -> dict[str, Any]:
    """Intervals of all figures. FNMR, EER and AUC are found anew in each sample; the accuracy keeps its thresholds.

    It is the mean over the folds in each sample, too, of those that have a drawn pair.
    """
    one, two = listed.subjects.T
    drawn = draw(int(listed.subjects.max()) + 1, samples, seed)
    fnmr, eer, auc = verification_samples(scores, (one, two), [float(f) for f in FMRS], drawn)
    inside = listed.fold == np.arange(listed.fold.max() + 1)[:, None]
    weights = pair_weights(one, two, drawn)
    folds = quotient((inside & right) @ weights, inside @ weights)
    accuracy = quotient(np.nansum(folds, axis=0), np.count_nonzero(~np.isnan(folds), axis=0))
    return {
        "confidence": CONFIDENCE,
        "samples": samples,
        "seed": seed,
        "over": "subjects" if listed.known else "pairs",
        "accuracy": interval(accuracy),
        "fnmr_at_fmr": {f: interval(row) for f, row in zip(FMRS, fnmr, strict=True)},
        "eer": interval(eer),
        "auc": interval(auc),
    }
