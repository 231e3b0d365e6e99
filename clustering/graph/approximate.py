"""An approximate kNN graph: the nearest cells, neighbours of neighbours, and doubtful rows again in more cells.

1. Faces are sorted by cells of about the same size, and rounded to codes of 8 bits.
2. Each face looks into its nearest cells. A cell is multiplied with all faces that look into it at once.
3. A round looks at the neighbours of neighbours, in either direction, and keeps the best (NN-descent, Dong et al.,
   WWW 2011, without its sampling).
4. Rows whose k-th cosine is low are those that miss neighbours. They look into more cells; a sample says into how many,
   and which rows.

Each face looks into so many cells, whatever the number of faces. Products of codes are whole numbers, and all cosines
are of the embeddings themselves, in fp32. A row's lists depend on the lists of the step before and on nothing else,
so neither the number of threads or processes nor where a run was interrupted changes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from clustering.graph.blocks_on_disk import Lists, Work, cached_json, fill, release
from clustering.graph.builder import GraphBuilder
from clustering.graph.candidates import best, both_ways, in_parts
from clustering.graph.cells import CellSettings, SortedFaces, sort_faces
from clustering.graph.scan import own_limits, scan
from clustering.graph.second_search import SecondSearch, SecondSearchSettings, UncertainRows
from facerec.pipeline.ranks import make_once

LEAST_FACES = 1_000
LARGER_BLOCKS = 16
FIRST_SHARE = 8


@dataclass(frozen=True)
class ApproximateSettings:
    """How the approximate graph is built.

    Attributes:
        extra: Neighbours that first lists have beyond those wanted.
        fetched: Neighbours by their codes beyond those of the first lists, of which the exact cosines are taken.
        probed: Cells that each row is first sought in.
        links: Neighbours of a row that the round follows.
        back_links: Rows that have the row among their neighbours and that the round follows, too.
        cells: How faces are parted.
        second: Of the search for uncertain rows.
    """

    extra: int = 10
    fetched: int = 10
    probed: int = 128
    links: int = 20
    back_links: int = 10
    cells: CellSettings = field(default_factory=CellSettings)
    second: SecondSearchSettings = field(default_factory=SecondSearchSettings)


def approximate(
    builder: GraphBuilder, recall: float, settings: ApproximateSettings | None = None
) -> tuple[Lists, SecondSearch]:
    """Builds the approximate graph.

    Args:
        builder: With more than `LEAST_FACES` readable rows.
        recall: Share of the true neighbours to be found; on a sample it decides what is searched for again.
        settings: By default as `ApproximateSettings` has them.

    Returns:
        The lists, and what was searched for again.
    """
    settings = settings or ApproximateSettings()
    faces = sort_faces(builder, settings.cells)
    inner = replace(builder, embeddings=faces.embeddings, readable=np.arange(len(faces)))
    wide = builder.k + settings.extra
    lists = improved(inner, first_lists(inner, faces, wide, settings), wide, settings)
    uncertain = UncertainRows(inner, lists, faces, settings.second, settings.probed)
    again = SecondSearch(*cached_json(builder.steps / "again.json", lambda: uncertain.plan(recall)))
    found = uncertain.search_again(again)
    release(faces.embeddings)
    return in_first_order(builder, faces, found), again


def first_lists(builder: GraphBuilder, faces: SortedFaces, k: int, settings: ApproximateSettings) -> Lists:
    """Lists from the cells nearest to each face: the best by their codes, scored again.

    What a face finds among those beside it, then in some of the cells, bounds what counts in all of them.
    """
    most = k + settings.fetched

    def work(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        limits = own_limits(faces, places, k)
        near = (settings.probed // FIRST_SHARE, k + 1)
        ids = scan(faces, places, settings.probed, limits, most, near)[0]
        return best(builder.embeddings, places, ids, k)

    folder = builder.steps / "0"
    return fill(folder, folder / "finished", len(faces), k, "cells", lambda: work, LARGER_BLOCKS)


def improved(builder: GraphBuilder, lists: Lists, k: int, settings: ApproximateSettings) -> Lists:
    """The best of each row's list, its links, and the links of those."""
    folder = builder.steps / "1"

    def prepare() -> Work:
        def write_links(path: Path) -> None:
            np.save(path, both_ways(lists.neighbors[:, : settings.links], settings.back_links))

        links = np.load(make_once(folder / "links.npy", write_links), mmap_mode="r")

        def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            near = links[rows]
            further = np.where(near[:, :, None] < 0, -1, links[near]).reshape(len(rows), -1)
            return best(builder.embeddings, rows, np.hstack([lists.neighbors[rows], near, further]), k)

        return partial(in_parts, work)

    return fill(folder, folder / "finished", len(builder), k, "neighbours of neighbours", prepare)


def in_first_order(builder: GraphBuilder, faces: SortedFaces, lists: Lists) -> Lists:
    """The graph's own lists: rows in place of places."""

    def prepare() -> Work:
        place = np.full(len(builder), -1, dtype=np.int64)
        place[faces.order] = np.arange(len(faces))

        def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            some = place[rows]
            ids, there = lists.neighbors[some], some[:, None] >= 0
            ids = np.where(there & (ids >= 0), faces.order[ids], -1)
            return ids, np.where(there, lists.similarities[some], 0)

        return work

    return builder.fill("order", prepare)
