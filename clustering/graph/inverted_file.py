"""An inverted file of 4-bit product codes: rows in cells, found by their codes in the cells nearest to a query."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from clustering.graph.builder import GraphBuilder
from clustering.graph.exact import take
from facerec.pipeline.files import blocks

RESERVOIR = 13  # of the ways in which faiss scans cells, one that gives the same for any number of threads and queries


@dataclass(frozen=True)
class CellSettings:
    """How rows are parted into cells.

    Attributes:
        rows: Of a cell on average; with fewer, comparing with all cells costs more than it saves.
        most: Cells; beyond them training costs more than searching.
        training_rows: On which cells and codes are trained: 32 a cell at most, enough for faiss's k-means.
    """

    rows: int = 200
    most: int = 4096
    training_rows: int = 131_072


def build_inverted_file(builder: GraphBuilder, cells: CellSettings) -> Any:
    """A trained faiss index of all readable rows; the same for the same seed, and cheap beside searching it."""
    d, readable = builder.embeddings.shape[1], builder.readable
    count = int(min(max(len(readable) // cells.rows, 1), cells.most))
    index: Any = faiss.index_factory(d, f"IVF{count},PQ{d // 2 if d % 2 == 0 else d}x4fs", faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.spherical, index.cp.min_points_per_centroid = builder.seed, True, 1
    index.pq.cp.seed = builder.seed
    chosen = np.random.default_rng(builder.seed).permutation(len(readable))[: cells.training_rows]
    index.train(take(builder.embeddings, np.sort(readable[chosen])))
    for some in blocks(readable):
        index.add(take(builder.embeddings, some))
    return index


def read_inverted_file(file: Path) -> Any:
    """The index in a file, set to give the same for any number of threads and queries at once."""
    index: Any = faiss.read_index(str(file))
    index.implem = RESERVOIR
    return index


def search_cells(builder: GraphBuilder, rows: np.ndarray, index: Any, cells: int, k: int) -> np.ndarray:
    """Int64 [b, k]: the nearest of some rows by their codes, in so many of the nearest cells; -1 for none."""
    index.nprobe = cells
    found = index.search(take(builder.embeddings, rows), k)[1]
    return np.where(found < 0, -1, builder.readable[found])
