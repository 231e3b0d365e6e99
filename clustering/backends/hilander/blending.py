"""Faces blended with the neighbours that the model is sure of, and with theirs.

A face's pose and light then matter less. A graph convolution does the same with learned weights (paper section 3.3).
More neighbours are better: if a person has hundreds of faces, the ten nearest of a face share its pose. If the model is
sure of all neighbours in a list, the person probably has more faces. Such a list is filled up with neighbours of
neighbours. Neighbours that the model is not sure of count only if they share neighbours with the face.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array, vstack
from scipy.sparse.csgraph import connected_components

from clustering.backends.hilander.lander import LinkageModel
from clustering.backends.hilander.level import Level, face_inputs
from clustering.backends.hilander.shared_neighbors import LEAST_WEIGHT, weights_by_shared_neighbors
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.edges import chosen_neighbors, sparse_rows
from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.files import blocks, row_blocks

POWER = 4
"""A neighbour's weight is its linkage to this power. With 1, lonely faces are blended with strangers and join them."""
SURE = 0.95
"""Least weight of a sure neighbour (linkage .987). A list of sure neighbours alone is filled up with neighbours of
neighbours of at least this weight. With .5, more of a person's hundreds of faces come together; with a weak recogniser
lookalikes do, too."""
ROUNDS = 3
"""Rounds of means. With 1 few of a person's faces come together, with 6 families of people do."""
SEARCHES = 2
"""How often lists are filled up; the second time by what the first has found."""
MOST = 40
"""Most neighbours that a search among neighbours of neighbours keeps for a face, or k if that is more."""
GRID = 4097
"""Number of cosines from -1 to 1 at which the linkage of two faces is computed; between them it is interpolated."""
COLUMNS, ROWS, PAIRS = 16, 1 << 11, 1 << 11
"""Columns of embeddings, faces and pairs that are processed at once, so that they stay in the cache."""
MANY_FACES = 1 << 19
"""With more faces, memory counts for more than time: half as many columns are processed at once."""
LINKED_ROWS = 1 << 16
"""Faces whose linkage is processed at once, to save memory."""

Weight = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""The weights, float32 [e], of pairs of faces i and j, int64 [e] each."""


def neighborhoods(level: Level, linkage: np.ndarray, model: LinkageModel, full: int | np.ndarray) -> csr_array:
    """The weights of the faces that each face is blended with, [n, n], the same in either direction.

    Args:
        level: Of n faces.
        linkage: r_ij, float32 [n, k], 0 for missing neighbours.
        model: The model that gave the linkage.
        full: See `filled_up`.
    """
    weight = partial(pair_weight, level.base, level.scale, linkage_by_cosine(model, level.scale))
    near = filled_up(sure_neighbors(level.graph, linkage), full, weight)
    return near.maximum(weights_by_shared_neighbors(level.graph, linkage)).tocsr()


def sure_neighbors(graph: KnnGraph, linkage: np.ndarray) -> csr_array:
    """Weights ``r_ij^4`` [n, n] of the edges of a graph, without those below `LEAST_WEIGHT`."""
    parts = zip(blocks(graph.neighbors, LINKED_ROWS), blocks(linkage, LINKED_ROWS), strict=True)
    weighed = ((near, linked**POWER) for near, linked in parts)
    return chosen_neighbors(((near, weights, weights >= LEAST_WEIGHT) for near, weights in weighed), len(graph))


def filled_up(near: csr_array, full: int | np.ndarray, weight: Weight) -> csr_array:
    """Weights [n, n] with full lists filled up by neighbours of neighbours; symmetric, the greater of both directions.

    Args:
        near: Weights [n, n].
        full: A list with so many sure neighbours is full, in the second search with twice as many; for all faces, or
            int64 [n] for each.
        weight: Gives the weights of pairs.
    """
    most = max(MOST, int(np.max(full)))
    for search in range(SEARCHES):
        sure = at_least(near, SURE)
        rows = np.flatnonzero(np.diff(sure.indptr) >= full << search)
        if not len(rows):
            break
        near = near.maximum(two_steps_away(strongest(either_way(sure), most), rows, most, weight)).tocsr()
    return either_way(near)


def either_way(weights: csr_array) -> csr_array:
    """Symmetric weights: of each pair the greater of both directions."""
    return weights.maximum(weights.T).tocsr()


def at_least(weights: csr_array, least: float) -> csr_array:
    """The weights without those below `least`."""
    kept = weights.data >= least
    starts = np.append(0, np.cumsum(kept))[weights.indptr]
    return sparse_rows(weights.data[kept], weights.indices[kept], starts, weights.shape[1])


def strongest(weights: csr_array, most: int) -> csr_array:
    """The `most` highest weights of each row; of equal ones the first."""
    counts = np.diff(weights.indptr)
    long = np.repeat(counts > most, counts)
    entries = np.flatnonzero(long)
    if not len(entries):
        return weights
    rows = np.repeat(np.arange(len(counts)), counts)[entries]
    order = np.lexsort((-weights.data[entries], rows))
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = ~long
    kept[entries[order[rank < most]]] = True
    starts = np.append(0, np.cumsum(np.minimum(counts, most)))
    return sparse_rows(weights.data[kept], weights.indices[kept], starts, weights.shape[1])


def two_steps_away(near: csr_array, rows: np.ndarray, most: int, weight: Weight) -> csr_array:
    """Weights [n, n] of some faces with their sure neighbours of neighbours, the highest of each face.

    Args:
        near: Weights [n, n] of the neighbours.
        rows: int64 [m]: the faces.
        most: Most weights that are kept for a face.
        weight: Gives the weights of pairs.
    """
    steps = csr_array((np.ones(near.nnz, bool), near.indices, near.indptr), shape=near.shape)
    order = by_component(near)
    rows = order[np.isin(order, rows)]
    found: list[csr_array] = []
    for some in blocks(rows, ROWS):
        reached = (steps[some] @ steps).tocoo()
        i, j = some[reached.row], reached.col
        weights = np.concatenate([weight(i[part], j[part]) for part in blocks(np.arange(len(i)), PAIRS)])
        kept = (weights >= SURE) & (i != j)
        part = csr_array((weights[kept], (reached.row[kept], j[kept])), shape=(len(some), near.shape[1]))
        found.append(strongest(part, most))
    place = np.zeros(near.shape[0], np.int64)  # row 0 below is empty; faces without new neighbours get it
    place[rows] = np.arange(1, len(rows) + 1)
    return csr_array(vstack([csr_array((1, near.shape[1]), dtype=np.float32), *found], format="csr")[place])


def by_component(weights: csr_array) -> np.ndarray:
    """All rows, those of a component one after the other, so that their faces stay in the cache: int64 [n]."""
    return np.argsort(connected_components(weights, directed=False)[1], kind="stable")


def linkage_by_cosine(model: LinkageModel, scale: CorpusScale) -> np.ndarray:
    """Float32 [GRID]: the linkage of two faces, which follows from their corrected cosine, from -1 to 1."""
    inputs = torch.from_numpy(face_inputs(np.linspace(-1, 1, GRID, dtype=np.float32), scale))
    with torch.inference_mode():
        return torch.sigmoid(model.log_odds(inputs.to(model.device))).cpu().numpy()


def pair_weight(faces: np.ndarray, scale: CorpusScale, linkage: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """A `Weight`, by the linkage that `linkage_by_cosine` returns."""
    cosines = scale.corrected(np.einsum("ed,ed->e", faces[i], faces[j]))
    return np.interp(cosines, np.linspace(-1, 1, GRID), linkage).astype(np.float32) ** POWER


class InOrder(NamedTuple):
    """Weights of the faces that each face is blended with, with those of a component one after the other.

    Attributes:
        order: int32 [n], the faces, see `by_component`.
        weights: [n, n], with rows and columns in this order.
    """

    order: np.ndarray
    weights: csr_array

    @classmethod
    def of(cls, weights: csr_array) -> InOrder:
        """Puts weights [n, n] in order."""
        order = by_component(weights).astype(np.int32)
        place = np.empty(len(order), np.int32)
        place[order] = np.arange(len(order))
        rows = weights[order]
        return cls(order, sparse_rows(rows.data, place[rows.indices], rows.indptr, len(order)))


def blended(faces: np.ndarray, near: InOrder) -> np.ndarray:
    """Faces blended with their neighbours: float32 [n, d], not normalised.

    Each of `ROUNDS` rounds takes the weighted mean of each face, with weight 1, and its neighbours. The next round does
    the same with these means.

    Args:
        faces: float32 [n, d].
        near: See `neighborhoods`.
    """
    share = (1 / (1 + near.weights.sum(axis=1, dtype=np.float32))).reshape(-1, 1)
    found = np.empty(faces.shape, np.float32)
    width = COLUMNS if len(faces) <= MANY_FACES else COLUMNS // 2
    for columns in row_blocks(faces.shape[1], width):
        part = faces[near.order, columns]
        for _ in range(ROUNDS):
            part = _mean(part, near.weights, share)
        found[near.order, columns] = part
        del part  # before the next one is taken
    return found


def _mean(part: np.ndarray, weights: csr_array, share: np.ndarray) -> np.ndarray:
    """One round of `blended`."""
    found: np.ndarray = weights @ part
    found += part
    found *= share
    return found
