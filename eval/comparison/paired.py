"""Which runs differ: every two of them on the same drawn test people, and over several trainings of each.

Two runs on one protocol share its easy and its hard people, so their figures go up and down together from sample to
sample. So their difference is known far better than either figure. `eval ijb --bootstrap` keeps the samples of every
figure. With the same seed and number they are of the same people. `eval.trainings` does the statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from eval.comparison.runs import Run
from eval.trainings.analysis import LEAST_DRAWS, LEVEL, Comparison, compare_rows
from eval.trainings.multiple import groups


@dataclass(frozen=True)
class Difference:
    """A figure of one run less that of another.

    Attributes:
        figure: E.g. ``fnmr@1e-4``.
        run: The one.
        other: The other.
        value: The difference of the means over trainings.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: p value, not corrected.
        adjusted: p after Holm's correction for all pairs of the figure.
    """

    figure: str
    run: str
    other: str
    value: float
    low: float
    high: float
    p: float
    adjusted: float

    @property
    def is_real(self) -> bool:
        """Whether it is significant after the correction."""
        return self.adjusted <= LEVEL


@dataclass(frozen=True)
class Compared:
    """Runs compared in one figure.

    Attributes:
        figure: Its name.
        names: The runs, in the order of the matrices of `found`.
        trainings: Number of trainings of each run.
        found: The comparison.
    """

    figure: str
    names: list[str]
    trainings: int
    found: Comparison

    def _difference(self, one: str, other: str) -> Difference:
        at, found = (self.names.index(one), self.names.index(other)), self.found
        numbers = (found.difference, found.low, found.high, found.p, found.adjusted)
        return Difference(self.figure, one, other, *(float(each[at]) for each in numbers))

    def differs(self, one: str, other: str) -> bool | None:
        """Whether two runs differ significantly; None if nobody knows."""
        return self._difference(one, other).is_real if {one, other} <= set(self.names) else None

    def letters(self, name: str) -> str:
        """The letters of a run, "" if it was not compared: runs that share one cannot be told apart."""
        return self.found.letters[self.names.index(name)] if name in self.names else ""

    def groups(self, names: Sequence[str]) -> list[list[str]]:
        """The largest groups of these runs that cannot be told apart, lowest figure first."""
        places = [self.names.index(name) for name in names]
        order = sorted(places, key=lambda place: self.found.mean[place])
        return [[self.names[place] for place in group] for group in groups(order, self.found.differs)]

    def pairs(self) -> Iterator[Difference]:
        """The differences of every two runs, the earlier less the later."""
        return (self._difference(one, other) for one, other in combinations(self.names, 2))


def compared(runs: Sequence[Run], figure: str, training_sd: float = 0.0) -> Compared | None:
    """Compares runs; None where `why_not_compared` has a reason.

    Args:
        runs: Those with fewer trainings than others are left out.
        figure: Its name.
        training_sd: Standard deviation from training to training, a fraction; counts where each run has one training.
    """
    rows = most_trained(runs)
    if why_not_compared(runs) or not all(figure in run.samples for run in rows):
        return None
    values = np.stack([run.values(figure) for run in rows])
    samples = np.stack([run.samples[figure] for run in rows])
    if np.count_nonzero(~np.isnan(samples).any(axis=(0, 1))) < LEAST_DRAWS:
        return None
    return Compared(figure, [run.name for run in rows], values.shape[1], compare_rows(values, samples, training_sd))


def most_trained(runs: Sequence[Run]) -> list[Run]:
    """The runs that have as many trainings as any."""
    most = max(run.count for run in runs)
    return [run for run in runs if run.count == most]


def why_not_compared(runs: Sequence[Run]) -> str:
    """Why runs cannot be compared in pairs; empty if they can."""
    rows = most_trained(runs)
    if len(rows) < 2:
        return "there is one row" if len(runs) < 2 else "the rows have different numbers of trainings"
    reasons = (why_not_comparable(rows[0], row) for row in rows[1:])
    return next(filter(None, reasons), "")


def why_not_comparable(run: Run, other: Run) -> str:
    """Why two runs cannot be compared in pairs; empty if they can."""
    for each in (run, other):
        if not each.samples:
            return f"{each.name} has no bootstrap samples (python -m eval ijb --bootstrap 1000)"
    for name in ("samples", "seed"):
        ours, theirs = (each.metrics["intervals"][name] for each in (run, other))
        if ours != theirs:
            return f"{name} {ours} in {run.name} and {theirs} in {other.name}"
    if run.metrics["intervals"]["samples"] < LEAST_DRAWS:
        return f"{run.metrics['intervals']['samples']} bootstrap samples are fewer than {LEAST_DRAWS}"
    hashes = [each.metas.get("ijb", {}).get("inputs", {}).get("protocol", {}).get("hash") for each in (run, other)]
    return "" if hashes[0] == hashes[1] else f"{run.name} and {other.name} were evaluated on different protocols"


def all_differences(runs: Sequence[Run], training_sd: float) -> list[Difference]:
    """Every figure of every pair of runs, the earlier less the later."""
    found = [compared(runs, figure, training_sd) for figure in most_trained(runs)[0].samples]
    return [each for some in found if some is not None for each in some.pairs()]
