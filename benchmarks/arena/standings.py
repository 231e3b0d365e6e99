"""All cells with their intervals and comparisons, as the page, the table and the plots show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arena.cells import SEPARATOR, SETTINGS, Cache, Cell
from arena.methods import METHODS, Method
from arena.resampling import resampled
from arena.sets import TestSet, read_set
from arena.statistics import Contest, contest, mean_ranks
from eval.bootstrap.resampling import draw, interval

FIGURES = {"pairwise_f": "Fp", "bcubed_f": "Fb"}
SAMPLES = 2000
OURS = "hilander"


@dataclass(frozen=True)
class About:
    """What tables say about a set."""

    name: str
    title: str
    recogniser: str
    faces: int
    people: int


@dataclass(frozen=True)
class Standings:
    """All results.

    Attributes:
        sets: The sets, in the order of the tables.
        cells: The cells by set, setting and method; those without a result have a reason.
        intervals: For each cell with a result the ends of the 95 % interval of each figure.
        contests: The comparisons with the best method, by set, setting and figure.
    """

    sets: Sequence[About]
    cells: Mapping[tuple[str, str, str], Cell]
    intervals: Mapping[tuple[str, str, str], Mapping[str, tuple[float, float]]]
    contests: Mapping[tuple[str, str, str], Contest]

    def cell(self, place: str, setting: str, method: str) -> Cell | None:
        """A cell with a result, or None."""
        found = self.cells.get((place, setting, method))
        return found if found is not None and found.figures is not None else None

    def methods(self, setting: str) -> list[Method]:
        """The methods with at least one result, by mean score, the best first."""
        found = [m for m in METHODS.values() if any(self.cell(each.name, setting, m.name) for each in self.sets)]
        return sorted(found, key=lambda method: -self.mean(setting, method.name))

    def complete(self, setting: str) -> list[Method]:
        """The methods with a result on every set in `places`."""
        places = self.places(setting)
        return [m for m in self.methods(setting) if all(self.cell(place, setting, m.name) for place in places)]

    def places(self, setting: str) -> list[str]:
        """Names of the sets on which any method has a result."""
        return [s.name for s in self.sets if any(self.cell(s.name, setting, name) for name in METHODS)]

    def mean(self, setting: str, method: str) -> float:
        """Mean of Fp and Fb of a method, over the sets on which it has a result; 0 without any."""
        values = [score(cell) for each in self.sets if (cell := self.cell(each.name, setting, method))]
        return float(np.mean(values)) if values else 0.0

    def mean_of_all(self, setting: str, method: str) -> float:
        """`mean` of a method that has a result on every set, else 0: means over different sets are not comparable."""
        whole = all(self.cell(each.name, setting, method) for each in self.sets)
        return self.mean(setting, method) if whole else 0.0

    def ranks(self, setting: str) -> dict[str, float]:
        """Mean rank over sets of each complete method, by the mean of Fp and Fb; the best first."""
        names, places = [m.name for m in self.complete(setting)], self.places(setting)
        if not names or not places:
            return {}
        cells = [[self.cell(place, setting, name) for name in names] for place in places]
        ranks = mean_ranks(np.array([[score(cell) for cell in row if cell] for row in cells]))
        return dict(sorted(zip(names, ranks.tolist(), strict=True), key=lambda each: each[1]))

    def wins(self, setting: str) -> tuple[int, int]:
        """Number of contests in which Hi-LANDER is best or tied, and number of contests in which it takes part."""
        verdicts = [
            each.verdict(OURS)
            for (_, one, _), each in self.contests.items()
            if one == setting and (each.best == OURS or OURS in each.p)
        ]
        return sum(verdict != "worse" for verdict in verdicts), len(verdicts)


def score(cell: Cell) -> float:
    """The mean of Fp and Fb, by which methods are ordered."""
    return float(np.mean([(cell.figures or {})[figure] for figure in FIGURES]))


def standings(files: Sequence[Path], root: Path, cache: Cache) -> Standings:
    """Reads all cells and resamples them; a cell of other faces than the set has now is left out."""
    sets: list[About] = []
    cells: dict[tuple[str, str, str], Cell] = {}
    intervals: dict[tuple[str, str, str], Mapping[str, tuple[float, float]]] = {}
    contests: dict[tuple[str, str, str], Contest] = {}
    for file in files:
        faces = read_set(file, root)
        sets.append(About(faces.name, faces.title, faces.recogniser, len(faces.faces.labels), faces.people))
        drawn = draw(faces.people, SAMPLES, 0)
        for setting, found in current_cells(faces, cache).items():
            cells |= {(faces.name, setting, name): cell for name, cell in found.items()}
            scored = {name: cell for name, cell in found.items() if cell.figures is not None}
            samples = {name: resampled(faces.faces.labels, cache.labels(cell), drawn) for name, cell in scored.items()}
            for name, parts in samples.items():
                ends = {figure: interval(part) or (np.nan, np.nan) for figure, part in parts.items()}
                intervals[faces.name, setting, name] = ends
            for figure in FIGURES if len(scored) > 1 else ():
                values = {name: (cell.figures or {})[figure] for name, cell in scored.items()}
                figure_samples = {name: parts[figure] for name, parts in samples.items()}
                contests[faces.name, setting, figure] = contest(values, figure_samples)
    return Standings(sets, cells, intervals, contests)


def current_cells(faces: TestSet, cache: Cache) -> dict[str, dict[str, Cell]]:
    """The cells of a set, by setting and method; says how many are left out because the set's faces have changed."""
    found: dict[str, dict[str, Cell]] = {setting: {} for setting in SETTINGS}
    stale = 0
    for setting, cells in found.items():
        for name in METHODS:
            cell = cache.load(faces.name, setting, name)
            if cell is not None and faces.key in cell.key.split(SEPARATOR):
                cells[name] = cell
            else:
                stale += cell is not None
    if stale:
        print(f"{faces.name}: {stale} results are of other faces than the set has now; they are left out")
    return found
