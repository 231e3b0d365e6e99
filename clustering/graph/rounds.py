"""Rounds of neighbours of neighbours, by links that no round has followed (NN-descent, Dong et al., WWW 2011).

The sampling of NN-descent is left out.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clustering.graph.blocks_on_disk import Arrays, Lists, Work, cached_json, cheap_rows, fill, fill_arrays
from clustering.graph.builder import GraphBuilder
from clustering.graph.candidates import best, in_parts, linked_at_once, links_of


class Links(NamedTuple):
    """What a round follows.

    Attributes:
        ends: int32 [n, l], mapped, see `both_ways`.
        new: bool [n, l], mapped: which of them no round has followed yet.
    """

    ends: np.ndarray
    new: np.ndarray


def link(builder: GraphBuilder, lists: Lists, folder: Path, widths: tuple[int, int], before: Links | None) -> Links:
    """The links for the next round.

    Args:
        builder: The builder of the graph.
        lists: The lists so far.
        folder: For ``links.npy`` and ``new.npy``.
        widths: How many neighbours of a row are links, and how many rows that link to it.
        before: The links of the round before; None before the first.
    """
    links, n = lists.neighbors[:, : widths[0]], len(builder)

    def find(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ends = links_of(links, widths[1], rows)
        new = ends >= 0
        for column in () if before is None else before.ends[rows].T:
            new &= ends != column[:, None]
        return ends, new

    at_once = linked_at_once(n)
    work = partial(in_parts, find, at_once=at_once)
    width = (links.shape[1] + widths[1],)
    arrays: Arrays = {"links": (width, np.int32), "new": (width, bool)}
    return Links(*fill_arrays(folder, folder / "links" / "finished", n, arrays, "links", lambda: work, 2 * at_once))


def improved(builder: GraphBuilder, lists: Lists, folder: Path, links: Links) -> Lists:
    """Better lists: the best of each row's list, its links and the links of these, without what earlier rounds saw."""
    k = builder.k

    def prepare() -> Work:
        def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            ids, cosines = (part[rows] for part in lists)
            near, new = links.ends[rows], links.new[rows]
            useful = (new[:, :, None] | links.new[near]) & (near >= 0)[:, :, None]
            some = np.flatnonzero(useful.any(axis=(1, 2)))
            near, new, useful = near[some], new[some], useful[some]
            further = np.where(useful, links.ends[near], -1).reshape(len(some), near.shape[1] ** 2)
            candidates = np.hstack([ids[some], np.where(new, near, -1), further])
            ids[some], cosines[some] = best(builder.embeddings, rows[some], candidates, k)
            return ids, cosines

        return partial(in_parts, work)

    rows = cheap_rows(len(builder))
    return fill(folder, folder / "finished", len(builder), k, "neighbours of neighbours", prepare, rows)


def share_of_new(links: Links, folder: Path) -> float:
    """Share of the links that no round has followed yet; kept on disk."""
    return float(cached_json(folder / "new.json", lambda: float(links.new.mean())))
