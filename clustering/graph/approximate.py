"""An approximate kNN graph: the nearest cells, neighbours of neighbours, and doubtful rows again in more cells.

1. Faces are sorted by cells of about the same size, and rounded to codes of 8 bits.
2. Each face looks into its few nearest cells. A cell is multiplied with all faces that look into it at once.
3. Rounds look at the neighbours of neighbours, in either direction, and keep the best. They find nearly all neighbours
   of the same person.
4. Rows whose k-th cosine is low miss others, who are anywhere. They look into more cells, the more the lower it is; a
   sample says how many, and a budget bounds what a face costs.
5. If the budget did not do, a last round spreads what was found.

What a face costs does not grow with the corpus, with two exceptions: the choice among cells and the first look into
them grow with the square root of the faces.

Products of codes are whole numbers. All cosines are of the embeddings, in fp32. A row's lists depend on the lists of
the steps before and on nothing else. So neither the number of threads or processes nor where a run was interrupted
changes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from clustering.graph.blocks_on_disk import Lists, Work, cheap_rows, even_rows, fill, release
from clustering.graph.builder import GraphBuilder
from clustering.graph.candidates import best, in_parts
from clustering.graph.cells import CellSettings, SortedFaces, sort_faces
from clustering.graph.rounds import Links, improved, link, share_of_new
from clustering.graph.scan import own_limits, scan
from clustering.graph.second_search import SearchedAgain, SecondSearchSettings, UncertainRows

LEAST_FACES = 1_000
ROUNDED = 1e-9
PARTS, LEAST_ROWS, MOST_ROWS = 16, 8_192, 65_536  # of what looks into cells: the more faces, the less each costs


@dataclass(frozen=True)
class ApproximateSettings:
    """How the approximate graph is built.

    Attributes:
        fetched: Candidates beyond k + 1 that a search by 8-bit codes returns. Their exact cosines decide.
        probed: Cells that the first search of each row looks into.
        links: Neighbours of a row that a round follows.
        back_links: Rows that list the row among their neighbours and that a round follows, too.
        rounds: Most rounds before the second search.
        least_new: Least share of links that no round has followed yet, for another round to be made.
        cells: How faces are divided into cells.
        second: How uncertain rows are searched for again.
    """

    fetched: int = 10
    probed: int = 32
    links: int = 10
    back_links: int = 10
    rounds: int = 4
    least_new: float = 0.08
    cells: CellSettings = field(default_factory=CellSettings)
    second: SecondSearchSettings = field(default_factory=SecondSearchSettings)

    @property
    def widths(self) -> tuple[int, int]:
        """Links of a row that a round follows, and rows that link to it."""
        return self.links, self.back_links


def approximate(builder: GraphBuilder, recall: float) -> tuple[Lists, list[SearchedAgain]]:
    """Builds the approximate graph.

    Args:
        builder: The builder of the graph, with more than `LEAST_FACES` readable rows.
        recall: Share of the true neighbours aimed at. On a sample it decides which rows are searched for again.

    Returns:
        The graph's lists, and the rows that were searched for again.
    """
    settings = ApproximateSettings()
    faces = sort_faces(builder, settings.cells)
    inner = replace(builder, embeddings=faces.embeddings, readable=np.arange(len(faces)))
    lists, again = refined(
        inner, faces, first_lists(inner, faces, inner.readable, None, settings), None, recall, settings
    )
    return in_first_order(builder, faces, lists), again


def complete(builder: GraphBuilder, candidates: Callable[[np.ndarray], np.ndarray], recall: float) -> Lists:
    """Builds the approximate graph from what is known of each row's neighbours; only rows that lack some are searched.

    Args:
        builder: As for `approximate`.
        candidates: Rows, int64 [b], to the nearest of each, int [b, c], with repetitions and -1 for none.
        recall: Share of the true neighbours aimed at, of the rows that lack some.
    """
    settings = ApproximateSettings()
    faces = sort_faces(builder, settings.cells)
    inner = replace(builder, embeddings=faces.embeddings, readable=np.arange(len(faces)))
    lists = known_lists(inner, faces, candidates, len(builder))
    lacking = np.flatnonzero(lists.neighbors[:, -1] < 0)
    if len(lacking):
        full = np.array(lists.neighbors)
        full[lacking] = -1
        followed = link(inner, Lists(full, lists.similarities), builder.steps / "full", settings.widths, None)
        some = replace(inner, readable=lacking)
        found = first_lists(inner, faces, lacking, lists, settings)
        lists = with_found(inner, lists, [SearchedAgain(settings.probed, lacking, found)], "nearest")
        lists, _ = refined(some, faces, lists, followed, recall, settings)
    return in_first_order(builder, faces, lists)


def refined(
    builder: GraphBuilder,
    faces: SortedFaces,
    lists: Lists,
    followed: Links | None,
    recall: float,
    settings: ApproximateSettings,
) -> tuple[Lists, list[SearchedAgain]]:
    """Lists after all rounds, and what was searched for again.

    Args:
        builder: The builder over the faces in the order of their cells; only its readable rows are searched for again.
        faces: The faces in that order.
        lists: The lists from the nearest cells.
        followed: Links that no round needs to follow.
        recall: Share of the true neighbours aimed at.
        settings: How the graph is built.
    """
    release(faces.codes)
    lists, links = rounds(builder, lists, followed, settings)
    uncertain = UncertainRows(builder, lists, faces, settings.second, settings.probed)
    chosen = uncertain.chosen(recall)
    again = uncertain.search_again(chosen)
    if again:
        lists = with_found(builder, lists, again, "found")
    if chosen.recall < recall - ROUNDED:
        folder = builder.steps / "last"
        lists = improved(builder, lists, folder, link(builder, lists, folder, settings.widths, links))
    release(faces.embeddings)
    return lists, again


def rounds(
    builder: GraphBuilder, lists: Lists, followed: Links | None, settings: ApproximateSettings
) -> tuple[Lists, Links]:
    """Rounds until few links are new, one at least, and the links of the last."""
    links = followed
    for number in range(settings.rounds):
        folder = builder.steps / str(number + 1)
        further = link(builder, lists, folder, settings.widths, links)
        if number and share_of_new(further, folder) < settings.least_new:
            break
        lists, links = improved(builder, lists, folder, further), further
    assert links is not None
    return lists, links


def known_lists(
    builder: GraphBuilder, faces: SortedFaces, candidates: Callable[[np.ndarray], np.ndarray], rows: int
) -> Lists:
    """Lists of what is known, see `complete`, in the order of the cells; the graph has so many rows."""

    def prepare() -> Work:
        place = places_of(faces, rows)

        def work(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            ids = candidates(faces.order[places])
            return best(builder.embeddings, places, np.where(ids < 0, -1, place[ids]), builder.k)

        return partial(in_parts, work)

    folder, at_once = builder.steps / "known", cheap_rows(len(builder))
    return fill(folder, folder / "finished", len(builder), builder.k, "known neighbours", prepare, at_once)


def first_lists(
    builder: GraphBuilder, faces: SortedFaces, places: np.ndarray, known: Lists | None, settings: ApproximateSettings
) -> Lists:
    """Lists of some places, ascending, from the cells nearest to each: the best by their codes, scored again.

    What a face finds among those beside it bounds what counts. Neighbours that are known count, too.
    """
    k = builder.k

    def work(some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        some = places[some]
        ids = scan(faces, some, settings.probed, own_limits(faces, some, k), k + 1 + settings.fetched)[0]
        if known is not None:
            ids = np.hstack([known.neighbors[some], ids])
        found = best(builder.embeddings, some, ids, k)
        release(builder.embeddings)
        return found

    folder, n = builder.steps / "0", len(places)
    rows = even_rows(n, min(max(-(-n // PARTS), LEAST_ROWS), MOST_ROWS))
    return fill(folder, folder / "finished", n, k, "cells", lambda: work, rows)


def with_found(builder: GraphBuilder, lists: Lists, again: list[SearchedAgain], name: str) -> Lists:
    """The lists with those that were searched for again in their places; the name is of the step's folder."""

    def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ids, cosines = (part[rows] for part in lists)
        for _, places, found in again:
            at = np.minimum(np.searchsorted(places, rows), max(len(places) - 1, 0))
            changed = np.flatnonzero(places[at] == rows) if len(places) else at[:0]
            ids[changed], cosines[changed] = (part[at[changed]] for part in found)
        return ids, cosines

    folder, rows = builder.steps / name, cheap_rows(len(builder))
    return fill(folder, folder / "finished", len(builder), builder.k, "found", lambda: work, rows)


def in_first_order(builder: GraphBuilder, faces: SortedFaces, lists: Lists) -> Lists:
    """The graph's own lists: they name rows, not places."""

    def prepare() -> Work:
        place = places_of(faces, len(builder))

        def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            some = place[rows]
            ids, cosines = (part[some] for part in lists)
            there = some[:, None] >= 0
            return np.where(there & (ids >= 0), faces.order[ids], -1), np.where(there, cosines, 0)

        return work

    return builder.fill("order", prepare, cheap_rows(len(builder)))


def places_of(faces: SortedFaces, rows: int) -> np.ndarray:
    """Int32 [rows]: the place of each row in the order of the cells, -1 for those that have none."""
    place = np.full(rows, -1, dtype=np.int32)
    place[faces.order] = np.arange(len(faces), dtype=np.int32)
    return place
