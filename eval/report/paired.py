"""Is one run really better than another? Paired bootstrap: both on the same drawn subjects, sample by sample.

Two runs on one protocol share its easy and its hard subjects, so their figures go up and down together from sample to
sample, and their difference is known far better than either figure. `eval ijb --bootstrap` leaves the samples of every
figure behind; with the same seed and number they are of the same subjects, and are subtracted here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.bootstrap.resampling import interval
from eval.report.runs import Run

HIGHEST_P = 0.05


@dataclass(frozen=True)
class Difference:
    """A figure of one run less that of another.

    Attributes:
        figure: E.g. ``fnmr@1e-4``.
        run: The one.
        other: The other.
        value: The difference of the figures themselves.
        low: 2.5 per cent quantile of the difference over the samples.
        high: 97.5 per cent quantile.
        p: Twice the share of samples on the rarer side of 0 (those at 0 count for both), with one more there.
    """

    figure: str
    run: str
    other: str
    value: float
    low: float
    high: float
    p: float

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves out 0 and p is at most .05, which takes 39 samples or more."""
        return (self.low > 0 or self.high < 0) and self.p <= HIGHEST_P


def difference(run: Run, other: Run, figure: str) -> Difference | None:
    """A figure's difference with its interval; None where the samples do not allow it, see `why_not_comparable`."""
    if why_not_comparable(run, other) or figure not in run.samples or figure not in other.samples:
        return None
    samples = run.samples[figure] - other.samples[figure]
    samples = samples[~np.isnan(samples)]
    ends = interval(samples)
    if ends is None:
        return None
    rarer = min(np.count_nonzero(samples <= 0), np.count_nonzero(samples >= 0))
    p = min(1.0, 2 * (int(rarer) + 1) / (len(samples) + 1))
    return Difference(figure, run.name, other.name, figure_of(run, figure) - figure_of(other, figure), *ends, p)


def why_not_comparable(run: Run, other: Run) -> str:
    """Why two runs cannot be compared in pairs; empty if they can."""
    for each in (run, other):
        if not each.samples:
            return f"{each.name} has no bootstrap samples (python -m eval ijb --bootstrap 1000)"
    for name in ("samples", "seed"):
        ours, theirs = (each.metrics["intervals"][name] for each in (run, other))
        if ours != theirs:
            return f"{name} {ours} in {run.name} and {theirs} in {other.name}"
    hashes = [each.metas.get("ijb", {}).get("inputs", {}).get("protocol", {}).get("hash") for each in (run, other)]
    return "" if hashes[0] == hashes[1] else f"{run.name} and {other.name} were evaluated on different protocols"


def figure_of(run: Run, figure: str) -> float:
    """The figure itself, by the names of ``intervals.figures``."""
    name, _, gallery = figure.partition("/")
    kind, _, rate = name.partition("@")
    counts: dict[str, Any] = run.metrics["counts"]
    if kind == "fnmr":
        return float(run.metrics["fnmr_at_fmr"][rate])
    if kind == "fnir":
        return float(
            run.metrics["fnir_at_fpir_per_gallery"][gallery][rate] if gallery else run.metrics["fnir_at_fpir"][rate]
        )
    counted = counts["identification"][gallery] if gallery else {}
    return float(counted[f"{kind}_hits"] / counted["mated_probes"] if gallery else run.metrics[kind])


def all_differences(runs: list[Run]) -> list[Difference]:
    """Every figure of every pair of runs, the earlier less the later."""
    differences = [
        difference(run, other, figure)
        for index, run in enumerate(runs)
        for other in runs[index + 1 :]
        for figure in run.samples
    ]
    return [each for each in differences if each is not None]
