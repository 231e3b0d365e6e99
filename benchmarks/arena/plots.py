"""Pictures of the arena: mean ranks with a critical difference, and mean scores of all methods."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from arena.methods import METHODS
from arena.standings import OURS, Standings
from arena.statistics import critical_difference, groups
from eval.report.plots import GREY, INK, PALETTE, SETTINGS

BLUE, ORANGE = PALETTE[:2]
MARKS = {"oracle": ("D", "lightgrey", "best on the test set (oracle)"), "tuned": ("^", ORANGE, "tuned on other people"),
         "published": ("o", BLUE, "as published or by default, no labels")}  # fmt: skip


@matplotlib.rc_context(SETTINGS)
def rank_plot(found: Standings, setting: str) -> Figure:
    """Mean ranks over sets; a bar joins methods whose ranks do not differ (Nemenyi, 5 %)."""
    ranks = found.ranks(setting)
    names, values = list(ranks), np.array(list(ranks.values()))
    difference = critical_difference(len(names), len(found.places(setting)))
    bars = groups(values, difference)
    figure = Figure(figsize=(8, 1.2 + 0.26 * len(names)), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(names):
        axes.plot([values[place]], [place], "o", color=ORANGE if name == OURS else BLUE)
    for number, (first, last) in enumerate(bars):
        x = len(names) + 0.8 + 0.35 * number
        axes.plot([x, x], [first, last], color=GREY, linewidth=2)
    axes.set_yticks(range(len(names)), [METHODS[name].title for name in names])
    axes.invert_yaxis()
    axes.set_xlabel(f"mean rank over {len(found.places(setting))} sets; critical difference {difference:.1f}")
    axes.grid(axis="x", color=GREY, alpha=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


@matplotlib.rc_context(SETTINGS)
def score_plot(found: Standings) -> Figure:
    """The mean of Fp and Fb over all sets: a row for each method, a mark for each setting that ran on all sets."""
    place = {name: max((found.mean_of_all(s, name) for s in ("published", "tuned")), default=0) for name in METHODS}
    names = sorted((name for name in METHODS if place[name] > 0), key=lambda name: place[name])
    figure = Figure(figsize=(8, 1.4 + 0.27 * len(names)), layout="constrained")
    axes = figure.subplots()
    for setting, (marker, color, label) in MARKS.items():
        shown = [
            (found.mean_of_all(setting, name), row)
            for row, name in enumerate(names)
            if found.mean_of_all(setting, name)
        ]
        if shown:
            x, y = zip(*shown, strict=True)
            axes.scatter(x, y, marker=marker, s=42, color=color, label=label, zorder=3)
    axes.set_yticks(range(len(names)), [METHODS[name].title for name in names])
    for text, name in zip(axes.get_yticklabels(), names, strict=True):
        text.set_color(INK)
        text.set_fontweight("bold" if METHODS[name].ours else "normal")
    axes.set(xlim=(0, 1), xlabel=f"mean of Fp and Fb over {len(found.sets)} sets; bold: in this package")
    axes.grid(axis="x", color=GREY, alpha=0.25, zorder=0)
    if names:
        figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG file for a page or the README."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
