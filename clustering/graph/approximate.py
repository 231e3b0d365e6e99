"""An approximate kNN graph: the nearest cells, neighbours of neighbours, and doubtful rows again in more cells.

1. Faces are sorted by cells of about the same size, and rounded to codes of 8 bits.
2. Each face looks into its few nearest cells. A cell is multiplied with all faces that look into it at once.
3. A round looks at the neighbours of neighbours, in either direction, and keeps the best (NN-descent, Dong et al.,
   WWW 2011, without its sampling). It finds nearly all neighbours of the same person.
4. Rows whose k-th cosine is low miss strangers, who are anywhere. They look into more cells, the more the lower it is;
   a sample says how many.

Products of codes are whole numbers, and all cosines
are of the embeddings themselves, in fp32. A row's lists depend on the lists of the step before and on nothing else,
so neither the number of threads or processes nor where a run was interrupted changes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from clustering.graph.blocks_on_disk import Lists, Work, cached_json, cheap_rows, fill, release
from clustering.graph.builder import GraphBuilder
from clustering.graph.candidates import best, both_ways, in_parts
from clustering.graph.cells import CellSettings, SortedFaces, sort_faces
from clustering.graph.scan import own_limits, scan
from clustering.graph.second_search import SearchedAgain, SecondSearch, SecondSearchSettings, UncertainRows
from facerec.pipeline.ranks import make_once

LEAST_FACES = 1_000
PARTS, LEAST_ROWS, MOST_ROWS = 16, 8_192, 32_768  # of what looks into cells: the more faces, the less each costs


@dataclass(frozen=True)
class ApproximateSettings:
    """How the approximate graph is built.

    Attributes:
        fetched: Neighbours by their codes beyond those wanted, of which the exact cosines are taken.
        probed: Cells that each row is first sought in.
        links: Neighbours of a row that the round follows.
        back_links: Rows that have the row among their neighbours and that the round follows, too.
        cells: How faces are parted.
        second: Of the search for uncertain rows.
    """

    fetched: int = 10
    probed: int = 32
    links: int = 10
    back_links: int = 10
    cells: CellSettings = field(default_factory=CellSettings)
    second: SecondSearchSettings = field(default_factory=SecondSearchSettings)


def approximate(
    builder: GraphBuilder, recall: float, settings: ApproximateSettings | None = None
) -> tuple[Lists, list[SearchedAgain]]:
    """Builds the approximate graph.

    Args:
        builder: With more than `LEAST_FACES` readable rows.
        recall: Share of the true neighbours to be found; on a sample it decides what is searched for again.
        settings: By default as `ApproximateSettings` has them.

    Returns:
        The graph's lists, and what was searched for again.
    """
    settings = settings or ApproximateSettings()
    faces = sort_faces(builder, settings.cells)
    inner = replace(builder, embeddings=faces.embeddings, readable=np.arange(len(faces)))
    lists = first_lists(inner, faces, settings)
    release(faces.codes)
    lists = improved(inner, lists, settings)
    uncertain = UncertainRows(inner, lists, faces, settings.second, settings.probed)
    chosen = SecondSearch(*cached_json(builder.steps / "again.json", lambda: uncertain.plan(recall)))
    again = uncertain.search_again(chosen)
    release(faces.embeddings)
    return in_first_order(builder, faces, lists, again), again


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


def improved(builder: GraphBuilder, lists: Lists, settings: ApproximateSettings) -> Lists:
    """The best of each row's list, its links, and the links of those."""
    folder, k = builder.steps / "1", builder.k

    def prepare() -> Work:
        def write_links(path: Path) -> None:
            np.save(path, both_ways(lists.neighbors[:, : settings.links], settings.back_links))

        links = np.load(make_once(folder / "links.npy", write_links), mmap_mode="r")

        def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            near = links[rows]
            further = np.where(near[:, :, None] < 0, -1, links[near]).reshape(len(rows), -1)
            return best(builder.embeddings, rows, np.hstack([lists.neighbors[rows], near, further]), k)

        return partial(in_parts, work)

    rows = cheap_rows(len(builder))
    return fill(folder, folder / "finished", len(builder), k, "neighbours of neighbours", prepare, rows)


def in_first_order(builder: GraphBuilder, faces: SortedFaces, lists: Lists, again: list[SearchedAgain]) -> Lists:
    """The graph's own lists: they name rows, not places, and have what was found last of each."""

    def prepare() -> Work:
        place = np.full(len(builder), -1, dtype=np.int32)
        place[faces.order] = np.arange(len(faces), dtype=np.int32)

        def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            some = place[rows]
            ids, cosines = (part[some] for part in lists)
            for _, places, found in again:
                at = np.minimum(np.searchsorted(places, some), max(len(places) - 1, 0))
                changed = np.flatnonzero(places[at] == some) if len(places) else at[:0]
                ids[changed], cosines[changed] = (part[at[changed]] for part in found)
            there = some[:, None] >= 0
            return np.where(there & (ids >= 0), faces.order[ids], -1), np.where(there, cosines, 0)

        return work

    return builder.fill("order", prepare, cheap_rows(len(builder)))
