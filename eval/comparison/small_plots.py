"""Small plots for a page, one a row of the comparison, as SVG: scores of pairs, and sizes of clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eval.comparison.hover import plot_values
from eval.report.histogram import ScoreBins
from eval.report.plots import GREY, PALETTE

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 304, 24, 150
"""The axes within the SVG."""
GENUINE, IMPOSTOR = PALETTE[1], PALETTE[0]
Plot = tuple[str, dict[str, Any]]
"""SVG, and its values for `eval.comparison.hover`."""


def plot_scores(bins: ScoreBins, threshold: float, limits: tuple[float, float], highest: float) -> Plot:
    """Draws the share of the genuine and of the impostor pairs in each bin of scores, and a threshold.

    Args:
        bins: See `eval.report.histogram.score_bins`.
        threshold: Scores at or above it match.
        limits: Lowest and highest score of the axis.
        highest: The share at the top of the axis.
    """
    low, high, *counts = (np.array(column) for column in zip(*bins, strict=True))
    shares = [count / max(count.sum(), 1) for count in counts]
    edges = _x(np.append(low, high[-1]), limits)
    middle = (edges[:-1] + edges[1:]) / 2
    drawn = [
        f'<path d="{_steps(edges, _y(share, highest))}" fill="{colour}" fill-opacity="0.3" stroke="{colour}"/>'
        for share, colour in zip(shares, (IMPOSTOR, GENUINE)[::-1], strict=True)
    ]
    place = float(_x(np.array([threshold]), limits)[0])
    if LEFT <= place <= RIGHT:
        drawn.append(f'<path d="M{place:.1f} {TOP}V{BOTTOM}" stroke="currentColor" stroke-dasharray="4 2"/>')
    ticks = [(float(_x(np.array([tick]), limits)[0]), f"{tick:g}") for tick in _ticks(*limits)]
    series = [
        (name, colour, _places(_y(share, highest)),
         [f"{100 * s:.2f} % ({n:,} pairs)" for s, n in zip(share, count, strict=True)])
        for name, colour, share, count in zip(("genuine", "impostor"), (GENUINE, IMPOSTOR), shares, counts, strict=True)
    ]  # fmt: skip
    heads = [f"cosine {a:g} to {b:g}" for a, b in zip(low, high, strict=True)]
    return _svg(drawn, ticks, f"{100 * highest:.0f} %", ("cosine", "share of pairs")), plot_values(
        _places(middle), heads, series, (TOP, BOTTOM)
    )


def plot_sizes(sizes: Sequence[Sequence[int]], colour: str, highest: int) -> Plot:
    """Draws how many identities and how many clusters have each size.

    Args:
        sizes: Rows of size from, to, identities, clusters; see `eval.clusters.identities.size_histogram`.
        colour: Colour of the clusters.
        highest: The number at the top of the axis.
    """
    slot = (RIGHT - LEFT) / len(sizes)
    middle = LEFT + slot * (np.arange(len(sizes)) + 0.5)
    bar = min(slot * 0.36, 22)
    drawn, series = [], []
    for offset, column, paint, name in ((-bar, 2, GREY, "identities"), (0, 3, colour, "clusters")):
        counts = np.array([row[column] for row in sizes])
        tops = _y(counts, highest)
        drawn += [
            f'<rect x="{x + offset:.1f}" y="{y:.1f}" width="{bar:.1f}" height="{BOTTOM - y:.1f}" fill="{paint}"/>'
            for x, y in zip(middle, tops, strict=True)
        ]
        series.append((name, paint, [None] * len(sizes), [f"{count:,}" for count in counts]))
    names = [str(row[0]) if row[0] == row[1] else f"{row[0]}–{row[1]}" for row in sizes]
    step = -(-len(names) * max(map(len, names)) * 8 // (RIGHT - LEFT))  # so that labels do not touch
    ticks = [(float(x), name) for x, name in zip(middle[::step], names[::step], strict=True)]
    heads = [f"{name} face{'' if name == '1' else 's'}" for name in names]
    labels = "faces of an identity or a cluster", "identities or clusters"
    return _svg(drawn, ticks, f"{highest:,}", labels), plot_values(_places(middle), heads, series, (TOP, BOTTOM))


def _svg(drawn: Sequence[str], ticks: Sequence[tuple[float, str]], top: str, labels: tuple[str, str]) -> str:
    """Axes, labelled x and y, with the drawn parts on them."""
    texts = [f'<text x="{x:.1f}" y="{BOTTOM + 15}" text-anchor="middle">{text}</text>' for x, text in ticks]
    texts += [f'<path d="M{x:.1f} {BOTTOM}v3" stroke="{GREY}"/>' for x, _ in ticks]
    texts.append(f'<text x="{LEFT - 4}" y="{TOP + 4}" text-anchor="end">{top}</text>')
    texts.append(f'<text x="{LEFT - 4}" y="{BOTTOM}" text-anchor="end">0</text>')
    texts.append(f'<text x="{(LEFT + RIGHT) / 2}" y="{BOTTOM + 33}" text-anchor="middle">{labels[0]}</text>')
    texts.append(f'<text x="{LEFT}" y="{TOP - 10}">{labels[1]}</text>')
    frame = f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" stroke="{GREY}" fill="none"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="13" fill="currentColor">'
    return f"{head}{''.join(drawn)}{frame}{''.join(texts)}</svg>"


def _x(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    return LEFT + (RIGHT - LEFT) * (values - limits[0]) / (limits[1] - limits[0])


def _y(values: np.ndarray, highest: float) -> np.ndarray:
    return BOTTOM - (BOTTOM - TOP) * np.minimum(values / highest, 1)


def _steps(edges: np.ndarray, tops: np.ndarray) -> str:
    """A path along the tops of bars that touch each other."""
    steps = "".join(f"V{top:.1f}H{right:.1f}" for top, right in zip(tops, edges[1:], strict=True))
    return f"M{edges[0]:.1f} {BOTTOM}{steps}V{BOTTOM}"


def _places(values: np.ndarray) -> list[float]:
    return [round(float(value), 1) for value in values]


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between both ends."""
    step = 0.5 if high - low > 1 else 0.2 if high - low > 0.4 else 0.1
    return [round(step * n, 1) for n in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]
