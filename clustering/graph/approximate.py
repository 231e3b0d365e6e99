"""An approximate kNN graph: an inverted file's lists, improved by neighbours of neighbours, the doubtful rows again.

1. A seeded inverted file of 4-bit product codes gives first lists, longer than needed (over-fetch).
2. Each round looks at the neighbours of neighbours, in either direction, and keeps the best (NN-descent, Dong et al.,
   WWW 2011, without its sampling).
3. Rows whose k-th cosine is low are those that miss neighbours. They are searched for again, in many more cells or
   exactly; a sample says how, and how many.

All cosines are of the embeddings themselves, in fp32. A row's lists depend on the lists of the round before and on
nothing else, so neither the number of threads or processes nor where a run was interrupted changes them. What all
blocks need (the inverted file, the links both ways, what is searched for again) the first process makes and writes down
for the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import faiss
import numpy as np

from clustering.graph.blocks_on_disk import Lists, Work, cached_json, fill
from clustering.graph.builder import GraphBuilder
from clustering.graph.candidates import best, both_ways, in_parts
from clustering.graph.inverted_file import CellSettings, build_inverted_file, read_inverted_file, search_cells
from clustering.graph.second_search import SecondSearch, SecondSearchSettings, UncertainRows
from facerec.pipeline.ranks import make_once

LEAST_FACES = 1_000


@dataclass(frozen=True)
class ApproximateSettings:
    """How the approximate graph is built; each default was the cheapest for recall .985 on 10^5 to 10^6 faces.

    Attributes:
        extra: Neighbours that first lists have beyond those wanted.
        probed: Cells that each row is first sought in.
        rounds: Rounds of neighbours of neighbours; a second one costs more than searching uncertain rows again.
        links: Neighbours of a row that a round follows.
        back_links: Rows that have the row among their neighbours and that a round follows, too.
        cells: Of the inverted file.
        second: Of the search for uncertain rows.
    """

    extra: int = 10
    probed: int = 64
    rounds: int = 1
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
    builder = replace(builder, embeddings=np.ascontiguousarray(builder.embeddings))  # a memory map in order stays one
    wide, file = builder.k + settings.extra, builder.steps / "0" / "inverted_file.faiss"
    lists = first_lists(builder, file, wide, settings)
    for number in range(1, settings.rounds + 1):
        lists = improved(builder, lists, number, wide, settings)
    uncertain = UncertainRows(builder, lists, file, settings.second)
    again = SecondSearch(*cached_json(builder.steps / "again.json", lambda: uncertain.plan(recall)))
    return uncertain.search_again(again), again


def first_lists(builder: GraphBuilder, file: Path, k: int, settings: ApproximateSettings) -> Lists:
    """Lists from an inverted file, made at `file`: the cells nearest to each row, by product codes, scored again."""

    def prepare() -> Work:
        make_once(file, lambda path: faiss.write_index(build_inverted_file(builder, settings.cells), str(path)))
        index = read_inverted_file(file)

        def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            ids = search_cells(builder, rows, index, settings.probed, k + 1)
            return best(builder.embeddings, rows, np.where(builder.is_readable[rows, None], ids, -1), k)

        return work

    return fill(file.parent, file.parent / "finished", len(builder), k, "inverted file", prepare)


def improved(builder: GraphBuilder, lists: Lists, number: int, k: int, settings: ApproximateSettings) -> Lists:
    """A round: the best of each row's list, its links, and the links of those."""
    folder = builder.steps / f"{number}"

    def prepare() -> Work:
        def write_links(path: Path) -> None:
            np.save(path, both_ways(lists.neighbors[:, : settings.links], settings.back_links))

        links = np.load(make_once(folder / "links.npy", write_links), mmap_mode="r")

        def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            near = links[rows]
            further = np.where(near[:, :, None] < 0, -1, links[near]).reshape(len(rows), -1)
            return best(builder.embeddings, rows, np.hstack([lists.neighbors[rows], near, further]), k)

        return partial(in_parts, work)

    return fill(folder, folder / "finished", len(builder), k, f"round {number}", prepare)
