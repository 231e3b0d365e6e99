"""Runs as a table: which figure goes into which column, which is best, and what it says in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eval.report.paired import Difference, difference, why_not_comparable
from eval.report.runs import Run

GENUINE_ERRORS, IMPOSTOR_ERRORS = 10, 100
FALLBACK_FMR = "1e-2"
MEBIBYTE = 1 << 20
NOTHING = "–"


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
    """

    runs: list[Run]
    fmr: str
    values: list[dict[str, float | None]]

    def value(self, name: str, key: str) -> float | None:
        """The number of a run in a column, None if the run or the number is not there."""
        return next((row[key] for run, row in zip(self.runs, self.values, strict=True) if run.name == name), None)

    def is_best(self, index: int, column: Column) -> bool:
        """Whether a run is the best backend (of two or more) in a column."""
        rivals = [
            column.better * number
            for run, row in zip(self.runs, self.values, strict=True)
            if run.is_backend and (number := row[column.key]) is not None
        ]
        number = self.values[index][column.key]
        if not (column.better and self.runs[index].is_backend and number is not None and len(rivals) > 1):
            return False
        return column.better * number == max(rivals)

    def text(self, index: int, column: Column) -> str:
        """A number in print: with † where the impostors are too few for the rate, ‡ where errors are fewer than ten."""
        text = write(self.values[index][column.key], column.kind)
        few = any(name.partition("/")[0] == column.key for name in self.runs[index].metrics.get("few_errors", []))
        if column.key.startswith("fnmr@"):
            point = self.runs[index].metrics["counts"]["verification"].get(column.heading, {})
            if not point.get("supported", True):
                return text + "†"
        return text + ("‡" if few else "")


def tabulate(runs: list[Run]) -> Table:
    """Collects every column of every run."""
    fmr = gap_fmr(runs)
    fnmr = {run.name: run.metrics["fnmr_at_fmr"][fmr] for run in runs}
    return Table(runs, fmr, [{**_figures(run), "gap_recovered": gap_recovered(fnmr, run.name)} for run in runs])


def gap_fmr(runs: Sequence[Run]) -> str:
    """The lowest FMR at which every run has 10 genuine and 100 impostor errors; 1e-2 if there is none."""
    for fmr in sorted(runs[0].metrics["fnmr_at_fmr"], key=float):
        points = [run.metrics["counts"]["verification"][fmr] for run in runs]
        if all(p["false_non_matches"] >= GENUINE_ERRORS and p["false_matches"] >= IMPOSTOR_ERRORS for p in points):
            return fmr
    return FALLBACK_FMR


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


def markdown(table: Table) -> str:
    """The table for a README; percentages where the heading says so, the best backend's figures in bold."""
    headings = ["row", *(column.title for column in COLUMNS)]
    lines = [headings, ["---", *["---:"] * len(COLUMNS)]]
    for index, run in enumerate(table.runs):
        texts = [table.text(index, column) for column in COLUMNS]
        best = [table.is_best(index, column) for column in COLUMNS]
        lines.append([run.name, *(f"**{text}**" if bold else text for text, bold in zip(texts, best, strict=True))])
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    compared = "\n".join(f"| {' | '.join(line)} |" for line in _paired_lines(table))
    return f"{text}\n\n{summary(table)}\n\nGap recovered: {gap_note(table)}\n" + (f"\n{compared}\n" if compared else "")


def latex(table: Table) -> str:
    """The table for a paper (needs the package booktabs), the best backend's figures in bold."""
    lines = [" & ".join(["row", *(_escaped(column.title) for column in COLUMNS)])]
    for index, run in enumerate(table.runs):
        cells = [_escaped(table.text(index, column)) for column in COLUMNS]
        best = [table.is_best(index, column) for column in COLUMNS]
        cells = [rf"\textbf{{{cell}}}" if bold else cell for cell, bold in zip(cells, best, strict=True)]
        lines.append(" & ".join([_escaped(run.name), *cells]))
    body = " \\\\\n".join(lines[1:])
    columns = "l" + "r" * len(COLUMNS)
    return (
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{lines[0]} \\\\\n\\midrule\n{body} \\\\\n"
        "\\bottomrule\n\\end{tabular}\n"
    )


def against_best(table: Table) -> list[Difference]:
    """FNMR of every other row less that of the best backend, at the FMR of the gap; those that can be compared."""
    backends = [run for run in table.runs if run.is_backend] or table.runs
    best = min(backends, key=lambda run: run.metrics["fnmr_at_fmr"][table.fmr])
    found = [difference(run, best, f"fnmr@{table.fmr}") for run in table.runs if run is not best]
    return [each for each in found if each is not None]


def verdict(each: Difference) -> str:
    """A difference in words."""
    if not each.is_real:
        return "chance can make it"
    return f"worse than {each.other}" if each.value > 0 else f"better than {each.other}"


def points(fraction: float) -> str:
    """A difference of rates in percentage points, with its sign."""
    return f"{100 * fraction:+.2f}".replace("-", "−")


def _paired_lines(table: Table) -> list[list[str]]:
    found = against_best(table)
    if not found:
        return []
    heading = f"FNMR@{table.fmr} less that of {found[0].other}, points"
    rows = [
        [each.run, points(each.value), f"{points(each.low)} to {points(each.high)}", f"{each.p:.3f}", verdict(each)]
        for each in found
    ]
    return [["row", heading, "95 % interval", "p", "verdict"], ["---", "---:", "---:", "---:", "---"], *rows]


def _escaped(text: str) -> str:
    """Text for LaTeX."""
    marks = {"%": r"\%", "_": r"\_", "&": r"\&", "#": r"\#", "−": "$-$", "–": "--", "†": r"\dag", "‡": r"\ddag"}
    return "".join(marks.get(letter, letter) for letter in text)


def gap_note(table: Table) -> str:
    """What the column *gap recovered* means in this table."""
    return (
        f"(labelled − row) / (labelled − supervised) of FNMR at FMR {table.fmr}, the lowest FMR at which every row has "
        f"at least {GENUINE_ERRORS} genuine and {IMPOSTOR_ERRORS} impostor errors ({FALLBACK_FMR} if there is none)."
    )


def summary(table: Table) -> str:
    """What the numbers say, in two or three sentences."""
    fnmr = {run.name: run.metrics["fnmr_at_fmr"][table.fmr] for run in table.runs}
    ranked = sorted((run.name for run in table.runs if run.is_backend), key=lambda name: fnmr[name])
    if not ranked:
        figures = ", ".join(f"{name} {_percent(value)}" for name, value in fnmr.items())
        return f"FNMR at FMR {table.fmr}: {figures}."
    best = ranked[0]
    subject = (
        f"Of {len(ranked)} backends, {best} makes the best pseudo-labels" if len(ranked) > 1 else f"Backend {best}"
    )
    sentences = [f"{subject}: FNMR {_percent(fnmr[best])} at FMR {table.fmr}{_between(fnmr, best)}."]
    if len(ranked) > 1:
        sentences += [_runner_up(table, fnmr, ranked), _agreement(table, best)]
    return " ".join(filter(None, sentences))


def _between(fnmr: dict[str, float], best: str) -> str:
    lower, upper = fnmr.get("labelled"), fnmr.get("supervised")
    against = [f"{_percent(lower)} with the labelled faces alone"] if lower is not None else []
    against += [f"{_percent(upper)} with every true label"] if upper is not None else []
    text = f", against {' and '.join(against)}" if against else ""
    gap = gap_recovered(fnmr, best)
    if gap is not None:
        return f"{text}: {100 * gap:.0f} % of the gap recovered"
    if lower is not None and upper is not None:
        return f"{text}. True labels do not help here, so that these runs cannot rank the backends"
    return text


def _runner_up(table: Table, fnmr: dict[str, float], ranked: list[str]) -> str:
    pairs = table.runs[0].metrics["counts"]["genuine_pairs"]
    more = round((fnmr[ranked[1]] - fnmr[ranked[0]]) * pairs)
    if more == 0:
        return f"The next, {ranked[1]}, rejects just as many of the {pairs:,} genuine pairs."
    best, second = (next(run for run in table.runs if run.name == name) for name in ranked[:2])
    said = f"The next, {ranked[1]}, rejects {more:,} more of the {pairs:,} genuine pairs"
    each = difference(second, best, f"fnmr@{table.fmr}")
    if each is None:
        return f"{said}. Whether chance can make that cannot be said: {why_not_comparable(second, best)}."
    ends = f"{points(each.low)} to {points(each.high)} points (paired bootstrap over subjects, 95 %)"
    return f"{said}, {ends}: {'more than chance makes' if each.is_real else 'a difference that chance alone can make'}."


def _agreement(table: Table, best: str) -> str:
    scores = {run.name: run.clusters["bcubed_f"] for run in table.runs if run.is_backend and run.clusters}
    if len(scores) < 2 or best not in scores:
        return ""
    clusterer = max(scores, key=lambda name: scores[name])
    if clusterer == best:
        return f"Its clusters are also the truest (BCubed F {scores[best]:.3f})."
    return (
        f"The truest clusters are those of {clusterer} (BCubed F {scores[clusterer]:.3f} against {scores[best]:.3f})."
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


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
        "seconds": stage.get("seconds"),
        "memory_mib": None if memory is None else memory / MEBIBYTE,
    }
