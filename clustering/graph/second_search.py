"""Rows that miss neighbours look into more cells: the lower a row's k-th cosine, the more; a sample says how many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clustering.graph.blocks_on_disk import Lists, Work, cached_json, fill, release
from clustering.graph.builder import GraphBuilder
from clustering.graph.candidates import best
from clustering.graph.cells import SortedFaces
from clustering.graph.chance import Chance
from clustering.graph.codes import products, shifted
from clustering.graph.exact import gpu_index, search
from clustering.graph.scan import scan

MOST_VISITS, LEAST_ROWS, MOST_ROWS = 1 << 22, 512, 32_768  # of a block
SHARES = 4  # the number of blocks is a multiple of it, so that few processes have about the same number of them


@dataclass(frozen=True)
class SecondSearchSettings:
    """In which ways rows may be searched for again.

    Attributes:
        cells: Into how many of its cells a row may look, but for all.
        fetched: Neighbours by their codes beyond those wanted, of which the exact cosines are taken.
        groups: Of sampled rows of about the same k-th cosine; each has its number of cells.
        most: Faces that a row is compared with, the mean over all rows. So what a face costs does not grow with the
            corpus.
    """

    cells: tuple[int, ...] = (48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
    fetched: int = 10
    groups: int = 30
    most: int = 20_000


class SecondSearch(NamedTuple):
    """What is searched for again.

    Attributes:
        limits: Ascending k-th cosines, one fewer than there are groups. A row with just such a cosine is in the group
            above.
        cells: In how many cells the rows of each group are sought; 0 for none.
        recall: What the sample's rows then have of their neighbours.
    """

    limits: list[float]
    cells: list[int]
    recall: float

    def of_rows(self, cosines: np.ndarray) -> np.ndarray:
        """Int64 [n]: in how many cells rows with these k-th cosines are sought."""
        return np.asarray(self.cells)[np.searchsorted(np.asarray(self.limits), cosines, side="right")]


class SearchedAgain(NamedTuple):
    """Rows that were searched for again, all in as many cells.

    Attributes:
        cells: How many.
        places: int64 [m], ascending.
        lists: Of these.
    """

    cells: int
    places: np.ndarray
    lists: Lists


@dataclass(frozen=True)
class UncertainRows:
    """Lists of which the rows with a low k-th cosine are to be searched for again.

    Attributes:
        builder: Of the graph, over the faces in the order of their cells.
        lists: `builder.k` neighbours a row.
        faces: In that order.
        settings: Ways to search again.
        known: About how many of its cells each row has looked into already; they are not looked into again.
    """

    builder: GraphBuilder
    lists: Lists
    faces: SortedFaces
    settings: SecondSearchSettings
    known: int = 0

    def chosen(self, recall: float) -> SecondSearch:
        """What `plan` finds on a sample, whose neighbours all processes seek together; noted on disk."""
        rows = self.builder.sample(self.builder.seed)
        truth = self._found(rows, len(self.faces.centres), 0, "sample").neighbors
        file = self.builder.steps / "second_search.json"
        return SecondSearch(*cached_json(file, lambda: self.plan(rows, truth, recall)))

    def plan(self, rows: np.ndarray, truth: np.ndarray, recall: float) -> SecondSearch:
        """What reaches the recall on some rows with the fewest cells, or comes near it within the budget.

        Args:
            rows: int64 [m], a sample of all.
            truth: int [m, k], their true neighbours.
            recall: Aimed at.
        """
        count = len(self.faces.centres)
        there = is_listed(truth, self.lists.neighbors[rows])
        ranks = self.ranks_of_cells(rows, truth)
        ways = [way for way in dict.fromkeys(min(way, count) for way in (*self.settings.cells, count))
                if way > self.known]  # fmt: skip
        shares = np.stack([_mean(there, truth), *(_mean(there | (ranks < way), truth) for way in ways)])
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
        """The best of some rows' lists and of what is found in so many cells, but for the `known` nearest.

        Nothing with a lower cosine than the k-th of the list counts.
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
        scores = products(shifted(faces.codes[rows]), faces.centres)
        cells = np.searchsorted(faces.starts, np.maximum(ids, 0), side="right") - 1
        own = np.take_along_axis(scores, cells, axis=1)
        return np.stack([np.count_nonzero(scores > column[:, None], axis=1) for column in own.T], axis=1)

    def search_again(self, chosen: SecondSearch) -> list[SearchedAgain]:
        """What is found for the builder's readable rows, those of each number of cells."""
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
        said, rows = f"{cells} cells", rows_at_once(cells, count)
        return fill(folder, folder / "finished", count, self.builder.k, said, lambda: work, rows)


def rows_at_once(cells: int, count: int) -> int:
    """Rows of a block, of `count` that look into so many cells: all blocks alike, in a number that processes divide."""
    most = min(max(MOST_VISITS // cells, LEAST_ROWS), MOST_ROWS)
    parts = -(-count // (most * SHARES)) * SHARES
    return max(-(-count // max(parts, 1)), LEAST_ROWS)


class Recall(NamedTuple):
    """Shares of the true neighbours that a graph has.

    Attributes:
        all: Of all, the mean over rows.
        above_chance: Of those that stand out, see `Chance`; of all if none does.
    """

    all: float
    above_chance: float


def estimate_recall(builder: GraphBuilder, lists: Lists, chance: Chance) -> Recall:
    """Recall@k on rows sampled apart from those that `UncertainRows.plan` looked at, by exact search.

    All processes search together; what they find is noted on disk.
    """
    rows = builder.sample(builder.seed + 1)

    def prepare() -> Work:
        index = gpu_index(builder.embeddings, builder.readable)
        return lambda some: search(builder.embeddings, rows[some], builder.readable, builder.k, index)

    folder = builder.steps / "check"
    truth, cosines = fill(folder, folder / "finished", len(rows), builder.k, "check", prepare)

    def recall() -> Recall:
        wanted, there = (truth >= 0) & chance.stands_out(cosines), is_listed(truth, lists.neighbors[rows])
        every = float(_mean(there, truth).mean())
        return Recall(every, float((wanted & there).sum() / wanted.sum()) if wanted.any() else every)

    return Recall(*cached_json(builder.steps / "recall.json", recall))


def is_listed(truth: np.ndarray, neighbors: np.ndarray) -> np.ndarray:
    """Bool [b, k]: which of each row's true neighbours, int [b, k], are in its list; -1 are not."""
    return np.asarray(((truth[:, :, None] == neighbors[:, None, :]) & (truth[:, :, None] >= 0)).any(axis=2))


def recall_per_row(neighbors: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Float64 [b]: which share of each row's true neighbours, int [b, k], is in its list; -1 do not count."""
    return _mean(is_listed(truth, neighbors), truth)


def _mean(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.asarray((found & (truth >= 0)).sum(axis=1) / np.maximum(np.count_nonzero(truth >= 0, axis=1), 1))


def cheapest_ways(gains: np.ndarray, costs: np.ndarray, least: float, most: float) -> np.ndarray:
    """A way for each group, so that gains are enough at about the least cost.

    The step that gains most for its cost is taken, again and again; what a group gains never falls.

    Args:
        gains: float64 [groups, ways].
        costs: float64 [groups, ways], ascending from 0.
        least: What the gains are to add up to, as far as they can.
        most: What the costs may add up to; steps that cost more are left out.

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
