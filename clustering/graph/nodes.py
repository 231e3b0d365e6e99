"""The nodes that a backend clusters: faces, of which copies are one node where they fill the lists of neighbours.

The graph of the nodes takes over what the faces' lists still hold of other nodes, and searches for what they lack.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from clustering.graph.approximate import complete
from clustering.graph.blocks_on_disk import Work
from clustering.graph.build import RECALL
from clustering.graph.builder import GraphBuilder
from clustering.graph.candidates import best
from clustering.graph.constraints import Constraints
from clustering.graph.copies import Copies
from clustering.graph.costs import Costs, check_room, choose_index
from clustering.graph.exact import gpu_index, search
from clustering.graph.knn_graph import KnnGraph, neighbors_wanted
from facerec.pipeline.embeddings import readable_rows
from facerec.pipeline.files import load_array, new_array, row_blocks
from facerec.pipeline.ranks import local_world_size, make_once

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Nodes:
    """What a backend clusters.

    `Nodes.of` is for one backend, `shared_nodes` for several. Copies count once `Copies.where_they_crowd`.

    Attributes:
        graph: Of the nodes.
        copies: Which faces each node stands for; one each where copies do not count once.
        found: Number of faces that are a copy of an earlier one, also where copies do not count once.
        known: What is known about pairs of nodes, or None.
    """

    graph: KnnGraph
    copies: Copies
    found: int
    known: Constraints | None

    @classmethod
    def of(cls, graph: KnnGraph, k: int, made: Path | None = None, known: Constraints | None = None) -> Nodes:
        """Finds copies in the graph of the faces. They count once if they would fill lists of `k` neighbours.

        Args:
            graph: Of all faces.
            k: Neighbours that a backend wants.
            made: The folder for the graph of the nodes, see `graph_of_nodes`; by default it is exact and in memory.
            known: Answers about pairs of faces. Copies that they tell apart stay nodes of their own.

        Raises:
            InputError: Too little room.
        """
        found = Copies.of(graph)
        copies = found.where_they_crowd(min(graph.k, k))
        if not copies.count:
            if found.count:
                logger.info("%s", found.say())
            return cls(graph, copies, found.count, known)
        logger.info("%s; they count once, in a graph without them", copies.say())
        if known is not None:
            copies = copies.without(known.torn(copies.node))
            known = Constraints(len(copies.first), copies.node[known.pairs], known.same)  # also of a node with itself
        nodes = exact_graph_of_nodes(graph, copies, k) if made is None else graph_of_nodes(graph, copies, made, k)
        return cls(nodes, copies, copies.count, known)


def shared_nodes(graph: KnnGraph, made: Path, most: int) -> Callable[[int], Nodes]:
    """Nodes for backends that want different numbers of neighbours, as `Nodes.of` finds them for each.

    They come from one graph of the faces, and from one graph of the nodes that is made at most once.

    Args:
        graph: Of all faces.
        made: The folder for the graph of the nodes.
        most: The most neighbours that a backend wants.

    Returns:
        A function from the neighbours that a backend wants to its nodes.
    """
    found = Copies.of(graph)
    without_copies = cache(lambda: graph_of_nodes(graph, found, made, most))

    def nodes(k: int) -> Nodes:
        copies = found.where_they_crowd(min(graph.k, k))
        return Nodes((without_copies() if copies.count else graph).narrowed(k), copies, found.count, None)

    return nodes


def graph_of_nodes(graph: KnnGraph, copies: Copies, made: Path, k: int, index: str = "auto") -> KnnGraph:
    """The graph of the faces without copies, made in a folder, all processes together.

    Lists that hold k different nodes are taken over. The others, often a quarter, are searched for among the nodes.

    Args:
        graph: Of all faces.
        copies: Which of them are one node.
        made: The folder, made if need be; what is finished in it counts.
        k: Neighbours that a backend wants.
        index: See `knn`.

    Raises:
        InputError: Too little room.
    """
    made.mkdir(parents=True, exist_ok=True)

    def write(file: Path) -> None:
        rows = new_array(file, np.float32, (len(copies.first), graph.embeddings.shape[1]))
        for some in row_blocks(len(rows)):
            rows[some] = graph.embeddings[copies.first[some]]
        rows.flush()

    embeddings = load_array(make_once(made / "embeddings.npy", write), kind="f", ndim=2)
    readable, k = np.flatnonzero(readable_rows(embeddings)), neighbors_wanted(embeddings, k)
    index = choose_index(index, len(readable), embeddings.shape[1])
    check_room(Costs.of(index, len(readable), embeddings.shape[1], k, local_world_size()), made)
    builder = GraphBuilder(embeddings, readable, made, made / "steps" / f"nodes_{index}", k)
    if index == "exact":
        _complete_exactly(builder, graph, copies)
    else:
        complete(builder, partial(candidates, graph, copies), RECALL)
    return KnnGraph.load(made, embeddings)


def exact_graph_of_nodes(graph: KnnGraph, copies: Copies, k: int) -> KnnGraph:
    """The exact graph of the faces without copies, in memory; see `graph_of_nodes`."""
    embeddings = graph.embeddings[copies.first]
    rows, k = np.arange(len(embeddings)), neighbors_wanted(embeddings, k)
    lists = _exact_lists(
        embeddings, np.flatnonzero(readable_rows(embeddings)), k, candidates(graph, copies, rows), rows
    )
    return KnnGraph(embeddings, *lists)


def candidates(graph: KnnGraph, copies: Copies, nodes: np.ndarray) -> np.ndarray:
    """Int [b, k]: the nodes of the neighbours of some nodes' first faces, with repetitions, -1 for none."""
    ids = graph.neighbors[copies.first[nodes]]
    return np.where(ids < 0, -1, copies.node[ids])


def _complete_exactly(builder: GraphBuilder, graph: KnnGraph, copies: Copies) -> None:
    def prepare() -> Work:
        index = gpu_index(builder.embeddings, builder.readable)

        def work(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            known = candidates(graph, copies, rows)
            return _exact_lists(builder.embeddings, builder.readable, builder.k, known, rows, index)

        return work

    builder.fill("without copies", prepare)


def _exact_lists(
    embeddings: np.ndarray, readable: np.ndarray, k: int, known: np.ndarray, rows: np.ndarray, index: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """The best of what is known of some rows, int [b, c], or all that are readable where this is too little."""
    ids, cosines = best(embeddings, rows, known, k)
    lacking = np.flatnonzero((ids[:, -1] < 0) & readable_rows(embeddings[rows]))
    if len(lacking):
        ids[lacking], cosines[lacking] = search(embeddings, rows[lacking], readable, k, index)
    return ids, cosines
