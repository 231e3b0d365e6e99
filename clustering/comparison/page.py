"""A page that shows backends side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from facerec.pipeline.render import render


def write_comparison(
    path: Path,
    about: str,
    rows: Sequence[Mapping[str, object]],
    similarity: np.ndarray,
    refused: Mapping[str, str],
    estimates: Sequence[Mapping[str, object]] = (),
) -> None:
    """Writes the page.

    Args:
        path: The .html file.
        about: What was clustered, in one line.
        rows: Of each backend, by column.
        similarity: float64 [runs, runs], see `clustering.comparison.runs.agreement`.
        refused: Why a backend could not run.
        estimates: Of each backend, by column, how good it is without labels; or nothing.
    """
    page = render(
        Path(__file__).with_name("comparison.html"),
        about=about,
        columns=list(rows[0]),
        rows=[[_text(value) for value in row.values()] for row in rows],
        names=[str(row["backend"]) for row in rows],
        similarity=similarity.tolist(),
        refused=refused,
        estimated=list(estimates[0]) if estimates else [],
        estimates=[[_text(value) for value in row.values()] for row in estimates],
    )
    path.write_text(page, encoding="utf-8")


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}" if isinstance(value, float) else str(value)
