"""DET and IET curves, as PNG files and as SVG for a page; a backend has the same colour in every plot, everywhere."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from eval.clusters.calibration import calibration_error

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")  # Okabe and Ito 2008
INK, GREY = "#1a1a1b", "#808083"
BOUND_COLOURS = {"labelled": INK, "supervised": GREY}
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)))
STYLES = tuple((colour, dashes) for dashes in DASHES for colour in PALETTE)
BACKENDS = (
    "hilander", "dbscan", "finch", "kmeans", "hdbscan", "hac", "components", "aro", "graclus", "infomap", "leiden",
    "lgcn", "gcnv", "gcne", "lander", "l2c", "hacaverage", "hacsingle",
)  # fmt: skip
"""Backends whose style follows from their position here. Other names get one by a hash."""
SETTINGS = {
    "font.size": 10, "axes.edgecolor": GREY, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK,
    "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False, "font.family": "sans-serif",
}  # fmt: skip
LOWEST_RATE = 1e-3
DPI = 200
Curves = Mapping[str, Sequence[tuple[float, float]]]
Bands = Mapping[str, Sequence[tuple[float, ...]]]


def plot_det(curves: Curves, path: Path, bands: Bands | None = None) -> Any:
    """Draws FNMR over FMR into a PNG file and returns the figure, which `as_svg` writes for a page.

    Args:
        curves: Row name to points (FMR, FNMR).
        path: The PNG file.
        bands: Row name to intervals (FMR, lowest FNMR, highest), drawn as a tint behind the curve.
    """
    return _draw(curves, bands or {}, path, "1:1 verification", "false match rate (FMR)", "false non-match rate (FNMR)")


def plot_iet(curves: Curves, path: Path, bands: Bands | None = None) -> Any:
    """The same for FNIR over FPIR, averaged over the galleries."""
    labels = "false positive identification rate (FPIR)", "false negative identification rate (FNIR)"
    return _draw(curves, bands or {}, path, "1:N identification, open set", *labels)


def styles(names: Sequence[str]) -> dict[str, tuple[str, Any, float]]:
    """Colour, dashes and width of each row, by its name; the bounds are dashed black and grey.

    A name that is not in BACKENDS gets the style that its hash gives, or the next one that is free.
    """
    numbers = {name: BACKENDS.index(key) for name in names if (key := _plain(name)) in BACKENDS}
    taken = set(numbers.values())
    for name in sorted(name for name in names if name not in numbers and name not in BOUND_COLOURS):
        style = zlib.crc32(_plain(name).encode()) % len(STYLES)
        while style in taken and len(taken) < len(STYLES):
            style = (style + 1) % len(STYLES)
        numbers[name] = style
        taken.add(style)
    chosen = {name: (*STYLES[style], 1.8) for name, style in numbers.items()}
    chosen |= {name: (colour, (0, (4, 2)), 1.5) for name, colour in BOUND_COLOURS.items()}
    return {name: chosen[name] for name in names}


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def as_svg(figure: Any, name: str) -> str:
    """A figure as SVG, in which the ink has the page's text colour.

    Args:
        figure: From `plot_det` or `plot_iet`.
        name: Makes the names inside the SVG differ from those of others on the page.
    """
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")


def _draw(curves: Curves, bands: Bands, path: Path, title: str, xlabel: str, ylabel: str) -> Any:
    with axes_of(title) as axes:
        _frame(axes, curves)
        for name, (colour, dashes, width) in styles(list(curves)).items():
            if bands.get(name):
                rates, lows, highs = zip(*bands[name], strict=True)
                axes.fill_between(rates, lows, highs, color=colour, alpha=0.15, linewidth=0)
            if curves[name]:
                axes.plot(*zip(*curves[name], strict=True), color=colour, linestyle=dashes, linewidth=width)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        shown = [name for name in styles(list(curves)) if curves[name]]
        if any(shown):  # a single curve without a name needs no legend
            legend = axes.legend(
                axes.get_lines(), map(str, range(len(shown))), frameon=False, loc="lower left", handlelength=2.6
            )
            for text, name in zip(legend.get_texts(), shown, strict=True):  # as it is, whatever is in the name
                text.set_parse_math(False)
                text.set_text(name)
        axes.figure.savefig(path, dpi=DPI, metadata={"Software": None})
    return axes.figure


@contextmanager
def axes_of(title: str) -> Iterator[Any]:
    """The axes of a new figure with a title and a grid, to be drawn on, and saved, within this context."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(5.6, 4.4))
        figure.subplots_adjust(left=0.14, right=0.97, bottom=0.12, top=0.92)
        axes = figure.add_subplot()
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
        yield axes


def _frame(axes: Any, curves: Curves) -> None:
    """Log axes over what the curves cover; errors are shown from 0.1 % up, on ticks in per cent."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    shown = [y for points in curves.values() for x, y in points if x <= 0.5 and y > 0]
    lowest = max(min(shown, default=0.1), LOWEST_RATE)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(min((x for points in curves.values() for x, _ in points if x < 1), default=0.1), 1)
    axes.set_ylim(lowest * 0.8, min(max(shown, default=1.0) * 1.25, 1.05))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0e}".replace("e-0", "e-") if x < 1 else "1"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0, 7.0), numticks=20))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g} %"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def plot_reliability(table: np.ndarray, path: Path) -> None:
    """Draws the share of faces that are right over their mean confidence, a point a bin, beside the diagonal.

    Args:
        table: From `reliability`.
        path: The PNG file.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": GREY}):
        figure = Figure(figsize=(4.4, 4.4), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 2)))
        axes.plot(table[:, 3], table[:, 4], color=PALETTE[0], marker="o", markersize=4, linewidth=1.5)
        axes.set(xlim=(0, 1.01), ylim=(0, 1.01), xlabel="confidence", ylabel="share of faces that are right")
        title = f"reliability: error {calibration_error(table):.3f} over {int(table[:, 2].sum()):,} faces"
        axes.set_title(title, loc="left", fontsize=11, color=INK)
        axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
        figure.savefig(path, dpi=DPI, metadata={"Software": None})
