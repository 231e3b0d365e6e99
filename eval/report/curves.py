"""The curves of an evaluation as CSV files and plots: DET (1:1), IET and CMC (1:N)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.metrics.fnir import Search, cmc_curve
from eval.report.intervals import Limits
from eval.report.plots import plot_det, plot_iet
from facerec.pipeline.files import write_table


def write_det(out: Path, curve: Sequence[tuple[float, float, float]], limits: Limits | None = None) -> Any:
    """Writes det.csv and det.png; returns the figure.

    Args:
        out: The folder.
        curve: From `det_curve`.
        limits: FMR to the interval of FNMR, if there are any.
    """
    names = [] if limits is None else ["fnmr_low", "fnmr_high"]
    rows = [[*point, 1 - point[1], *_ends(limits, point[0])] for point in curve]
    write_table(out / "det.csv", ["fmr", "fnmr", "threshold", "tar", *names], rows)
    return plot_det({"": [point[:2] for point in curve]}, out / "det.png", {"": _band(limits)})


def write_iet(
    out: Path,
    curve: Sequence[Sequence[float]],
    galleries: Sequence[str],
    limits: Limits | None,
    thresholds: Sequence[Sequence[float]] = (),
) -> Any:
    """Writes iet.csv and iet.png; returns the figure.

    Args:
        out: The folder.
        curve: From `iet_curve`.
        galleries: Names of the galleries.
        limits: FPIR to the interval of the mean FNIR, if there are any.
        thresholds: From `iet_thresholds`; empty if they are not to be written.
    """
    names = [] if limits is None else ["fnir_mean_low", "fnir_mean_high"]
    names += [f"threshold_{name}" for name in galleries] if thresholds else []
    of_each = thresholds or [()] * len(curve)
    rows = [[*point, *_ends(limits, point[0]), *those] for point, those in zip(curve, of_each, strict=True)]
    write_table(out / "iet.csv", ["fpir", *(f"fnir_{name}" for name in galleries), "fnir_mean", *names], rows)
    return plot_iet({"": [(point[0], point[-1]) for point in curve]}, out / "iet.png", {"": _band(limits)})


def write_cmc(out: Path, searches: Sequence[Search], galleries: Sequence[str]) -> None:
    """Writes cmc.csv."""
    write_table(out / "cmc.csv", ["rank", *galleries, "mean"], cmc_curve(searches))


def _ends(limits: Limits | None, rate: float) -> Sequence[float | str]:
    return () if limits is None else limits.get(rate) or ("", "")


def _band(limits: Limits | None) -> list[tuple[float, ...]]:
    return [(rate, *ends) for rate, ends in sorted((limits or {}).items()) if ends]
