"""Climbing by pairs: clusters that are each other's likeliest join, the likeliest first, until none is likely enough.

The paper gives every node of a level one edge, to its likeliest denser neighbour, all at once. A chain of such edges
joins what none of them would have: two people who are each next to a third. Here an edge is judged when it is taken,
by what both of its ends have become.

Faces are not compared as they are, but `blended` with the neighbours that the model is sure of, and with theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.special import expit, logit

from clustering.answers.constraints import Constraints
from clustering.backends.hilander.blending import blended, neighborhoods
from clustering.backends.hilander.climb import Step, merge
from clustering.backends.hilander.engines import link
from clustering.backends.hilander.known_pairs import joined
from clustering.backends.hilander.lander import LinkageModel
from clustering.backends.hilander.level import Level, pair_inputs
from clustering.graph.edges import Edges
from clustering.graph.joining import Joining
from clustering.graph.knn_graph import KnnGraph
from clustering.similarity.corpus_scale import CorpusScale

BLOCK = 1 << 14


@dataclass(frozen=True)
class Start:
    """What a climb by pairs starts from, whatever its threshold.

    Attributes:
        level: The faces.
        model: That judges pairs.
        near: Weights [n, n] of the faces that each is blended with, see `neighborhoods`.
        edges: Without direction.
    """

    level: Level
    model: LinkageModel
    near: csr_array
    edges: Edges

    @classmethod
    def of(cls, graph: KnnGraph, model: LinkageModel) -> Start:
        """Links the faces of a graph."""
        level = Level.of_faces(graph)
        return cls(level, model, neighborhoods(level, link(model, level), model), Edges.of(level.graph))


def log_odds(
    model: LinkageModel, scale: CorpusScale, sums: np.ndarray, sizes: np.ndarray, i: np.ndarray, j: np.ndarray
) -> np.ndarray:
    """Float32 [e]: log-odds that clusters i and j are of one identity, see `pair_inputs`."""
    device, found = next(model.parameters()).device, np.empty(len(i), np.float32)
    with torch.inference_mode():
        for start in range(0, len(i), BLOCK):
            rows = slice(start, start + BLOCK)
            inputs = torch.from_numpy(pair_inputs(sums, sizes, i[rows], j[rows], scale)).to(device)
            found[rows] = model.log_odds(inputs).cpu().numpy()
    return found


def climb_by_pairs(start: Start, p_tau: float, known: Constraints | None = None) -> Iterator[Step]:
    """Joins pairs until none is likely enough, finds the neighbours of what they have become, and starts over.

    Args:
        start: Of the faces.
        p_tau: Least linkage probability of a pair.
        known: Answers about the faces. Who must be together is so from the first level on, and who must not never
            joins, see `clustering.backends.hilander.known_pairs`.

    Yields:
        A step a level; the last one is the first on which nothing joins. The next level's nodes go by the larger of
        the clusters that joined.
    """
    level, edges = start.level, start.edges
    sums = blended(level.base, start.near)
    worth = partial(log_odds, start.model, level.scale)
    while True:
        joining = Joining(sums, level.sizes.copy(), edges.i, edges.j, worth)
        density = density_of(edges, joining.values, len(sums), level.graph.k)
        joining = joined(joining, float(logit(p_tau)), known)
        clusters, peaks = joining.clusters()
        linkage = np.where(joining.parents == np.arange(len(clusters)), 0, expit(joining.joined)).astype(np.float32)
        yield Step(level, linkage, density, joining.parents, clusters, peaks)
        if len(peaks) == len(clusters):
            return
        level = merge(level, clusters, peaks, joining.sums[peaks], joining.sizes[peaks], "average", level.graph.k)
        known = known.of_nodes(clusters) if known else None
        sums, edges = level.sums.copy(), Edges.of(level.graph)


def density_of(edges: Edges, worth: np.ndarray, nodes: int, k: int) -> np.ndarray:
    """Equation (4), float32 [nodes], of both ends' edges, with the linkage that pairs have."""
    terms = (2 * expit(worth) - 1) * edges.similarity
    total = np.bincount(edges.i, terms, nodes) + np.bincount(edges.j, terms, nodes)
    return np.asarray(total / max(k, 1), np.float32)
