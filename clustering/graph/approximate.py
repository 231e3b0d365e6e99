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

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np

from clustering.graph.blocks_on_disk import Lists, Work, cached_json, fill
from clustering.graph.exact import gpu_index, search, take
from facerec.pipeline.files import blocks
from facerec.pipeline.ranks import make_once

LEAST_FACES = 1_000
SAMPLED_ROWS = 3_000
EXTRA, ROUNDS = 10, 1
CELL_ROWS, MOST_CELLS, CELLS_PROBED, TRAINING_ROWS = 200, 4096, 64, 131_072
LINKS, BACK_LINKS = 20, 10
WIDE_PARTS, WIDE_FETCHED = (8, 4, 2), 400
EXACT_CELLS = 1.5  # an exact search costs as much as so many times all cells, by measurements
ABOVE_ALL = 2.0  # of cosines
RESERVOIR = 13  # of the ways in which faiss scans cells, one that gives the same for any number of threads and queries
INNER_ROWS = 1024


def approximate(
    embeddings: np.ndarray, readable: np.ndarray, folder: Path, steps: Path, k: int, recall: float, seed: int
) -> tuple[Lists, SecondSearch]:
    """The approximate graph, made in `folder`.

    Args:
        embeddings: float32 [n, d], unit or zero rows; in order of memory, perhaps a memory map.
        readable: int64 [m], ascending: the rows that are not zero, more than `LEAST_FACES`.
        folder: To make it in.
        steps: Folder for what is made on the way.
        k: Neighbours a row.
        recall: Share of the true neighbours to be found; on a sample it decides what is searched for again.
        seed: Of the training of the inverted file, and of the sample.

    Returns:
        The lists, and what was searched for again.
    """
    embeddings = np.ascontiguousarray(embeddings)  # a memory map in order stays one
    wide, file = k + EXTRA, steps / "0" / "inverted_file.faiss"
    lists = first_lists(embeddings, readable, file, wide, seed)
    for number in range(ROUNDS):
        lists = improved(embeddings, lists, steps / f"{number + 1}", wide, number)
    again = SecondSearch(
        *cached_json(
            steps / "again.json", lambda: plan_second_search(embeddings, readable, lists, file, k, recall, seed)
        )
    )
    return search_uncertain_rows(embeddings, readable, lists, file, folder, steps / "finished", k, again), again


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


def plan_second_search(
    embeddings: np.ndarray, readable: np.ndarray, lists: Lists, file: Path, k: int, recall: float, seed: int
) -> SecondSearch:
    """What reaches the recall on a sample at the least cost: few rows exactly, or more in some of the cells."""
    rows, last = sampled(readable, seed), lists.similarities[readable, k - 1]
    truth = search(embeddings, rows, readable, k)[0]
    shares, cosines = recall_per_row(lists.neighbors[rows, :k], truth), lists.similarities[rows, k - 1]
    index = read_inverted(file)

    def again(found: np.ndarray, cells: int) -> SecondSearch | None:
        limit = doubt_limit(cosines, shares, found, recall)
        return None if limit is None else SecondSearch(limit, float(np.mean(last < limit)), cells)

    exact, ways = again(np.ones(len(rows)), 0), []
    assert exact is not None
    if exact.share and faiss.get_num_gpus() == 0:
        for part in WIDE_PARTS:
            cells = max(index.nlist // part, 1)
            found = search_many_cells(embeddings, readable, lists, rows, index, cells, k)[0]
            ways.append(again(recall_per_row(found, truth), cells))
    costs = {exact: exact.share * EXACT_CELLS * index.nlist} | {way: way.share * way.cells for way in ways if way}
    return min(costs, key=lambda way: costs[way])


def estimate_recall(embeddings: np.ndarray, readable: np.ndarray, lists: Lists, seed: int) -> float:
    """Recall@k on rows sampled apart from those that `approximate` looked at."""
    rows = sampled(readable, seed + 1)
    truth = search(embeddings, rows, readable, lists.neighbors.shape[1])[0]
    return float(recall_per_row(lists.neighbors[rows], truth).mean())


def sampled(readable: np.ndarray, seed: int) -> np.ndarray:
    """Int64: `SAMPLED_ROWS` of the readable rows, ascending; all if there are no more."""
    return np.sort(np.random.default_rng(seed).permutation(readable)[:SAMPLED_ROWS])


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


def first_lists(embeddings: np.ndarray, readable: np.ndarray, file: Path, k: int, seed: int) -> Lists:
    """Lists from an inverted file, made at `file`: the cells nearest to each row, by product codes, scored again."""

    def prepare() -> Work:
        make_once(file, lambda path: faiss.write_index(inverted_file(embeddings, readable, seed), str(path)))
        index, there = read_inverted(file), readable_mask(len(embeddings), readable)

        def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            ids = in_cells(embeddings, readable, rows, index, CELLS_PROBED, k + 1)
            return best(embeddings, rows, np.where(there[rows, None], ids, -1), k)

        return work

    return fill(file.parent, file.parent / "finished", len(embeddings), k, "inverted file", prepare)


def read_inverted(file: Path) -> Any:
    """The index at `file`, set to give the same for any number of threads and queries at once."""
    index: Any = faiss.read_index(str(file))
    index.implem = RESERVOIR
    return index


def in_cells(
    embeddings: np.ndarray, readable: np.ndarray, rows: np.ndarray, index: Any, cells: int, k: int
) -> np.ndarray:
    """Int64 [b, k]: the nearest of some rows by their codes, in so many of the nearest cells; -1 for none."""
    index.nprobe = cells
    found = index.search(take(embeddings, rows), k)[1]
    return np.where(found < 0, -1, readable[found])


def search_many_cells(
    embeddings: np.ndarray, readable: np.ndarray, lists: Lists, rows: np.ndarray, index: Any, cells: int, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The best of some rows' lists and of what is found in many cells, [b, k] each."""

    def work(some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ids = in_cells(embeddings, readable, some, index, cells, max(WIDE_FETCHED, 4 * k))
        return best(embeddings, some, np.hstack([lists.neighbors[some], ids]), k)

    return in_parts(work, rows)


def inverted_file(embeddings: np.ndarray, readable: np.ndarray, seed: int) -> Any:
    """A trained faiss index of all readable rows; the same for the same seed, and cheap beside searching it."""
    d = embeddings.shape[1]
    cells = int(min(max(len(readable) // CELL_ROWS, 1), MOST_CELLS))
    index: Any = faiss.index_factory(d, f"IVF{cells},PQ{d // 2 if d % 2 == 0 else d}x4fs", faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.spherical, index.cp.min_points_per_centroid = seed, True, 1
    index.pq.cp.seed = seed
    chosen = np.random.default_rng(seed).permutation(len(readable))[:TRAINING_ROWS]
    index.train(take(embeddings, np.sort(readable[chosen])))
    for some in blocks(readable):
        index.add(take(embeddings, some))
    return index


def improved(embeddings: np.ndarray, lists: Lists, folder: Path, k: int, number: int) -> Lists:
    """A round: the best of each row's list, its links, and the links of those."""

    def prepare() -> Work:
        file = make_once(folder / "links.npy", lambda path: np.save(path, both_ways(lists.neighbors[:, :LINKS])))
        links = np.load(file, mmap_mode="r")

        def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            near = links[rows]
            further = np.where(near[:, :, None] < 0, -1, links[near]).reshape(len(rows), -1)
            return best(embeddings, rows, np.hstack([lists.neighbors[rows], near, further]), k)

        return partial(in_parts, work)

    return fill(folder, folder / "finished", len(embeddings), k, f"round {number + 1}", prepare)


def in_parts(work: Work, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lists of some rows, `INNER_ROWS` at a time: candidates take hundreds of times the room of lists."""
    parts = [work(some) for some in blocks(rows, INNER_ROWS)]
    return np.concatenate([ids for ids, _ in parts]), np.concatenate([cosines for _, cosines in parts])


def search_uncertain_rows(
    embeddings: np.ndarray, readable: np.ndarray, lists: Lists, file: Path, folder: Path, finished: Path, k: int,
    again: SecondSearch,
) -> Lists:  # fmt: skip
    """The first `k` of each list, and of doubtful rows those that are found when they are searched for again."""

    def prepare() -> Work:
        there = readable_mask(len(embeddings), readable)
        if again.cells:
            inverted = read_inverted(file)
            anew = partial(search_many_cells, embeddings, readable, lists, index=inverted, cells=again.cells, k=k)
        else:
            anew = partial(search, embeddings, among=readable, k=k, index=gpu_index(embeddings, readable))

        def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            ids, cosines = lists.neighbors[rows, :k], lists.similarities[rows, :k]
            doubtful = np.flatnonzero((cosines[:, -1] < again.limit) & there[rows])
            if len(doubtful):
                ids[doubtful], cosines[doubtful] = anew(rows[doubtful])
            return ids, cosines

        return work

    how = f"in {again.cells} cells" if again.cells else "exactly"
    return fill(folder, finished, len(embeddings), k, f"{how} below {again.limit:.4f}", prepare)


def readable_mask(n: int, readable: np.ndarray) -> np.ndarray:
    """Bool [n]: True in the rows that are named."""
    mask = np.zeros(n, dtype=bool)
    mask[readable] = True
    return mask


def best(embeddings: np.ndarray, rows: np.ndarray, candidates: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest of each row's candidates, by their exact cosines, equal ones by index.

    Args:
        embeddings: float32 [n, d].
        rows: int64 [b].
        candidates: int [b, c], with repetitions, the row itself, and -1 for none.
        k: How many to keep.

    Returns:
        int32 [b, k], -1 where there are no more; float32 [b, k], 0 there.
    """
    ids = np.sort(candidates.astype(np.int64), axis=1)
    again = np.zeros(ids.shape, dtype=bool)
    again[:, 1:] = ids[:, 1:] == ids[:, :-1]
    ids[again | (ids == rows[:, None])] = -1
    cosines = np.where(ids < 0, -np.inf, cosines_with(embeddings, rows, ids))
    if ids.shape[1] > k:
        top = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        ids, cosines = np.take_along_axis(ids, top, axis=1), np.take_along_axis(cosines, top, axis=1)
    order = np.lexsort((ids, -cosines), axis=1)
    ids, cosines = np.take_along_axis(ids, order, axis=1), np.take_along_axis(cosines, order, axis=1)
    missing = ((0, 0), (0, max(k - ids.shape[1], 0)))
    cosines = np.where(ids < 0, 0, np.clip(cosines, -1, 1))
    return np.pad(ids.astype(np.int32), missing, constant_values=-1), np.pad(cosines, missing)


def cosines_with(embeddings: np.ndarray, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Float32 [b, c]: each row's cosines with the rows named beside it, computed where they lie."""
    queries, ids = take(embeddings, rows), np.ascontiguousarray(ids)
    cosines = np.empty(ids.shape, dtype=np.float32)
    products: Any = vars(faiss)["fvec_inner_products_by_idx"]  # no type stub knows it
    products(*(faiss.swig_ptr(array) for array in (cosines, queries, embeddings, ids)), embeddings.shape[1], *ids.shape)
    return cosines


def both_ways(links: np.ndarray) -> np.ndarray:
    """The links of each row, then the rows that link to it: the `BACK_LINKS` to which it is nearest.

    Args:
        links: int32 [n, l], the nearest first, -1 where there are no more.

    Returns:
        int32 [n, l + BACK_LINKS].
    """
    n, width = links.shape
    both = np.full((n, width + BACK_LINKS), -1, dtype=np.int32)
    both[:, :width] = links
    taken = np.zeros(n, dtype=np.int32)
    for targets in links.T:  # a place of all lists at a time, which takes a fraction of the memory
        sources = np.flatnonzero((targets >= 0) & (taken[targets] < BACK_LINKS))
        sources = sources[np.argsort(targets[sources], kind="stable")]
        ends = targets[sources]
        places = taken[ends] + np.arange(len(ends)) - np.searchsorted(ends, ends)
        near = places < BACK_LINKS
        both[ends[near], width + places[near]] = sources[near]
        taken += np.bincount(ends, minlength=n).astype(np.int32)
    return both
