"""Rows that miss neighbours, by their low k-th cosine, are searched for again; a sample says how, and how many."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np

from clustering.graph.blocks_on_disk import Lists, Work
from clustering.graph.builder import GraphBuilder
from clustering.graph.candidates import best, in_parts
from clustering.graph.exact import gpu_index, search
from clustering.graph.inverted_file import read_inverted_file, search_cells

ABOVE_ALL = 2.0  # of cosines


@dataclass(frozen=True)
class SecondSearchSettings:
    """In which ways rows may be searched for again.

    Attributes:
        parts: Of all cells one in so many is looked into; the cheapest way that reaches the recall is taken.
        fetched: Rows found by their codes, of which the exact cosines are taken.
        exact_cells: An exact search costs as much as so many times all cells, as measured on two cores.
    """

    parts: tuple[int, ...] = (8, 4, 2)
    fetched: int = 400
    exact_cells: float = 1.5


class SecondSearch(NamedTuple):
    """What is searched for again.

    Attributes:
        limit: The k-th cosine below which rows are doubtful.
        share: Of the readable rows that are.
        cells: In how many cells they are sought; 0 for an exact search.
    """

    limit: float
    share: float
    cells: int


@dataclass(frozen=True)
class UncertainRows:
    """Lists of which the rows with a low k-th cosine are to be searched for again.

    Attributes:
        builder: Of the graph.
        lists: At least `builder.k` neighbours a row.
        file: The inverted file.
        settings: Ways to search again.
    """

    builder: GraphBuilder
    lists: Lists
    file: Path
    settings: SecondSearchSettings

    def plan(self, recall: float) -> SecondSearch:
        """What reaches the recall on a sample at the least cost: few rows exactly, or more in some of the cells."""
        builder, k = self.builder, self.builder.k
        rows, last = builder.sample(builder.seed), self.lists.similarities[builder.readable, k - 1]
        truth = builder.search(rows)[0]
        shares, cosines = recall_per_row(self.lists.neighbors[rows, :k], truth), self.lists.similarities[rows, k - 1]
        index = read_inverted_file(self.file)

        def again(found: np.ndarray, cells: int) -> SecondSearch | None:
            limit = doubt_limit(cosines, shares, found, recall)
            return None if limit is None else SecondSearch(limit, float(np.mean(last < limit)), cells)

        exact, ways = again(np.ones(len(rows)), 0), []
        assert exact is not None
        if exact.share and faiss.get_num_gpus() == 0:
            for part in self.settings.parts:
                cells = max(index.nlist // part, 1)
                found = self.search_many_cells(rows, index, cells)[0]
                ways.append(again(recall_per_row(found, truth), cells))
        costs = {exact: exact.share * self.settings.exact_cells * index.nlist}
        costs |= {way: way.share * way.cells for way in ways if way}
        return min(costs, key=lambda way: costs[way])

    def search_many_cells(self, rows: np.ndarray, index: Any, cells: int) -> tuple[np.ndarray, np.ndarray]:
        """The best of some rows' lists and of what is found in many cells, [b, k] each."""
        builder, fetched = self.builder, max(self.settings.fetched, 4 * self.builder.k)

        def work(some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            ids = search_cells(builder, some, index, cells, fetched)
            return best(builder.embeddings, some, np.hstack([self.lists.neighbors[some], ids]), builder.k)

        return in_parts(work, rows)

    def search_again(self, chosen: SecondSearch) -> Lists:
        """The first k of each list, and of uncertain rows those that are found when they are searched for again."""
        builder, k = self.builder, self.builder.k

        def prepare() -> Work:
            search_rows = self._searcher(chosen)

            def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                ids, cosines = self.lists.neighbors[rows, :k], self.lists.similarities[rows, :k]
                uncertain = np.flatnonzero((cosines[:, -1] < chosen.limit) & builder.is_readable[rows])
                if len(uncertain):
                    ids[uncertain], cosines[uncertain] = search_rows(rows[uncertain])
                return ids, cosines

            return work

        how = f"in {chosen.cells} cells" if chosen.cells else "exactly"
        return builder.fill(f"{how} below {chosen.limit:.4f}", prepare)

    def _searcher(self, chosen: SecondSearch) -> Work:
        if chosen.cells:
            return partial(self.search_many_cells, index=read_inverted_file(self.file), cells=chosen.cells)
        embeddings, readable = self.builder.embeddings, self.builder.readable
        return partial(search, embeddings, among=readable, k=self.builder.k, index=gpu_index(embeddings, readable))


def estimate_recall(builder: GraphBuilder, lists: Lists) -> float:
    """Recall@k on rows sampled apart from those that `UncertainRows.plan` looked at."""
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
