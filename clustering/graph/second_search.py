"""Rows that miss neighbours look into more cells: the lower a row's k-th cosine, the more; a sample says how many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clustering.graph.blocks_on_disk import Lists, Work, cached_json, even_rows, fill, release
from clustering.graph.builder import GraphBuilder
from clustering.graph.candidates import best
from clustering.graph.cells import SortedFaces
from clustering.graph.chance import Chance
from clustering.graph.codes import shifted
from clustering.graph.exact import gpu_index, search
from clustering.graph.scan import scan

MOST_VISITS, LEAST_ROWS, MOST_ROWS = 1 << 22, 512, 32_768  # of a block


@dataclass(frozen=True)
class SecondSearchSettings:
    """How uncertain rows are searched for again.

    Attributes:
        cells: Numbers of nearest cells that a row may be searched for in; all cells are allowed, too.
        fetched: Candidates beyond k + 1 that a search by 8-bit codes returns. Their exact cosines decide.
        groups: Most groups of rows by k-th cosine. The rows of a group are searched for in the same number of cells.
        most: Most faces that a row is compared with, on average over all rows. So the cost of a face does not grow with
            the corpus.
    """

    cells: tuple[int, ...] = (48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
    fetched: int = 10
    groups: int = 30
    most: int = 20_000


class SecondSearch(NamedTuple):
    """The plan of a second search: how many cells for which rows.

    Attributes:
        limits: Ascending k-th cosines that part the groups, one fewer than groups. A row at a limit is in the group
            above it.
        cells: The number of cells for the rows of each group; 0 if they are not searched for again.
        recall: The mean recall of the sampled rows after that search.
    """

    limits: list[float]
    cells: list[int]
    recall: float

    def of_rows(self, cosines: np.ndarray) -> np.ndarray:
        """Int64 [n]: the number of cells for rows with these k-th cosines."""
        return np.asarray(self.cells)[np.searchsorted(np.asarray(self.limits), cosines, side="right")]


class SearchedAgain(NamedTuple):
    """Rows that were searched for again in the same number of cells.

    Attributes:
        cells: That number.
        places: int64 [m]: the rows, ascending.
        lists: Their new lists.
    """

    cells: int
    places: np.ndarray
    lists: Lists


@dataclass(frozen=True)
class UncertainRows:
    """Searches again for the rows whose lists are uncertain: those with a low k-th cosine.

    Attributes:
        builder: The graph's builder, over the faces in the order of their cells.
        lists: The lists so far, `builder.k` neighbours of each row.
        faces: The faces in that order.
        settings: How rows are searched for again.
        known: Nearest cells that each row was searched for in already, about; these are left out.
    """

    builder: GraphBuilder
    lists: Lists
    faces: SortedFaces
    settings: SecondSearchSettings
    known: int = 0

    def chosen(self, recall: float) -> SecondSearch:
        """The `plan` for a sample of rows; all processes search for their true neighbours. It is kept on disk."""
        rows = self.builder.sample(self.builder.seed)
        truth = self._found(rows, len(self.faces.centres), 0, "sample").neighbors
        file = self.builder.steps / "second_search.json"
        return SecondSearch(*cached_json(file, lambda: self.plan(rows, truth, recall)))

    def plan(self, rows: np.ndarray, truth: np.ndarray, recall: float) -> SecondSearch:
        """The plan that reaches a recall at about the least cost, or comes near it within ``settings.most``.

        Args:
            rows: int64 [m], a sample of all rows.
            truth: int [m, k], their true neighbours.
            recall: The mean recall to reach.
        """
        count = len(self.faces.centres)
        there = is_listed(truth, self.lists.neighbors[rows])
        ranks = self.ranks_of_cells(rows, truth)
        ways = [way for way in dict.fromkeys(min(way, count) for way in (*self.settings.cells, count))
                if way > self.known]  # fmt: skip
        shares = np.stack([share_per_row(there, truth), *(share_per_row(there | (ranks < way), truth) for way in ways)])
        cosines = self.lists.similarities[rows, -1]
        order, groups = np.sort(cosines), min(self.settings.groups, len(rows))
        limits = np.unique(order[[len(rows) * group // groups for group in range(1, groups)]])
        number = np.searchsorted(limits, cosines, side="right")
        gains = np.stack([np.bincount(number, share, len(limits) + 1) for share in shares], axis=1)
        compared = np.array([0, *(way - self.known for way in ways)]) * (len(self.faces) / count)
        costs = np.bincount(number, minlength=len(gains))[:, None] * compared
        chosen = cheapest_ways(gains, costs, recall * len(rows), self.settings.most * len(rows))
        reached = gains[np.arange(len(gains)), chosen].sum() / len(rows)
        return SecondSearch(limits.tolist(), [[0, *ways][way] for way in chosen], float(reached))

    def search(self, rows: np.ndarray, cells: int, known: int) -> tuple[np.ndarray, np.ndarray]:
        """The best k of each row's list and of the faces in its nearest `cells` cells, the `known` nearest left out.

        Faces with a lower cosine than the k-th of the list do not count.
        """
        faces, k = self.faces, self.builder.k
        quantiser, (ids, cosines) = faces.quantiser, (part[rows, k - 1] for part in self.lists)
        limits = quantiser.score(np.where(ids < 0, -1, cosines) - quantiser.slack)
        further = scan(faces, rows, cells, limits, k + 1 + self.settings.fetched, known)[0]
        found = best(faces.embeddings, rows, np.hstack([self.lists.neighbors[rows], further]), k)
        release(faces.embeddings)
        return found

    def ranks_of_cells(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Int64 [b, k]: how many cells are nearer to a row than those of some faces, int [b, k]."""
        faces = self.faces
        scores = faces.times_centres(shifted(faces.codes[rows]))
        cells = np.searchsorted(faces.starts, np.maximum(ids, 0), side="right") - 1
        own = np.take_along_axis(scores, cells, axis=1)
        return np.stack([np.count_nonzero(scores > column[:, None], axis=1) for column in own.T], axis=1)

    def search_again(self, chosen: SecondSearch) -> list[SearchedAgain]:
        """Carries out a plan for the builder's readable rows: one result for each number of cells."""
        rows = self.builder.readable
        wanted = chosen.of_rows(self.lists.similarities[rows, -1])
        return [self._search_again(rows[wanted == cells], cells) for cells in sorted({*chosen.cells} - {0})]

    def _search_again(self, places: np.ndarray, cells: int) -> SearchedAgain:
        return SearchedAgain(cells, places, self._found(places, cells, self.known, f"again_{cells}"))

    def _found(self, places: np.ndarray, cells: int, known: int, name: str) -> Lists:
        """Lists of some places, from so many cells but the known ones, in a folder of that name."""

        def work(some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self.search(places[some], cells, known)

        folder, count = self.builder.steps / name, len(places)
        said, rows = f"{cells} cells", even_rows(count, most_rows(cells))
        return fill(folder, folder / "finished", count, self.builder.k, said, lambda: work, rows)


def most_rows(cells: int) -> int:
    """Most rows of a block, if each looks into so many cells."""
    return min(max(MOST_VISITS // cells, LEAST_ROWS), MOST_ROWS)


class Recall(NamedTuple):
    """Shares of the true neighbours that a graph has.

    Attributes:
        all: Of all, the mean over rows.
        above_chance: Of those that stand out, see `Chance`; of all if none does.
    """

    all: float
    above_chance: float


def estimate_recall(builder: GraphBuilder, lists: Lists, chance: Chance) -> Recall:
    """Recall@k by exact search for sampled rows, others than those that `UncertainRows.plan` looked at.

    All processes search together; the result is kept on disk.
    """
    rows = builder.sample(builder.seed + 1)

    def prepare() -> Work:
        index = gpu_index(builder.embeddings, builder.readable)
        return lambda some: search(builder.embeddings, rows[some], builder.readable, builder.k, index)

    folder = builder.steps / "check"
    truth, cosines = fill(folder, folder / "finished", len(rows), builder.k, "check", prepare)

    def recall() -> Recall:
        wanted, there = (truth >= 0) & chance.stands_out(cosines), is_listed(truth, lists.neighbors[rows])
        every = float(share_per_row(there, truth).mean())
        return Recall(every, float((wanted & there).sum() / wanted.sum()) if wanted.any() else every)

    return Recall(*cached_json(builder.steps / "recall.json", recall))


def is_listed(truth: np.ndarray, neighbors: np.ndarray) -> np.ndarray:
    """Bool [b, k]: which of each row's true neighbours, int [b, k], are in its list; -1 are not."""
    return np.asarray(((truth[:, :, None] == neighbors[:, None, :]) & (truth[:, :, None] >= 0)).any(axis=2))


def share_per_row(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Float64 [b]: which share of each row's true neighbours, int [b, k], is found, bool [b, k]; -1 do not count."""
    return np.asarray((found & (truth >= 0)).sum(axis=1) / np.maximum(np.count_nonzero(truth >= 0, axis=1), 1))


def cheapest_ways(gains: np.ndarray, costs: np.ndarray, least: float, most: float) -> np.ndarray:
    """Chooses a way for each group, so that the gains suffice at about the least cost.

    Greedy: it takes the step with the highest gain per cost, again and again. No step lowers a group's gain.

    Args:
        gains: float64 [groups, ways].
        costs: float64 [groups, ways], ascending from 0.
        least: Least sum of the gains, if it can be reached.
        most: Most that the costs may add up to; steps beyond that are left out.

    Returns:
        int64 [groups]: the way of each group.
    """
    chosen, groups = np.zeros(len(gains), dtype=np.int64), np.arange(len(gains))
    while gains[groups, chosen].sum() < least - 1e-9:
        now = costs[groups, chosen]
        more, further = gains - gains[groups, chosen, None], costs - now[:, None]
        possible = (further > 0) & (more > 0) & (further <= most - now.sum())
        rates = np.where(possible, more / np.maximum(further, 1), 0)
        if not rates.any():
            break
        group, way = np.unravel_index(rates.argmax(), rates.shape)
        chosen[group] = way
    return chosen
