"""The command ``compare``: runs into one table, one set of plots and one page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.comparison.page import page
from eval.comparison.page_plots import curve_plots
from eval.comparison.runs import load_runs
from eval.comparison.summary import findings
from eval.comparison.table import tabulate
from eval.comparison.table_files import write_tables
from facerec.pipeline.arguments import Points
from facerec.pipeline.files import read_text
from facerec.pipeline.stage import stage
from facerec.pipeline.thumbnails import Thumbnails


@stage(
    "eval compare",
    named=("runs",),
    found="{headline}".format_map,
    then="open {out}/report.html",
)
def compare(
    runs: list[Path],
    out: Path,
    recipe: Path | None = None,
    thumbnails: Path | None = None,
    title: str = "Clustering backends as pseudo-labellers",
    training_sd: Points = 0.0,
) -> Mapping[str, Any]:
    """Puts runs into one table, one set of plots and one page, report.html.

    Args:
        runs: Folders, one a row, as '[a,b]': of a recipe (with ijb, clusters, clusters.json, pseudo.json, sheet.png,
            review) or bare reports of `eval ijb`. Rows named labelled and supervised are the bounds.
        out: Folder for report.html, comparison.csv, comparison.md, comparison.tex, det.png, iet.png, metrics.json; if
            the runs have bootstrap samples also intervals.csv and differences.csv, and trainings.csv if a row has
            several trainings (folders seeds/1, seeds/2 ... in it).
        recipe: A configuration that the page shows as it is.
        thumbnails: Folder made by python -m facerec thumbnails of the test faces. With it the page shows the worst
            pairs as pictures, without it by name.
        title: The page's heading.
        training_sd: How much one training of a row differs from another of the same row, the standard deviation of its
            FNMR in points. It counts where each row has one training; several tell it themselves. 0: the question is
            about these very recognisers.
    """
    table = tabulate(load_runs(runs), training_sd / 100)
    configuration = read_text(recipe) if recipe else None
    pictures = None if thumbnails is None else Thumbnails.load(thumbnails)
    write_tables(table, out)
    curves = curve_plots(table.runs, out)
    (out / "report.html").write_text(page(table, curves, out, configuration, pictures, title), encoding="utf-8")
    said = findings(table)
    return {"headline": said[0], "summary": " ".join(said), "fmr": table.fmr}
