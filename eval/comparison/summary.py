"""A comparison in words: what the runs establish, and what they leave open."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eval.comparison.paired import Compared, Difference
from eval.comparison.table import FALLBACK_FMR, GENUINE_ERRORS, IMPOSTOR_ERRORS, Table
from eval.trainings.power import MOST_TRAININGS, smallest_difference, too_few_people, trainings_needed

BOUND_NAMES = {"labelled": "labelled only", "supervised": "fully supervised"}
POINT = 0.01


def summary(table: Table) -> str:
    """What the runs establish, in a few sentences; see `findings`."""
    return " ".join(findings(table))


def findings(table: Table) -> list[str]:
    """What the runs establish: which backends differ, how all of them differ from the bounds, which clusters are best.

    Two rows differ if the paired difference of their FNMR is significant after Holm's correction.

    Returns:
        Statements of one or two sentences. The first is the headline.
    """
    fnmr = {run.name: run.metrics["fnmr_at_fmr"][table.fmr] for run in table.runs}
    ranked = sorted((run.name for run in table.runs if run.is_backend), key=lambda name: fnmr[name])
    if not ranked:
        figures = ", ".join(f"{BOUND_NAMES[name]} {_percent(value)}" for name, value in fnmr.items())
        return [f"FNMR at FMR {table.fmr}: {figures}."]
    against = [_against_bound(table, ranked, bound) for bound in BOUND_NAMES if bound in fnmr]
    parts = [_headline(table, ranked), *against, _gap(table, ranked), trainings_note(table), _agreement(table, ranked)]
    return list(filter(None, parts))


def gap_note(table: Table) -> str:
    """What the column *gap recovered* means in this table."""
    return (
        f"(labelled − row) / (labelled − supervised) of FNMR at FMR {table.fmr}, the lowest FMR at which every row has "
        f"at least {GENUINE_ERRORS} genuine and {IMPOSTOR_ERRORS} impostor errors ({FALLBACK_FMR} if there is none)."
    )


def verdict(each: Difference) -> str:
    """A difference in words."""
    if not each.is_real:
        return "not significant"
    return f"{each.run} is {'worse' if each.value > 0 else 'better'}"


def trainings_note(table: Table) -> str:
    """How much trainings of a row vary, and the difference that the comparison finds four times of five."""
    if table.compared is None:
        return ""
    found, trainings, rows = table.compared.found, table.compared.trainings, len(table.compared.names)
    if trainings == 1 and not found.sd:
        return "One training a row: this is about these very recognisers. Another training can change a row by more."
    people = typical_people_variance(found.people)
    text = (
        f"{trainings} trainings a row vary by {100 * found.sd:.1f} points (standard deviation)"
        if trainings > 1
        else f"Each row has one training; trainings vary by an assumed {100 * found.sd:.1f} points (standard deviation)"
    )
    needed = trainings_needed(POINT, found.sd, people, rows)
    wanted = f"{needed} trainings a row"
    if needed is None:
        few = too_few_people(POINT, people, rows)
        wanted = "more test people" if few else f"more than {MOST_TRAININGS} trainings a row"
    smallest = smallest_difference(found.sd, people, rows, trainings)
    return (
        f"{text}. A difference of {100 * smallest:.1f} points is found in four of five such comparisons. "
        f"A difference of 1 point needs {wanted}."
    )


def typical_people_variance(people: np.ndarray) -> float:
    """The median over pairs of rows, of float64 [rows, rows] as in `eval.trainings.analysis.Comparison`."""
    return float(np.median(people[np.triu_indices(len(people), 1)]))


def points(fraction: float) -> str:
    """A difference of rates in percentage points, with its sign."""
    return f"{round(100 * fraction, 2) or 0.0:+.2f}".replace("-", "−")


def _headline(table: Table, ranked: Sequence[str]) -> str:
    """Which backends are better than others, and which cannot be told apart; `ranked` has the lowest FNMR first."""
    at = f"FMR {table.fmr}"
    if len(ranked) == 1:
        return f"Backend {ranked[0]}: FNMR {_fnmr(table, ranked[0])} at {at}."
    known = [name for name in ranked if table.compared and name in table.compared.names]
    left_out = [name for name in ranked if name not in known]
    if table.compared is None:
        return f"FNMR at {at}: {_listed(ranked, table)}. Which of them differ is unknown: {table.why_not}."
    if better := _better(table.compared, known):
        said = [
            f"{_listed(some, table)} {_verb(some, 'is', 'are')} better than {_listed(worse, table)}"
            for some, worse in better
        ]
        groups = [f" {_listed(group)} cannot be told apart." for group in _alike(table.compared, known)]
        text = f"At {at} {'; '.join(said)}.{''.join(groups)}"
    elif len(known) > 1:
        text = f"{_listed(known, table)} cannot be told apart at {at}."
    else:
        text = f"FNMR at {at}: {_listed(known, table)}." if known else ""
    few = f" Not compared, because of fewer trainings: {_listed(left_out, table)}." if left_out else ""
    return (text + few).strip()


def _better(compared: Compared, ranked: Sequence[str]) -> list[tuple[list[str], list[str]]]:
    """Pairs of rows and the rows that are significantly worse; rows with the same worse ones are together."""
    found: dict[tuple[str, ...], list[str]] = {}
    for place, one in enumerate(ranked):
        if worse := tuple(other for other in ranked[place + 1 :] if compared.differs(one, other)):
            found.setdefault(worse, []).append(one)
    return [(some, list(worse)) for worse, some in found.items()]


def _alike(compared: Compared, ranked: Sequence[str]) -> list[list[str]]:
    """The largest groups of two and more that cannot be told apart."""
    return [group for group in compared.groups(ranked) if len(group) > 1]


def _against_bound(table: Table, ranked: Sequence[str], bound: str) -> str:
    """Which backends differ from a bound, and in which direction; those that were not compared are left out."""
    name = f"{BOUND_NAMES[bound]} ({_fnmr(table, bound)})"
    groups: dict[str, list[str]] = {"better": [], "worse": [], "same": []}
    compared = [(row, differs) for row in ranked if (differs := _differs(table, row, bound)) is not None]
    if not compared:
        few = table.compared is not None and bound not in table.compared.names
        text = f"{BOUND_NAMES[bound].capitalize()} has an FNMR of {_fnmr(table, bound)}"
        return f"{text}, and is not compared, because of fewer trainings." if few else f"{text}."
    for row, differs in compared:
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
    if not names.issuperset(BOUND_NAMES):
        return ""
    if table.fnmr("labelled") <= table.fnmr("supervised"):
        return "True labels do not help here: fully supervised is no better. So these runs cannot rank the backends."
    if _differs(table, "supervised", "labelled") is False:
        return "The bounds do not differ significantly from each other. So these runs cannot rank the backends."
    shares = [share for name in ranked if (share := table.value(name, "gap_recovered")) is not None]
    text = " to ".join(dict.fromkeys(f"{100 * share:.0f}" for share in (min(shares), max(shares))))
    subject = f"{ranked[0]} closes" if len(ranked) == 1 else "The backends close"
    return f"{subject} {text.replace('-', '−')} % of the gap between labelled only and fully supervised."


def _agreement(table: Table, ranked: Sequence[str]) -> str:
    scores = {run.name: run.clusters["bcubed_f"] for run in table.runs if run.is_backend and run.clusters}
    if len(scores) < 2:
        return ""
    highest = f"{max(scores.values()):.3f}"
    clusterers = [name for name in ranked if name in scores and f"{scores[name]:.3f}" == highest]
    verb = _verb(clusterers, "has", "have")
    text, best = f"{_listed(clusterers)} {verb} the most accurate clusters (BCubed F {highest}", ranked[0]
    return f"{text})." if best in clusterers or best not in scores else f"{text}; {best}: {scores[best]:.3f})."


def _differs(table: Table, one: str, other: str) -> bool | None:
    """Whether the FNMR of two rows differs significantly; None if nobody knows."""
    return None if table.compared is None else table.compared.differs(one, other)


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


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"
