"""Several trainings of one row: the metrics of each, and their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.report.intervals import Intervals

FOLDER = "seeds"
"""In the folder of a row: a folder for each further training, named by its number."""


def further_trainings(folder: Path) -> list[Path]:
    """The folders of a row's further trainings, in the order of their numbers."""
    found = [path for path in (folder / FOLDER).glob("*") if path.name.isdecimal() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name))


def mean_metrics(trainings: Sequence[Mapping[str, Any]], samples: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """``metrics.json`` of one row: rates are means over its trainings with their intervals, the rest is of the first.

    Args:
        trainings: ``metrics.json`` of each, at least one.
        samples: Figure to its bootstrap samples, float64 [trainings, samples]; empty if there are none.
    """
    first = dict(trainings[0])
    if len(trainings) == 1:
        return first
    rates = [name for name in first if name.startswith(("fnmr_", "fnir_", "tar_", "rank")) or name in ("eer", "auc")]
    metrics = {**first, **{name: _mean([each[name] for each in trainings]) for name in rates}}
    if samples:
        means = np.stack([each.mean(axis=0) for each in samples.values()], axis=1)
        metrics["intervals"] = Intervals(list(samples), means, {}, {}).entries(metrics, first["intervals"]["seed"])
    return metrics


def figure_of(metrics: Mapping[str, Any], figure: str) -> float:
    """A figure by its name among ``intervals.figures``, such as ``fnmr@1e-4``, ``fnir@1e-2/G1`` or ``rank1``."""
    name, _, gallery = figure.partition("/")
    kind, _, rate = name.partition("@")
    counts: Any = metrics["counts"]
    if kind == "fnmr":
        return float(metrics["fnmr_at_fmr"][rate])
    if kind == "fnir":
        return float(metrics["fnir_at_fpir_per_gallery"][gallery][rate] if gallery else metrics["fnir_at_fpir"][rate])
    counted = counts["identification"][gallery] if gallery else {}
    return float(counted[f"{kind}_hits"] / counted["mated_probes"] if gallery else metrics[kind])


def _mean(values: Sequence[Any]) -> Any:
    if isinstance(values[0], Mapping):
        return {name: _mean([each[name] for each in values]) for name in values[0]}
    return None if any(value is None for value in values) else sum(values) / len(values)
