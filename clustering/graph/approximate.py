"""An approximate kNN graph: the nearest cells, neighbours of neighbours, and doubtful rows again in more cells.

1. Faces are sorted by cells of about the same size, and rounded to codes of 8 bits.
2. Each face looks into its few nearest cells. A cell is multiplied with all faces that look into it at once.
3. Rounds look at the neighbours of neighbours, in either direction, and keep the best. They find nearly all neighbours
   of the same person.
4. Rows whose k-th cosine is low miss others, who are anywhere. They look into more cells, the more the lower it is; a
   sample says how many, and a budget bounds what a face costs.
5. If the budget did not do, a last round spreads what was found.

What a face costs does not grow with the corpus, but for the choice among cells and the first look into them: these grow
with the square root of the faces. Products of codes are whole numbers, and all cosines are of the embeddings, in fp32.
A row's lists depend on the lists of the steps before and on nothing else. So neither the number of threads or processes
nor where a run was interrupted changes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from clustering.graph.blocks_on_disk import Lists, Work, cached_json, cheap_rows, fill, release
from clustering.graph.builder import GraphBuilder
from clustering.graph.candidates import best
from clustering.graph.cells import CellSettings, SortedFaces, sort_faces
from clustering.graph.rounds import Links, improved, link, share_of_new
from clustering.graph.scan import own_limits, scan
from clustering.graph.second_search import SearchedAgain, SecondSearch, SecondSearchSettings, UncertainRows

LEAST_FACES = 1_000
ROUNDED = 1e-9
PARTS, LEAST_ROWS, MOST_ROWS = 16, 8_192, 65_536  # of what looks into cells: the more faces, the less each costs


@dataclass(frozen=True)
class ApproximateSettings:
    """How the approximate graph is built.

    Attributes:
        fetched: Neighbours by their codes beyond those wanted, of which the exact cosines are taken.
        probed: Cells that each row is first sought in.
        links: Neighbours of a row that a round follows.
        back_links: Rows that have the row among their neighbours and that a round follows, too.
        rounds: At most, before the second search.
        least_new: Another round is made if at least this share of the links has been followed by none.
        cells: How faces are parted.
        second: Of the search for uncertain rows.
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


def approximate(
    builder: GraphBuilder, recall: float, settings: ApproximateSettings | None = None
) -> tuple[Lists, list[SearchedAgain]]:
    """Builds the approximate graph.

    Args:
        builder: With more than `LEAST_FACES` readable rows.
        recall: Share of the true neighbours aimed at; on a sample it decides what is searched for again.
        settings: By default as `ApproximateSettings` has them.

    Returns:
        The graph's lists, and what was searched for again.
    """
    settings = settings or ApproximateSettings()
    faces = sort_faces(builder, settings.cells)
    inner = replace(builder, embeddings=faces.embeddings, readable=np.arange(len(faces)))
    lists = first_lists(inner, faces, settings)
    release(faces.codes)
    lists, links = rounds(inner, lists, settings)
    uncertain = UncertainRows(inner, lists, faces, settings.second, settings.probed)
    chosen = SecondSearch(*cached_json(builder.steps / "second_search.json", lambda: uncertain.plan(recall)))
    again = uncertain.search_again(chosen)
    if again:
        lists = with_found(inner, lists, again)
    if chosen.recall < recall - ROUNDED:
        folder = builder.steps / "last"
        lists = improved(inner, lists, folder, link(inner, lists, folder, settings.widths, links))
    release(faces.embeddings)
    return in_first_order(builder, faces, lists), again


def rounds(builder: GraphBuilder, lists: Lists, settings: ApproximateSettings) -> tuple[Lists, Links]:
    """Rounds until few links are new, and what they have followed."""
    links = None
    for number in range(settings.rounds):
        folder = builder.steps / str(number + 1)
        further = link(builder, lists, folder, settings.widths, links)
        if links is not None and share_of_new(further, folder) < settings.least_new:
            break
        lists, links = improved(builder, lists, folder, further), further
    assert links is not None
    return lists, links


def first_lists(builder: GraphBuilder, faces: SortedFaces, settings: ApproximateSettings) -> Lists:
    """Lists from the cells nearest to each face: the best by their codes, scored again.

    What a face finds among those beside it bounds what counts.
    """
    k = builder.k

    def work(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ids = scan(faces, places, settings.probed, own_limits(faces, places, k), k + 1 + settings.fetched)[0]
        found = best(builder.embeddings, places, ids, k)
        release(builder.embeddings)
        return found

    folder, rows = builder.steps / "0", min(max(-(-len(faces) // PARTS), LEAST_ROWS), MOST_ROWS)
    return fill(folder, folder / "finished", len(faces), k, "cells", lambda: work, rows)


def with_found(builder: GraphBuilder, lists: Lists, again: list[SearchedAgain]) -> Lists:
    """The lists with those of the second search in their places."""

    def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ids, cosines = (part[rows] for part in lists)
        for _, places, found in again:
            at = np.minimum(np.searchsorted(places, rows), max(len(places) - 1, 0))
            changed = np.flatnonzero(places[at] == rows) if len(places) else at[:0]
            ids[changed], cosines[changed] = (part[at[changed]] for part in found)
        return ids, cosines

    folder, rows = builder.steps / "found", cheap_rows(len(builder))
    return fill(folder, folder / "finished", len(builder), builder.k, "found", lambda: work, rows)


def in_first_order(builder: GraphBuilder, faces: SortedFaces, lists: Lists) -> Lists:
    """The graph's own lists: they name rows, not places."""

    def prepare() -> Work:
        place = np.full(len(builder), -1, dtype=np.int32)
        place[faces.order] = np.arange(len(faces), dtype=np.int32)

        def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            some = place[rows]
            ids, cosines = (part[some] for part in lists)
            there = some[:, None] >= 0
            return np.where(there & (ids >= 0), faces.order[ids], -1), np.where(there, cosines, 0)

        return work

    return builder.fill("order", prepare, cheap_rows(len(builder)))
