"""The curves of an evaluation as CSV files and plots: DET (1:1), IET and CMC (1:N)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.metrics.fnir import Points, Search, cmc_curve, mean_fnir
from eval.report.intervals import Intervals, Limits
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


@dataclass(frozen=True)
class Curves:
    """The curves of an evaluation; nothing of 1:N where there is none.

    Attributes:
        det: From `det_curve`.
        iet: From `iet_curve`.
        searches: The search in each gallery.
        galleries: Their names.
    """

    det: Sequence[tuple[float, float, float]]
    iet: Points
    searches: Sequence[Search]
    galleries: Sequence[str]

    def rates(self) -> tuple[list[float], list[float]]:
        """The FMR and the FPIR of each point."""
        return [point[0] for point in self.det], list(self.iet)

    def write(self, out: Path, intervals: Intervals | None) -> dict[str, Any]:
        """Writes the curves with their intervals, as det.csv, iet.csv, cmc.csv and PNG files.

        Returns:
            The figures of DET and IET by name.
        """
        figures = {"det": write_det(out, self.det, intervals.det if intervals else None)}
        if self.iet:
            figures["iet"] = self._write_iet(out, intervals.iet if intervals else None)
        if self.searches:
            write_table(out / "cmc.csv", ["rank", *self.galleries, "mean"], cmc_curve(self.searches))
        return figures

    def _write_iet(self, out: Path, limits: Limits | None) -> Any:
        mean, names = mean_fnir(self.iet), [] if limits is None else ["fnir_mean_low", "fnir_mean_high"]
        errors, thresholds = ([f"{kind}_{name}" for name in self.galleries] for kind in ("fnir", "threshold"))
        rows = [
            [fpir, *(point.error for point in points), mean[fpir], *_ends(limits, fpir),
             *(point.threshold for point in points)]
            for fpir, points in self.iet.items()
        ]  # fmt: skip
        write_table(out / "iet.csv", ["fpir", *errors, "fnir_mean", *names, *thresholds], rows)
        return plot_iet({"": list(mean.items())}, out / "iet.png", {"": _band(limits)})


def _ends(limits: Limits | None, rate: float) -> Sequence[float | str]:
    return () if limits is None else limits.get(rate) or ("", "")


def _band(limits: Limits | None) -> list[tuple[float, ...]]:
    return [(rate, *ends) for rate, ends in sorted((limits or {}).items()) if ends]
