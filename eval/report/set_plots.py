"""Plots of a labelled set: scores of genuine and impostor pairs, error versus discard, scores to likelihood ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eval.metrics.discard import DiscardCurve
from eval.report.plots import GREY, INK, PALETTE, SETTINGS

HIGHEST_SHARE, SHOWN = 0.5, 501


def plot_scores(table: Sequence[tuple[float, float, int, int]], threshold: float) -> Any:
    """Draws the share of genuine and of impostor pairs in each bin of scores, and the threshold; returns the figure.

    Args:
        table: From `score_histogram`.
        threshold: Scores at or above it match.
    """

    def draw(axes: Any) -> None:
        low, high, *counts = (np.array(column) for column in zip(*table, strict=True))
        for count, colour, name in zip(counts, PALETTE[1::-1], ("genuine", "impostor"), strict=False):
            axes.stairs(count / count.sum(), np.append(low, high[-1]), color=colour, fill=True, alpha=0.3)
            axes.stairs(count / count.sum(), np.append(low, high[-1]), color=colour, linewidth=1.5, label=name)
        axes.axvline(threshold, color=INK, linewidth=1, linestyle=(0, (4, 2)), label=f"threshold {threshold:.3f}")
        axes.set(xlabel="cosine", ylabel="share of pairs", ylim=(0, None))
        axes.legend(frameon=False, loc="upper left")

    return _drawn(draw, "scores of all pairs")


def plot_discard(curves: Mapping[str, DiscardCurve], perfect: DiscardCurve) -> Any:
    """Draws FNMR over the share of genuine pairs that is left out, of each quality, and of a perfect one."""

    def draw(axes: Any) -> None:
        shares = np.linspace(0, HIGHEST_SHARE, SHOWN)
        axes.step(shares, perfect.along(shares), where="post", color=GREY, linewidth=1, label="perfect")
        for colour, (name, curve) in zip(PALETTE, curves.items(), strict=False):
            axes.step(shares, curve.along(shares), where="post", color=colour, linewidth=1.8, label=name)
        axes.axhline(perfect.error[0], color=GREY, linewidth=1, linestyle=(0, (1, 1)), label="at random")
        axes.set(xlabel="share of genuine pairs left out", ylabel="FNMR of the rest", xlim=(0, HIGHEST_SHARE))
        axes.set_ylim(0, None)
        axes.legend(frameon=False, loc="upper right")

    return _drawn(draw, "error versus discard")


def plot_ratios(table: Sequence[tuple[float, float, float]]) -> Any:
    """Draws the LLR of each score by both maps."""

    def draw(axes: Any) -> None:
        score, logistic, isotonic = (np.array(column) for column in zip(*table, strict=True))
        axes.axhline(0, color=GREY, linewidth=1)
        axes.plot(score, logistic / np.log(10), color=PALETTE[0], label="logistic")
        axes.plot(score, isotonic / np.log(10), color=PALETTE[1], label="isotonic")
        largest = float(np.abs(isotonic).max() / np.log(10)) + 1
        axes.set(xlabel="cosine", ylabel="log10 likelihood ratio", ylim=(-largest, largest))
        axes.legend(frameon=False, loc="upper left")

    return _drawn(draw, "scores to likelihood ratios")


def _drawn(draw: Any, title: str) -> Any:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(5.6, 4.4))
        figure.subplots_adjust(left=0.14, right=0.97, bottom=0.12, top=0.92)
        axes = figure.add_subplot()
        draw(axes)
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
    return figure
