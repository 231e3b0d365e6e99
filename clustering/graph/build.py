"""Building the kNN graph of an embedding set, exactly or approximately, in a folder or for a while."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from clustering.graph.approximate import approximate
from clustering.graph.builder import GraphBuilder
from clustering.graph.chance import chance_of
from clustering.graph.costs import Costs, check_room, choose_index
from clustering.graph.knn_graph import KnnGraph, neighbors_wanted
from clustering.graph.second_search import Recall, estimate_recall
from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError
from facerec.pipeline.ranks import is_main, local_world_size

RECALL = 0.985
MIN_RECALL = 0.95
SAMPLED_ERROR = 0.005
"""Twice what a recall on a sample is uncertain by."""

logger = logging.getLogger(__name__)


def load_graph(faces: EmbeddingSet, knn: Path, k: int) -> KnnGraph:
    """Loads the faces' graph; logs a warning if it has fewer than `k` neighbours a face, and could have them."""
    graph = KnnGraph.load(knn, faces.embeddings)
    say_if_narrow(graph, k, str(knn), f"make the graph with --k {k}, or leave --knn out")
    return graph


def say_if_narrow(graph: KnnGraph, k: int, name: str, remedy: str) -> None:
    """Logs a warning if a graph has fewer than `k` neighbours a face, and could have them."""
    if graph.k < neighbors_wanted(graph, k) and is_main():
        logger.warning(
            "%s: has %d neighbours a face, but the backend's settings were chosen with %d; clusters may fall apart or "
            "run together (on LFW, GCN-V's pairwise F fell from .91 to .59 with 10 for 40); %s",
            name, graph.k, k, remedy,
        )  # fmt: skip


def graph_in(faces: EmbeddingSet, knn: Path | None, k: int, folder: Path) -> KnnGraph:
    """The faces' graph, mapped from disk: that in `knn` if it is given, else built in a folder.

    Raises:
        InputError: As `KnnGraph.load`; or too little room to build it, see `check_room`.
    """
    if knn is None:
        make_graph(faces, folder, neighbors_wanted(faces, k))
    return load_graph(faces, folder if knn is None else knn, k)


def graph_of(faces: EmbeddingSet, knn: Path | None, k: int, out: Path) -> KnnGraph:
    """The faces' graph: loaded if a folder is given, else built in a temporary folder below `out` and kept in memory.

    Raises:
        InputError: As `graph_in`.
    """
    if knn is not None:
        return load_graph(faces, knn, k)
    with TemporaryDirectory(dir=out) as made:
        graph = graph_in(faces, None, k, Path(made))
        return replace(graph, neighbors=np.array(graph.neighbors), similarities=np.array(graph.similarities))


def make_graph(
    faces: EmbeddingSet,
    out: Path,
    k: int,
    index: str = "auto",
    recall: float = RECALL,
    min_recall: float = MIN_RECALL,
    seed: int = 0,
) -> dict[str, Any]:
    """Builds a graph in a folder, all processes together; intermediate files are in ``steps`` below it.

    Args:
        faces: Embeddings of at least one face.
        out: Folder for ``neighbors.npy`` and ``similarities.npy``, created if missing. Finished blocks in it are kept.
        k: Neighbours a face.
        index: ``exact``, ``ivf`` or ``auto``, see `choose_index`.
        recall: Share of all true neighbours that ivf aims at.
        min_recall: Least share of the neighbours above chance that an ivf graph must have, see `Chance`.
        seed: Seed of the samples and of what ivf trains.

    Returns:
        A description of the graph, for ``meta.json``.

    Raises:
        InputError: No readable face, unknown or unsuitable index, too little room, or a recall below `min_recall`.
    """
    rows, dimension = np.flatnonzero(faces.readable), faces.embeddings.shape[1]
    if not len(rows):
        raise InputError(f"{faces.path}: all {len(faces)} rows are zeros, so no face could be read; embed them again")
    chosen = choose_index(index, len(rows), dimension)
    out.mkdir(parents=True, exist_ok=True)
    check_room(Costs.of(chosen, len(faces), dimension, k, local_world_size()), out)
    found, how = Recall(1.0, 1.0), {}
    builder = GraphBuilder(faces.embeddings, rows, out, out / "steps" / chosen, k, seed)
    if chosen == "exact":
        builder.exact()
    else:
        lists, again = approximate(builder, recall)
        count = sum(len(some.places) for some in again)
        cells = sum(some.cells * len(some.places) for some in again) / max(count, 1)
        how = {"searched_again": round(count / len(rows), 5), "in_cells": round(cells)}
        found = estimate_recall(builder, lists, chance_of(builder))
        check_recall(found, recall, min_recall, f"{faces.path}: recall@{k} of the {chosen} graph")
    return {
        "faces": len(faces),
        "readable": len(rows),
        "k": k,
        "index": chosen,
        f"recall@{k}": round(found.all, 5),
        f"recall@{k}_above_chance": round(found.above_chance, 5),
        **how,
    }


def check_recall(found: Recall, recall: float, min_recall: float, what: str) -> None:
    """Refuses a graph below `min_recall`, and logs a warning for one clearly below `recall`.

    Args:
        found: Recall on a sample.
        recall: Share of all true neighbours that was aimed at.
        min_recall: Least share of the neighbours above chance.
        what: What was measured, for messages.

    Raises:
        InputError: The share of the neighbours above chance is below `min_recall`.
    """
    if found.above_chance < min_recall:
        raise InputError(
            f"{what} is {found.above_chance:.4f} of neighbours above chance, on a sample, below --min-recall "
            f"{min_recall}; raise --recall, take --index exact, or lower --min-recall to accept it"
        )
    if found.all < recall - SAMPLED_ERROR and is_main():
        logger.warning(
            "%s is %.3f, below --recall %g, as what a face costs is bounded; most that it misses are strangers: of "
            "neighbours above chance it has %.3f", what, found.all, recall, found.above_chance,
        )  # fmt: skip
