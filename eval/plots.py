"""DET and IET curves, as PNG files and as SVG for a page; a row has the same colour in every plot."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")  # Okabe and Ito 2008
INK, GREY = "#1a1a1b", "#808083"
BOUNDS = {"labelled": INK, "supervised": GREY}
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)))
LOWEST_RATE = 1e-3
Curves = Mapping[str, Sequence[tuple[float, float]]]


def plot_det(curves: Curves, path: Path) -> str:
    """Draws FNMR over FMR into a PNG file and returns it as SVG, in which the ink has the page's text colour.

    Args:
        curves: Row name to points (FMR, FNMR).
        path: The PNG file.
    """
    return _draw(curves, path, "1:1 verification", "false match rate (FMR)", "false non-match rate (FNMR)")


def plot_iet(curves: Curves, path: Path) -> str:
    """The same for FNIR over FPIR, averaged over the galleries."""
    labels = "false positive identification rate (FPIR)", "false negative identification rate (FNIR)"
    return _draw(curves, path, "1:N identification, open set", *labels)


def styles(names: Sequence[str]) -> dict[str, tuple[str, Any, float]]:
    """Colour, dashes and width of each row, by the order of the names; the bounds are dashed black and grey."""
    chosen: dict[str, tuple[str, Any, float]] = {}
    backends = [name for name in names if name not in BOUNDS]
    for index, name in enumerate(backends):
        chosen[name] = PALETTE[index % len(PALETTE)], DASHES[index // len(PALETTE) % len(DASHES)], 1.8
    chosen |= {name: (colour, (0, (4, 2)), 1.5) for name, colour in BOUNDS.items()}
    return {name: chosen[name] for name in names}


def _draw(curves: Curves, path: Path, title: str, xlabel: str, ylabel: str) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    settings = {
        "font.size": 10, "axes.edgecolor": GREY, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK,
        "ytick.color": INK, "svg.fonttype": "none", "svg.hashsalt": path.name, "axes.spines.top": False,
        "axes.spines.right": False, "font.family": "sans-serif",
    }  # fmt: skip
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(5.6, 4.4), layout="constrained")
        axes = figure.add_subplot()
        _frame(axes, curves)
        for name, (colour, dashes, width) in styles(list(curves)).items():
            if curves[name]:
                axes.plot(*zip(*curves[name], strict=True), color=colour, linestyle=dashes, linewidth=width, label=name)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        if any(curves):
            axes.legend(frameon=False, loc="lower left", handlelength=2.6)
        figure.savefig(path, dpi=200, metadata={"Software": None})
        return _svg(figure)


def _frame(axes: Any, curves: Curves) -> None:
    """Log axes over what the curves cover; errors are shown from 0.1 % up, on ticks in per cent."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    shown = [y for points in curves.values() for x, y in points if x <= 0.5 and y > 0]
    lowest = max(min(shown, default=0.1), LOWEST_RATE)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(min((x for points in curves.values() for x, _ in points if x < 1), default=0.1), 1)
    axes.set_ylim(lowest * 0.8, min(max(shown, default=1.0) * 1.25, 1.05))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0, 7.0), numticks=20))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g} %"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(which="major", color=GREY, alpha=0.25, linewidth=0.6)


def _svg(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")
