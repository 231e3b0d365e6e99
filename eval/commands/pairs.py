"""``eval pairs``: LFW and sets like it: 10-fold accuracy, and the figures of 1:1 verification.

Accuracy: the pairs lie in folds. For each fold the threshold is chosen on the other folds: of all their scores, the one
from which on acceptance is right for most of their pairs, and of several such the middle one. Then the pairs of the
fold are decided. The accuracy is the mean over the folds (Huang et al. 2007, protocol for View 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.bootstrap.impostor_bins import pair_weights
from eval.bootstrap.resampling import draw, interval, verification_samples
from eval.figures import Scores, few_errors, verification_figures
from eval.metrics.compatibility import grid_accuracy
from eval.metrics.folds import decide
from eval.metrics.verification import det_curve
from eval.protocols.pair_list import PairList, load_pair_list
from facerec.pipeline.embeddings import EmbeddingSet, load_embeddings
from facerec.pipeline.files import InputError, write_json, write_table
from facerec.pipeline.stage import stage

FMRS = ("1e-1", "1e-2", "1e-3")


@stage("eval pairs")
def pairs(
    pairs: Path, embeddings: Path, out: Path, bootstrap: int = 0, seed: int = 0, compatibility: bool = False
) -> Mapping[str, Any]:
    """Evaluates embeddings on a list of pairs: 10-fold accuracy, FNMR@FMR, EER, AUC.

    Args:
        pairs: LFW's pairs.txt; or a .tsv file with two names, 1 (one person) or 0, and if there is a fourth column the
            fold; or a folder with pairs.tsv, as `facerec bin` writes.
        embeddings: Embedding folder with keys.txt; faces match by name.
        out: Folder for metrics.json, det.csv and det.png.
        bootstrap: How many times subjects (pairs, where nobody knows the subjects) are drawn for 95 % intervals; 0 for
            none.
        seed: Draws them.
        compatibility: Also give the accuracy as widely used scripts do (docs/compatibility.md).
    """
    from eval.report.plots import plot_det

    if bootstrap < 0:
        raise InputError(f"--bootstrap {bootstrap}; a number of samples, or 0 for no intervals")
    listed = load_pair_list(pairs)
    embedded = load_embeddings(embeddings)
    first, second = _rows(listed, embedded)
    scores = _cosines(embedded.embeddings, first, second)
    right, thresholds = decide(scores, listed.same, listed.fold)
    metrics = _metrics(listed, scores, right, thresholds)
    unreadable = ~embedded.embeddings[np.unique([first, second])].any(axis=1)
    metrics["counts"]["unreadable_faces"] = int(np.count_nonzero(unreadable))
    if bootstrap:
        metrics["intervals"] = _intervals(listed, scores, right, bootstrap, seed)
    if compatibility:
        metrics["compatibility"] = {"insightface_verification": grid_accuracy(scores, listed.same)}
    write_json(out / "metrics.json", metrics)
    curve = det_curve(np.sort(scores[listed.same]), np.sort(scores[~listed.same]))
    write_table(out / "det.csv", ["fmr", "fnmr", "threshold", "tar"], [[*point, 1 - point[1]] for point in curve])
    plot_det({"": [point[:2] for point in curve]}, out / "det.png")
    return {key: metrics[key] for key in ("accuracy", "accuracy_std", "fnmr_at_fmr")}


def _rows(listed: PairList, embedded: EmbeddingSet) -> tuple[np.ndarray, np.ndarray]:
    if embedded.keys is None:
        raise InputError(f"{embedded.path}: no keys.txt; the faces of pairs match by name, so that it is needed")
    keys = [key.removeprefix("img/") for key in embedded.keys]
    if listed.stems:
        keys = [key.rpartition(".")[0] or key for key in keys]
    row_of = dict(zip(keys, range(len(keys)), strict=True))
    if len(row_of) != len(keys):
        repeated = next(key for index, key in enumerate(keys) if row_of[key] != index)
        raise InputError(f"{embedded.path}: key {repeated!r} occurs twice in keys.txt; faces match by key")
    sides = []
    for names in (listed.first, listed.second):
        missing = [index for index, name in enumerate(names) if name.removeprefix("img/") not in row_of]
        if missing:
            raise InputError(
                f"{listed.path} line {listed.lines[missing[0]]}: face {names[missing[0]]!r} has no embedding in "
                f"{embedded.path} ({len(missing)} of {len(names)} pairs lack one)"
            )
        sides.append(np.array([row_of[name.removeprefix("img/")] for name in names]))
    return sides[0], sides[1]


def _cosines(embeddings: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    one, two = (embeddings[side].astype(np.float64) for side in (first, second))
    return np.einsum("pd,pd->p", one, two).astype(np.float32)


def _metrics(listed: PairList, scores: np.ndarray, right: np.ndarray, thresholds: Sequence[float]) -> dict[str, Any]:
    folds = [right[listed.fold == index] for index in range(len(thresholds))]
    accuracies = [float(np.mean(fold)) for fold in folds]
    figures = verification_figures(Scores.of(scores, listed.same), FMRS)
    counts = {
        "pairs": len(scores),
        "folds": len(folds),
        "wrong": int(np.count_nonzero(~right)),
        **figures.pop("counts"),
    }
    return {
        "accuracy": float(np.mean(accuracies)),
        "accuracy_std": float(np.std(accuracies)),
        "folds": [
            {"accuracy": accuracy, "threshold": threshold, "pairs": len(fold)}
            for accuracy, threshold, fold in zip(accuracies, thresholds, folds, strict=True)
        ],
        **figures,
        "few_errors": few_errors(counts) + (["accuracy"] if counts["wrong"] < 10 else []),
        "counts": counts,
    }


def _intervals(listed: PairList, scores: np.ndarray, right: np.ndarray, samples: int, seed: int) -> dict[str, Any]:
    """Of FNMR, EER and AUC anew in each sample; of the accuracy, over all pairs, with the thresholds as they are."""
    one, two = listed.subjects.T
    drawn = draw(int(listed.subjects.max()) + 1, samples, seed)
    genuine = listed.same
    others = one[~genuine], two[~genuine]
    fnmr, eer, auc = verification_samples(
        scores[genuine], one[genuine], scores[~genuine], others, [float(f) for f in FMRS], drawn
    )
    weights = pair_weights(one, two, drawn)
    total = weights.sum(axis=0)
    accuracy = np.divide(right @ weights, total, out=np.full(len(total), np.nan), where=total > 0)
    return {
        "confidence": 0.95,
        "samples": samples,
        "seed": seed,
        "over": "subjects" if listed.known else "pairs",
        "accuracy": interval(accuracy),
        "fnmr_at_fmr": {f: interval(row) for f, row in zip(FMRS, fnmr, strict=True)},
        "eer": interval(eer),
        "auc": interval(auc),
    }
