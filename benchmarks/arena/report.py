"""The page, the table and the files of results of the arena."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from arena.cells import SETTINGS, Cache, Cell
from arena.methods import METHODS
from arena.plots import rank_plot, save, score_plot
from arena.standings import FIGURES, OURS, Standings, standings
from eval.report.plots import as_svg
from facerec.pipeline.files import write_json, write_table
from facerec.pipeline.render import render

TITLES = {
    "published": "As published, without labels",
    "tuned": "Tuned on other people",
    "oracle": "Best on the test set (oracle)",
}
VERSIONS = ("facerec-pseudolabel", "numpy", "scikit-learn", "infomap", "igraph", "evoc", "fast_hdbscan", "numba")
COLUMNS = (
    "set", "setting", "method", "title", "Fp", "Fp_low", "Fp_high", "Fb", "Fb_low", "Fb_high", "NMI", "clusters",
    "Fp_verdict", "Fb_verdict", "seconds", "memory_mib", "trials", "search_seconds", "settings", "version", "reason",
)  # fmt: skip


def write_report(files: Sequence[Path], root: Path, out: Path, left_out: Mapping[str, str]) -> str:
    """Writes arena.html, arena.csv, arena.png and results/; returns a summary in lines."""
    found = standings(files, root, Cache(out / "cells"))
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "arena.csv", list(COLUMNS), [row(found, cell) for cell in found.cells.values()])
    write_json(out / "results" / "arena.json", results(found, "published"))
    write_json(out / "results" / "arena-tuned.json", results(found, "tuned"))
    (out / "arena.html").write_text(page(found, left_out), encoding="utf-8")
    save(score_plot(found), out / "arena.png")
    return f"{said(found)}\nopen {out / 'arena.html'}"


def said(found: Standings) -> str:
    """How many contests Hi-LANDER wins, and each contest that it loses, in lines."""
    return "\n".join("\n  loses ".join([line, *lost]) for line, lost in summary(found))


def summary(found: Standings) -> list[tuple[str, list[str]]]:
    """For each setting but the oracle, how many contests Hi-LANDER wins, and a line for each that it loses."""
    lines = []
    for setting in ("published", "tuned"):
        wins, contests = found.wins(setting)
        lost = [f"{FIGURES[figure]} on {place} to {METHODS[best].title} by {gap:.3f}"
                for place, figure, best, gap in losses(found, setting)]  # fmt: skip
        lines.append((f"{TITLES[setting]}: Hi-LANDER is best or tied in {wins} of {contests} cells", lost))
    return lines


def losses(found: Standings, setting: str) -> list[tuple[str, str, str, float]]:
    """The contests that Hi-LANDER loses: set, figure, best method, and by how much."""
    lost = []
    for (place, one, figure), contest in found.contests.items():
        ours, best = found.cell(place, one, OURS), found.cell(place, one, contest.best)
        if one == setting and ours and best and contest.verdict(OURS) == "worse":
            lost.append((place, figure, contest.best, figures_of(best)[figure] - figures_of(ours)[figure]))
    return lost


def figures_of(cell: Cell) -> Mapping[str, float]:
    """The figures of a cell; empty without a result."""
    return cell.figures or {}


def row(found: Standings, cell: Cell) -> list[Any]:
    """A line of the table."""
    place = (cell.set_name, cell.setting, cell.method)
    head = [*place, METHODS[cell.method].title]
    tail = [cell.seconds, cell.memory, cell.trials, cell.search_seconds, cell.settings or "", cell.key, cell.reason]
    if cell.figures is None:
        return [*head, *[""] * 10, *tail]
    ends = found.intervals[place]
    figures = [
        round(number, 4)
        for figure in FIGURES
        for number in (cell.figures[figure], *ends[figure])
    ]  # fmt: skip
    verdicts = [verdict(found, cell, figure) for figure in FIGURES]
    return [*head, *figures, round(cell.figures["nmi"], 4), cell.figures["clusters"], *verdicts, *tail]


def verdict(found: Standings, cell: Cell, figure: str) -> str:
    """``best``, ``tied`` or ``worse``; empty without a contest."""
    contest = found.contests.get((cell.set_name, cell.setting, figure))
    return contest.verdict(cell.method) if contest else ""


def results(found: Standings, setting: str) -> dict[str, Any]:
    """The file that docs/tools/result_tables.py makes a table of: Fp / Fb, the best or tied ones in bold."""
    columns = [{"key": "row", "title": "method", "show": "text"}]
    columns += [{"key": each.name, "title": each.title, "show": "text"} for each in found.sets]
    columns += [{"key": "rank", "title": "mean rank", "show": "text"}]
    ranks, rows = found.ranks(setting), []
    for method in found.methods(setting):
        line = {"row": method.title, "rank": f"{ranks[method.name]:.1f}" if method.name in ranks else ""}
        for each in found.sets:
            cell = found.cell(each.name, setting, method.name)
            if cell:
                line[each.name] = " / ".join(_marked(found, cell, figure) for figure in FIGURES)
        rows.append(line)
    return {
        "title": f"The arena: {TITLES[setting].lower()}", "command": "make arena", "commit": "see the page",
        "seeds": [0],
        "unit": "fractions, Fp / Fb", "source": "docs/lab/arena.md", "columns": columns, "rows": rows,
    }  # fmt: skip


def _marked(found: Standings, cell: Cell, figure: str) -> str:
    text = f"{figures_of(cell)[figure]:.3f}".removeprefix("0")
    return f"**{text}**" if verdict(found, cell, figure) in ("best", "tied") else text


def page(found: Standings, left_out: Mapping[str, str]) -> str:
    """The page, which loads nothing."""
    return render(
        Path(__file__).with_name("arena.html"),
        found=found, settings=SETTINGS, titles=TITLES, figures=FIGURES, left_out=left_out, verdict=verdict,
        ranks_of={setting: Markup(as_svg(rank_plot(found, setting), setting))
                  for setting in ("published", "tuned") if len(found.ranks(setting)) > 1},
        scores=Markup(as_svg(score_plot(found), "scores")), summary=summary(found), versions=versions(),
        reasons=[cell for cell in found.cells.values() if cell.reason],
    )  # fmt: skip


def versions() -> dict[str, str]:
    """The libraries that were used, by name."""
    found = {}
    for name in VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
