"""A comparison in words: what the runs establish, and what they leave open."""

from __future__ import annotations

from collections.abc import Sequence

from eval.report.comparison import FALLBACK_FMR, GENUINE_ERRORS, IMPOSTOR_ERRORS, Table
from eval.report.paired import Difference, difference, why_not_comparable

BOUNDS = {"labelled": "labelled only", "supervised": "fully supervised"}


def summary(table: Table) -> str:
    """What the runs establish, in a few sentences; see `findings`."""
    return " ".join(findings(table))


def findings(table: Table) -> list[str]:
    """What the runs establish: which backends differ, how all of them differ from the bounds, which clusters are best.

    Two rows differ if the paired difference of their FNMR is significant, see `Difference.is_real`.

    Returns:
        Statements of one or two sentences. The first is the headline.
    """
    fnmr = {run.name: run.metrics["fnmr_at_fmr"][table.fmr] for run in table.runs}
    ranked = sorted((run.name for run in table.runs if run.is_backend), key=lambda name: fnmr[name])
    if not ranked:
        figures = ", ".join(f"{BOUNDS[name]} {_percent(value)}" for name, value in fnmr.items())
        return [f"FNMR at FMR {table.fmr}: {figures}."]
    against = [_against_bound(table, ranked, bound) for bound in BOUNDS if bound in fnmr]
    return list(filter(None, [_ranking(table, ranked), *against, _gap(table, ranked), _agreement(table, ranked)]))


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


def _ranking(table: Table, ranked: Sequence[str]) -> str:
    """Whether there is a winner; `ranked` are the backends, lowest FNMR first."""
    best, at = ranked[0], f"FMR {table.fmr}"
    if len(ranked) == 1:
        return f"Backend {best}: FNMR {_fnmr(table, best)} at {at}."
    lowest = f"{best} has the lowest FNMR at {at}, {_fnmr(table, best)}"
    differs = {name: _differs(table, name, best) for name in ranked[1:]}
    if None in differs.values():
        other = next(name for name, value in differs.items() if value is None)
        why = why_not_comparable(table.run(other), table.run(best)) or "their samples cannot be compared"
        second = f"the next, {ranked[1]}, has {_fnmr(table, ranked[1])}"
        return f"{lowest}; {second}. Whether they differ significantly is unknown: {why}."
    if not any(_differs(table, one, other) for i, one in enumerate(ranked) for other in ranked[i + 1 :]):
        return (
            f"There is no winner: the {len(ranked)} backends cannot be told apart. "
            f"Their FNMR is {_range([table.fnmr(name) for name in ranked])} at {at}."
        )
    rivals = [name for name in ranked[1:] if not differs[name]]
    others = [name for name in ranked[1:] if differs[name]]
    if not rivals:
        return f"{best} makes the best pseudo-labels. {lowest}, significantly lower than {_listed(others, table)}."
    worse = f" {_listed(others)} {_verb(others, 'is', 'are')} significantly worse." if others else ""
    return (
        f"There is no single winner: {lowest}, but {_listed(rivals, table)} {_verb(rivals, 'does', 'do')} not differ "
        f"significantly from it.{worse}"
    )


def _against_bound(table: Table, ranked: Sequence[str], bound: str) -> str:
    """Which backends differ from a bound, and in which direction."""
    name = f"{BOUNDS[bound]} ({_fnmr(table, bound)})"
    groups: dict[str, list[str]] = {"better": [], "worse": [], "same": []}
    for row in ranked:
        differs = _differs(table, row, bound)
        if differs is None:
            return f"{BOUNDS[bound].capitalize()} has an FNMR of {_fnmr(table, bound)}."
        groups[("better" if table.fnmr(row) < table.fnmr(bound) else "worse") if differs else "same"].append(row)
    parts = [
        f"{_all(rows, ranked)} {_verb(rows, 'is', 'are')} significantly {kind} than {name}"
        for kind, rows in groups.items()
        if rows and kind != "same"
    ]
    if same := groups["same"]:
        none = len(same) == len(ranked) > 1
        subject = f"{_none(len(same))} differs" if none else f"{_listed(same)} {_verb(same, 'does', 'do')} not differ"
        parts.append(f"{subject} significantly from {name}")
    text = "; ".join([parts[0], *(part.replace(name, "it") for part in parts[1:])])
    is_word = text.startswith(("all ", "both ", "none of ", "neither "))
    return f"{text[0].upper() if is_word else text[0]}{text[1:]}."


def _gap(table: Table, ranked: Sequence[str]) -> str:
    """The share of the gap between the bounds that the backends close, if it means anything."""
    names = {run.name for run in table.runs}
    if not names.issuperset(BOUNDS):
        return ""
    if table.fnmr("labelled") <= table.fnmr("supervised"):
        return "True labels do not help here: fully supervised is no better. So these runs cannot rank the backends."
    if _differs(table, "supervised", "labelled") is False:
        return "The bounds do not differ significantly from each other. So these runs cannot rank the backends."
    shares = [share for name in ranked if (share := table.value(name, "gap_recovered")) is not None]
    text = f"{100 * min(shares):.0f}" + (f" to {100 * max(shares):.0f}" if len(shares) > 1 else "")
    subject = f"{ranked[0]} closes" if len(ranked) == 1 else "The backends close"
    return f"{subject} {text.replace('-', '−')} % of the gap between labelled only and fully supervised."


def _agreement(table: Table, ranked: Sequence[str]) -> str:
    scores = {run.name: run.clusters["bcubed_f"] for run in table.runs if run.is_backend and run.clusters}
    if len(scores) < 2:
        return ""
    clusterer = max(scores, key=lambda name: scores[name])
    text = f"{clusterer} has the most accurate clusters (BCubed F {scores[clusterer]:.3f}"
    best = ranked[0]
    return f"{text})." if best == clusterer or best not in scores else f"{text}; {best}: {scores[best]:.3f})."


def _differs(table: Table, one: str, other: str) -> bool | None:
    """Whether the FNMR of two rows differs significantly; None if nobody knows."""
    found = difference(table.run(one), table.run(other), f"fnmr@{table.fmr}")
    return None if found is None else found.is_real


def _fnmr(table: Table, name: str) -> str:
    return _percent(table.fnmr(name))


def _listed(names: Sequence[str], table: Table | None = None) -> str:
    """Names, with their FNMR if a table is given: a, b and c."""
    texts = [name if table is None else f"{name} ({_fnmr(table, name)})" for name in names]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _all(names: Sequence[str], ranked: Sequence[str]) -> str:
    """Names, or how many they are if they are all the backends."""
    if len(names) < len(ranked) or len(names) == 1:
        return _listed(names)
    return "both backends" if len(names) == 2 else f"all {len(names)} backends"


def _none(count: int) -> str:
    return "neither backend" if count == 2 else f"none of the {count} backends"


def _verb(names: Sequence[str], singular: str, plural: str) -> str:
    return singular if len(names) == 1 else plural


def _range(values: Sequence[float]) -> str:
    low, high = _percent(min(values)), _percent(max(values))
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"
