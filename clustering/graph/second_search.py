"""Rows that miss neighbours, by their low k-th cosine, are searched for again; a sample says how, and how many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clustering.graph.blocks_on_disk import Lists, fill
from clustering.graph.builder import GraphBuilder
from clustering.graph.candidates import best
from clustering.graph.cells import SortedFaces
from clustering.graph.scan import scan

ABOVE_ALL = 2.0  # of cosines
LARGER_BLOCKS = 16


@dataclass(frozen=True)
class SecondSearchSettings:
    """In which ways rows may be searched for again.

    Attributes:
        cells: Into how many of its cells a row may look, but for all; the cheapest that reaches the recall is taken.
        fetched: Neighbours by their codes beyond those wanted, of which the exact cosines are taken.
    """

    cells: tuple[int, ...] = (256, 512, 1024, 4096)
    fetched: int = 10


class SecondSearch(NamedTuple):
    """What is searched for again.

    Attributes:
        limit: The k-th cosine below which rows are doubtful.
        share: Of the readable rows that are.
        cells: In how many cells they are sought.
    """

    limit: float
    share: float
    cells: int


@dataclass(frozen=True)
class UncertainRows:
    """Lists of which the rows with a low k-th cosine are to be searched for again.

    Attributes:
        builder: Of the graph, over the faces in the order of their cells.
        lists: At least `builder.k` neighbours a row.
        faces: In that order.
        settings: Ways to search again.
        known: About how many of its cells each row has looked into already; they are not looked into again.
    """

    builder: GraphBuilder
    lists: Lists
    faces: SortedFaces
    settings: SecondSearchSettings
    known: int = 0

    def plan(self, recall: float) -> SecondSearch:
        """What reaches the recall on a sample at the least cost: few rows in many cells, or more rows in fewer."""
        builder, k, count = self.builder, self.builder.k, len(self.faces.centres)
        rows, last = builder.sample(builder.seed), self.lists.similarities[:, k - 1]
        truth = self.search(rows, count, known=0)[0]
        shares, cosines = recall_per_row(self.lists.neighbors[rows, :k], truth), last[rows]
        if shares.mean() >= recall:
            return SecondSearch(-ABOVE_ALL, 0, 0)
        ways = []
        for cells in dict.fromkeys(min(cells, count) for cells in (*self.settings.cells, count)):
            found = (
                recall_per_row(self.search(rows, cells, self.known)[0], truth) if cells < count else np.ones(len(rows))
            )
            limit = doubt_limit(cosines, shares, found, recall)
            if limit is not None:
                ways.append(SecondSearch(limit, float(np.mean(last < limit)), cells))
        return min(ways, key=lambda way: way.share * way.cells)

    def search(self, rows: np.ndarray, cells: int, known: int) -> tuple[np.ndarray, np.ndarray]:
        """The best of some rows' lists and of what is found in so many cells, but for the `known` nearest.

        Nothing with a lower cosine than the k-th of the list counts.
        """
        faces, k = self.faces, self.builder.k
        quantiser = faces.quantiser
        last = np.where(self.lists.neighbors[rows, k - 1] < 0, -1, self.lists.similarities[rows, k - 1])
        limits = quantiser.score(last - quantiser.slack)
        ids = scan(faces, rows, cells, limits, k + 1 + self.settings.fetched, known=known)[0]
        return best(faces.embeddings, rows, np.hstack([self.lists.neighbors[rows], ids]), k)

    def search_again(self, chosen: SecondSearch) -> Lists:
        """The first k of each list, and of uncertain rows those that are found when they are searched for again."""
        builder, k = self.builder, self.builder.k

        def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            ids, cosines = self.lists.neighbors[rows, :k], self.lists.similarities[rows, :k]
            uncertain = np.flatnonzero(cosines[:, -1] < chosen.limit)
            if len(uncertain):
                ids[uncertain], cosines[uncertain] = self.search(rows[uncertain], chosen.cells, self.known)
            return ids, cosines

        folder = builder.steps / "2"
        name = f"{chosen.cells} cells below {chosen.limit:.4f}"
        return fill(folder, folder / "finished", len(builder), k, name, lambda: work, LARGER_BLOCKS)


def estimate_recall(builder: GraphBuilder, lists: Lists) -> float:
    """Recall@k on rows sampled apart from those that `UncertainRows.plan` looked at, by exact search."""
    rows = builder.sample(builder.seed + 1)
    return float(recall_per_row(lists.neighbors[rows], builder.search(rows)[0]).mean())


def recall_per_row(neighbors: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Float64 [b]: which share of each row's true neighbours, int [b, k], is in its list; -1 do not count."""
    hits = ((truth[:, :, None] == neighbors[:, None, :]) & (truth[:, :, None] >= 0)).any(axis=2).sum(axis=1)
    return np.asarray(hits / np.maximum(np.count_nonzero(truth >= 0, axis=1), 1))


def doubt_limit(cosines: np.ndarray, shares: np.ndarray, again: np.ndarray, recall: float) -> float | None:
    """The least k-th cosine such that searching again below it gives the recall wanted; None if none does.

    Args:
        cosines: float32 [b]: of sampled rows, the k-th of each.
        shares: float64 [b]: of their true neighbours that were found.
        again: float64 [b]: the same where they are searched for again.
        recall: Mean share wanted.
    """
    order = np.argsort(cosines, kind="stable")
    gains = np.append(0, (again - shares)[order].cumsum())  # by the rows before each place
    enough = shares.mean() + gains / len(order) >= recall - 1e-12
    first = int(enough.argmax())
    if not enough[first]:
        return None
    return float(cosines[order][first]) if first < len(order) else ABOVE_ALL
