"""A comparison in words: the best backend, the next, and whether their difference is significant."""

from __future__ import annotations

from eval.report.comparison import FALLBACK_FMR, GENUINE_ERRORS, IMPOSTOR_ERRORS, Table, gap_recovered
from eval.report.paired import Difference, difference, why_not_comparable


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


def gap_note(table: Table) -> str:
    """What the column *gap recovered* means in this table."""
    return (
        f"(labelled − row) / (labelled − supervised) of FNMR at FMR {table.fmr}, the lowest FMR at which every row has "
        f"at least {GENUINE_ERRORS} genuine and {IMPOSTOR_ERRORS} impostor errors ({FALLBACK_FMR} if there is none)."
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
        return "not significant"
    return f"worse than {each.other}" if each.value > 0 else f"better than {each.other}"


def points(fraction: float) -> str:
    """A difference of rates in percentage points, with its sign."""
    return f"{100 * fraction:+.2f}".replace("-", "−")


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
        return f"{said}. Its significance is unknown: {why_not_comparable(second, best)}."
    ends = f"{points(each.low)} to {points(each.high)} points (paired bootstrap over subjects, 95 %)"
    return f"{said}, {ends}: {'' if each.is_real else 'not '}significant."


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
