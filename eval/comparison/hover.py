"""What a page shows when a pointer is over a plot: values in text, and where they are in the plot's SVG."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.report.plots import INK
from facerec.pipeline import render

SCRIPT = (Path(__file__).parent / "hover.js").read_text(encoding="ascii")
POINTS_PER_INCH = 72


def content_policy() -> str:
    """What the page may load and run: pictures within it, its styles, and its two scripts."""
    digests = [hashlib.sha256(script.encode("ascii")).digest() for script in (render.SCRIPT, SCRIPT)]
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode('ascii')}'" for digest in digests)
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"


def embedded(plot: Mapping[str, Any]) -> str:
    """A plot's values as JSON that may stand in HTML, whatever is in it."""
    text = json.dumps(plot, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def of_curves(figure: Any, curves: Mapping[str, Sequence[tuple[float, ...]]], colours: Mapping[str, str]) -> dict:
    """The values of curves drawn by matplotlib, on the grid of all their rates.

    Args:
        figure: With one pair of axes.
        curves: Row name to points (rate, error) or (rate, error, thresholds ...), as drawn.
        colours: Row name to colour.

    Returns:
        As `plot_values` gives them.
    """
    axes, to_svg = figure.axes[0], POINTS_PER_INCH / figure.dpi
    height = figure.get_figheight() * POINTS_PER_INCH
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    rates = sorted({point[0] for points in curves.values() for point in points if left <= point[0] <= right})
    place = {rate: index for index, rate in enumerate(rates)}
    series = []
    for name, points in curves.items():
        ys: list[float | None] = [None] * len(rates)
        texts = [""] * len(rates)
        for rate, error, *threshold in (point for point in points if point[0] in place):
            texts[place[rate]] = f"{100 * error:.2f} %{_thresholds(threshold)}"
            if bottom <= error <= top:
                ys[place[rate]] = round(height - float(axes.transData.transform((1, error))[1]) * to_svg, 1)
        series.append((name, colours[name], ys, texts))
    return plot_values(
        xs=[round(float(axes.transData.transform((rate, top))[0]) * to_svg, 1) for rate in rates],
        heads=[f"{axes.get_xlabel().split('(')[-1].rstrip(')')} {rate:.4g}" for rate in rates],
        series=series,
        span=(height - axes.bbox.y1 * to_svg, height - axes.bbox.y0 * to_svg),
    )


def _thresholds(values: Sequence[float]) -> str:
    """Thresholds in print, one for each gallery of a search."""
    known = [f"{value:.3f}" for value in values if math.isfinite(value)]
    return f", threshold{'s' if len(known) > 1 else ''} {' and '.join(known)}" if known else ""


def plot_values(xs: Sequence[float], heads: Sequence[str], series: Sequence[tuple], span: tuple[float, float]) -> dict:
    """What the script needs of one plot; places are in the units of the SVG's viewBox.

    Args:
        xs: Rising; a value can be shown at each.
        heads: What each is.
        series: (name, colour, ys, texts) each; one y and one text for each x. A y is None where nothing is drawn, a
            text is empty where there is no value.
        span: Top and bottom of the axes.
    """
    return {
        "xs": list(xs),
        "heads": list(heads),
        "span": [round(end, 1) for end in span],
        "series": [
            {"name": name, "colour": "currentColor" if colour == INK else colour, "ys": list(ys), "texts": list(texts)}
            for name, colour, ys, texts in series
        ],
    }
