"""Plots of a labelled set: scores of genuine and impostor pairs, error versus discard, scores to likelihood ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eval.metrics.discard import DiscardCurve
from eval.report.histogram import ScoreBins
from eval.report.plots import GREY, INK, PALETTE, axes_of

HIGHEST_SHARE, SHOWN = 0.5, 501


def plot_scores(bins: ScoreBins, threshold: float) -> Any:
    """Draws the share of genuine and of impostor pairs in each bin of scores, and the threshold; returns the figure.

    Args:
        bins: From `counted_bins`.
        threshold: Scores at or above it match.
    """
    with axes_of("scores of all pairs") as axes:
        low, high, *counts = (np.array(column) for column in zip(*bins, strict=True))
        for count, colour, name in zip(counts, PALETTE[1::-1], ("genuine", "impostor"), strict=False):
            axes.stairs(count / count.sum(), np.append(low, high[-1]), color=colour, fill=True, alpha=0.3)
            axes.stairs(count / count.sum(), np.append(low, high[-1]), color=colour, linewidth=1.5, label=name)
        axes.axvline(threshold, color=INK, linewidth=1, linestyle=(0, (4, 2)))
        axes.set(xlabel="cosine", ylabel="share of pairs", ylim=(0, None))
        axes.legend(frameon=False, loc="upper left")
    return axes.figure


def plot_discard(curves: Mapping[str, DiscardCurve], perfect: DiscardCurve) -> Any:
    """Draws FNMR over the share of genuine pairs that is left out, of each quality, and of a perfect one."""
    with axes_of("error versus discard") as axes:
        shares = np.linspace(0, HIGHEST_SHARE, SHOWN)
        axes.step(shares, perfect.along(shares), where="post", color=GREY, linewidth=1, label="perfect")
        for colour, (name, curve) in zip(PALETTE, curves.items(), strict=False):
            axes.step(shares, curve.along(shares), where="post", color=colour, linewidth=1.8, label=name)
        axes.axhline(perfect.error[0], color=GREY, linewidth=1, linestyle=(0, (1, 1)), label="at random")
        axes.set(xlabel="share of genuine pairs left out", ylabel="FNMR of the rest", xlim=(0, HIGHEST_SHARE))
        axes.set_ylim(0, None)
        axes.legend(frameon=False, loc="upper right")
    return axes.figure


def plot_ratios(table: Sequence[tuple[float, float, float]]) -> Any:
    """Draws the LLR of each score by both maps."""
    with axes_of("scores to likelihood ratios") as axes:
        score, logistic, isotonic = (np.array(column) for column in zip(*table, strict=True))
        axes.axhline(0, color=GREY, linewidth=1)
        axes.plot(score, logistic / np.log(10), color=PALETTE[0], label="logistic")
        axes.plot(score, isotonic / np.log(10), color=PALETTE[1], label="isotonic")
        largest = float(np.abs(isotonic).max() / np.log(10)) + 1
        axes.set(xlabel="cosine", ylabel="log10 likelihood ratio", ylim=(-largest, largest))
        axes.legend(frameon=False, loc="upper left")
    return axes.figure
