"""Runs as a table: which figure goes into which column, and which is best."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.comparison.paired import Compared, compared, why_not_compared
from eval.comparison.runs import Run

GENUINE_ERRORS, IMPOSTOR_ERRORS = 10, 100
FALLBACK_FMR = "1e-2"
MEBIBYTE = 1 << 20
NOTHING = "–"
MARKS = {
    "†": "Too few impostor pairs for even one error at this rate: the threshold lies above all of them.",
    "‡": "The figure rests on fewer than ten errors.",
}


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        key: Its name in ``comparison.csv``.
        group: What stands above several headings.
        heading: What stands above its numbers.
        kind: ``percent``, ``fraction``, ``count`` or ``seconds``: how a number is written.
        better: 1 if more is better, -1 if less, 0 if neither.
    """

    key: str
    group: str
    heading: str
    kind: str
    better: int

    @property
    def title(self) -> str:
        """Group and heading in one, as in ``1:1 FNMR@1e-2 %``."""
        group, _, rate = self.group.partition(" at ")
        unit = " %" if self.kind == "percent" else ""
        return f"{group}{'@' if rate else ' '}{self.heading}{unit}"


COLUMNS = (
    Column("pairwise_f", "Clusters", "Fp", "fraction", 1),
    Column("bcubed_f", "Clusters", "Fb", "fraction", 1),
    Column("nmi", "Clusters", "NMI", "fraction", 1),
    Column("clusters", "Clusters", "found", "count", 0),
    Column("identities", "Clusters", "true", "count", 0),
    Column("purity", "Pseudo-labels", "purity", "percent", 1),
    Column("faces_used", "Pseudo-labels", "faces", "count", 0),
    *(Column(f"fnmr@{f}", "1:1 FNMR at FMR", f, "percent", -1) for f in ("1e-1", "1e-2", "1e-3", "1e-4")),
    *(Column(f"fnir@{f}", "1:N FNIR at FPIR", f, "percent", -1) for f in ("1e-1", "1e-2")),
    Column("rank1", "1:N", "rank 1", "percent", 1),
    Column("gap_recovered", "Gap", "recovered", "percent", 1),
    Column("steps", "Training", "steps", "count", 0),
    Column("trainings", "Training", "runs", "count", 0),
    Column("seconds", "Clustering", "seconds", "seconds", -1),
    Column("memory_mib", "Clustering", "MiB", "count", -1),
)


@dataclass(frozen=True)
class Table:
    """Runs in rows.

    Attributes:
        runs: The runs.
        fmr: The FMR at which the gap is measured.
        values: One mapping a run, column key to number or None.
        training_sd: Assumed standard deviation from training to training, a fraction; counts where runs have one.
    """

    runs: list[Run]
    fmr: str
    values: list[dict[str, float | None]]
    training_sd: float = 0.0

    @property
    def columns(self) -> list[Column]:
        """The columns in which at least one run has a number."""
        return [column for column in COLUMNS if any(row[column.key] is not None for row in self.values)]

    @functools.cached_property
    def compared(self) -> Compared | None:
        """FNMR of the runs in pairs, at the FMR of the gap; None if that cannot be done, see `why_not`."""
        return compared(self.runs, f"fnmr@{self.fmr}", self.training_sd)

    @property
    def why_not(self) -> str:
        """Why the runs cannot be compared."""
        return why_not_compared(self.runs) or "too few bootstrap samples have this figure"

    def run(self, name: str) -> Run:
        """The run of that name."""
        return next(run for run in self.runs if run.name == name)

    def fnmr(self, name: str) -> float:
        """The FNMR of a run at the FMR of the gap."""
        return float(self.run(name).metrics["fnmr_at_fmr"][self.fmr])

    def threshold(self, name: str) -> float:
        """The threshold of a run at that FMR."""
        return float(self.run(name).metrics["counts"]["verification"][self.fmr]["threshold"])

    def value(self, name: str, key: str) -> float | None:
        """The number of a run in a column, None if the run or the number is not there."""
        return next((row[key] for run, row in zip(self.runs, self.values, strict=True) if run.name == name), None)

    def is_best(self, index: int, column: Column) -> bool:
        """Whether a run is the best backend in a column in which backends differ."""
        rivals = [
            column.better * number
            for run, row in zip(self.runs, self.values, strict=True)
            if run.is_backend and (number := row[column.key]) is not None
        ]
        number = self.values[index][column.key]
        if not (column.better and self.runs[index].is_backend and number is not None and len(set(rivals)) > 1):
            return False
        return column.better * number == max(rivals)

    def text(self, index: int, column: Column) -> str:
        """A number in print: † if impostors are too few for the rate, ‡ if a training has fewer than ten errors."""
        text = write(self.values[index][column.key], column.kind) + self._spread(index, column)
        doubted = {name.partition("/")[0] for each in self.runs[index].each for name in each.get("few_errors", [])}
        if column.key.startswith("fnmr@"):
            point = self.runs[index].metrics["counts"]["verification"].get(column.heading, {})
            if not point.get("supported", True):
                return text + "†"
        return text + ("‡" if column.key in doubted else "")

    def cells(self, index: int) -> list[tuple[str, bool]]:
        """The number of a run in each column in print, and whether it is the best."""
        return [(self.text(index, column), self.is_best(index, column)) for column in self.columns]

    def _spread(self, index: int, column: Column) -> str:
        """± the standard deviation over trainings of a rate, if there are several."""
        run = self.runs[index]
        if run.count < 2 or not (column.key.startswith(("fnmr@", "fnir@")) or column.key == "rank1"):
            return ""
        return f" ±{100 * np.std(run.values(column.key), ddof=1):.2f}"


def tabulate(runs: list[Run], training_sd: float = 0.0) -> Table:
    """Collects every column of every run; `training_sd` as of `Table`."""
    fmr = gap_fmr(runs)
    fnmr = {run.name: run.metrics["fnmr_at_fmr"][fmr] for run in runs}
    values = [{**_figures(run), "gap_recovered": gap_recovered(fnmr, run.name)} for run in runs]
    return Table(runs, fmr, values, training_sd)


def gap_fmr(runs: Sequence[Run]) -> str:
    """The lowest FMR at which every training has 10 genuine and 100 impostor errors; 1e-2 if there is none."""
    for fmr in reversed(shared_rates(runs)):
        points = [each["counts"]["verification"][fmr] for run in runs for each in run.each]
        if all(p["false_non_matches"] >= GENUINE_ERRORS and p["false_matches"] >= IMPOSTOR_ERRORS for p in points):
            return fmr
    return FALLBACK_FMR


def shared_rates(runs: Sequence[Run]) -> list[str]:
    """The FMRs that all reports have, falling; those of eval folder also have that of --fmr."""
    return sorted(set.intersection(*(set(run.metrics["fnmr_at_fmr"]) for run in runs)), key=float, reverse=True)


def gap_recovered(fnmr: dict[str, float], name: str) -> float | None:
    """(labelled - row) / (labelled - supervised) of FNMR; None unless supervised is better than labelled."""
    lower, upper = fnmr.get("labelled"), fnmr.get("supervised")
    if lower is None or upper is None or lower <= upper:
        return None
    return (lower - fnmr[name]) / (lower - upper)


def write(number: float | None, kind: str) -> str:
    """A number in print."""
    if number is None:
        return NOTHING
    if kind == "percent":
        return f"{100 * number:.2f}".replace("-", "−")
    return f"{number:.3f}" if kind == "fraction" else f"{number:,.1f}" if kind == "seconds" else f"{number:,.0f}"


def _figures(run: Run) -> dict[str, float | None]:
    clusters, pseudo, stage = run.clusters or {}, run.pseudo or {}, run.metas.get("clusters", {})
    memory = stage.get("peak_memory_bytes")
    return {
        **{key: clusters.get(key) for key in ("pairwise_f", "bcubed_f", "nmi", "clusters", "identities")},
        "purity": pseudo.get("purity"),
        "faces_used": pseudo.get("assigned"),
        **{f"fnmr@{f}": fnmr for f, fnmr in run.metrics["fnmr_at_fmr"].items()},
        **{f"fnir@{f}": fnir for f, fnir in run.metrics["fnir_at_fpir"].items()},
        "rank1": run.metrics["rank1"],
        "steps": run.metas.get("model", {}).get("config", {}).get("steps"),
        "trainings": run.count if run.trainings else None,
        "seconds": stage.get("seconds"),
        "memory_mib": None if memory is None else memory / MEBIBYTE,
    }
