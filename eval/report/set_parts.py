"""The parts of ``metrics.json`` of a labelled set beside its error rates: quality, groups, likelihood ratios."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eval.all_pairs.evaluation import SetEvaluation
from eval.all_pairs.scores import ScoredPairs
from eval.bootstrap.resampling import interval
from eval.metrics.discard import DiscardCurve, error_discard, perfect_discard
from eval.metrics.groups import Rate, group_rates
from eval.metrics.likelihood_ratios import (
    LabelledScores,
    cllr,
    cross_validated,
    isotonic_map,
    logistic_map,
    min_cllr,
)  # fmt: skip
from eval.report.figures import FEW
from facerec.pipeline.files import InputError

AREAS = ("0.2", "1.0")
MOST_GROUPS = 40
FOLDS = 5
MOST_FITTED = 1 << 20
"""Pairs of either kind to which likelihood ratios are fitted."""


def unit_quality(evaluation: SetEvaluation, quality: np.ndarray) -> np.ndarray:
    """The quality of each unit, float64 [u]: the mean of its faces'."""
    faces = np.flatnonzero(evaluation.units.unit_of >= 0)
    unit = evaluation.units.unit_of[faces]
    return np.bincount(unit, quality[faces]) / np.bincount(unit)


def discard_entry(evaluation: SetEvaluation, quality: np.ndarray) -> tuple[dict[str, Any], DiscardCurve]:
    """Error versus discard of the genuine pairs at the threshold, by the lower quality of both sides.

    Args:
        evaluation: The set.
        quality: float [n], of each face.
    """
    pairs, each = evaluation.pairs.genuine, unit_quality(evaluation, quality)
    failed = pairs.score < evaluation.point.threshold
    curve = error_discard(failed, np.minimum(each[pairs.first], each[pairs.second]))
    best = perfect_discard(failed)
    return {
        "fnmr": curve.at(0),
        "fnmr_at_discard": {share: curve.at(float(share)) for share in ("0.05", "0.1", "0.2")},
        "mean_fnmr_up_to": {share: curve.mean(float(share)) for share in AREAS},
        "perfect_mean_fnmr_up_to": {share: best.mean(float(share)) for share in AREAS},
    }, curve


def group_entries(evaluation: SetEvaluation, codes: np.ndarray, words: list[str], name: str) -> dict[str, Any]:
    """FMR and FNMR of each group at the threshold, and of pairs across groups.

    Args:
        evaluation: The set.
        codes: int64 [n], the group of each face, -1 where unknown.
        words: Names of the groups.
        name: Name of the attribute.

    Raises:
        InputError: More groups than a table holds.
    """
    if len(words) > MOST_GROUPS:
        raise InputError(
            f"attribute {name!r} has {len(words)} values, e.g. {words[0]!r}; at most {MOST_GROUPS}: put it into classes"
        )
    judged, group = evaluation.judged, _unit_groups(evaluation, codes)
    rates = {
        (one, other): group_rates(judged, group, one, other)
        for one in range(len(words))
        for other in range(one, len(words))
    }
    best = [_lowest([rates[one, one][kind] for one in range(len(words))]) for kind in (0, 1)]
    within = {
        word: {
            "templates": int(np.count_nonzero(group == one)),
            "subjects": len(np.unique(judged.subject[group == one])),
            **_rate("fmr", rates[one, one][0], best[0]),
            **_rate("fnmr", rates[one, one][1], best[1]),
        }
        for one, word in enumerate(words)
    }
    across = [
        {"groups": [words[one], words[other]], **_rate("fmr", fmr, None), **_rate("fnmr", fnmr, None)}
        for (one, other), (fmr, fnmr) in rates.items()
        if one != other and (fmr.pairs or fnmr.pairs)
    ]
    return {"within": within, "across": across, "unknown": int(np.count_nonzero(group < 0))}


def calibration_entry(evaluation: SetEvaluation, seed: int) -> tuple[dict[str, Any], list[tuple[float, float, float]]]:
    """Cllr, and a table of scores with both LLRs (natural logarithm); see `eval.metrics.likelihood_ratios`.

    Args:
        evaluation: The set.
        seed: Draws the folds of subjects, and the pairs where there are too many.
    """
    generator = np.random.default_rng(seed)
    subject = evaluation.units.subject
    genuine, impostor = (_some(part, generator) for part in (evaluation.pairs.genuine, evaluation.pairs.sample))
    sides = subject[impostor.first], subject[impostor.second]
    scores = LabelledScores(genuine.score, impostor.score, subject[genuine.first], sides)
    people = len(evaluation.units.labels)
    fold = generator.permutation(people) % min(FOLDS, people)
    maps = {"logistic": logistic_map, "isotonic": isotonic_map}
    fitted = {name: fit(scores.genuine, scores.impostor) for name, fit in maps.items()}
    entry = {
        "genuine_pairs": len(genuine), "impostor_pairs": len(impostor), "folds": int(fold.max()) + 1,
        "cllr": {name: cllr(ratio(scores.genuine), ratio(scores.impostor)) for name, ratio in fitted.items()},
        "cllr_cross_validated": {name: _number(cross_validated(scores, fit, fold)) for name, fit in maps.items()},
        "min_cllr": min_cllr(scores.genuine, scores.impostor),
        "llr_at_threshold": {name: float(ratio(np.array([evaluation.point.threshold]))[0])
                             for name, ratio in fitted.items()},
    }  # fmt: skip
    grid = np.linspace(-1, 1, 201)
    columns = [ratio(grid).tolist() for ratio in fitted.values()]
    return entry, list(zip(grid.round(2).tolist(), *columns, strict=True))


def _unit_groups(evaluation: SetEvaluation, codes: np.ndarray) -> np.ndarray:
    """The group of each unit: that of its faces if they agree, else -1."""
    unit_of = evaluation.units.unit_of
    faces = np.flatnonzero(unit_of >= 0)
    group = codes[evaluation.units.face]
    differs = codes[faces] != group[unit_of[faces]]
    group[unit_of[faces[differs]]] = -1
    return np.asarray(group)


def _rate(name: str, rate: Rate, best: float | None) -> Mapping[str, Any]:
    entry: dict[str, Any] = {
        name: _number(rate.value), f"{name}_errors": rate.errors, f"{name}_pairs": rate.pairs,
        f"{name}_few_errors": rate.errors < FEW,
    }  # fmt: skip
    entry[f"{name}_interval"] = interval(rate.samples)
    if best is not None:
        entry[f"{name}_ratio"] = _number(rate.value / best) if best else None
    return entry


def _lowest(rates: list[Rate]) -> float:
    """The lowest rate of groups that have pairs; 0 if none has."""
    return min((rate.value for rate in rates if rate.pairs), default=0.0)


def _some(pairs: ScoredPairs, generator: np.random.Generator) -> ScoredPairs:
    if len(pairs) <= MOST_FITTED:
        return pairs
    return pairs.of(np.sort(generator.choice(len(pairs), MOST_FITTED, replace=False)))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
