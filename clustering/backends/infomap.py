"""Infomap on the kNN graph (needs the optional extra ``communities``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from clustering.backends.communities import Communities
from clustering.graph.edges import Edges
from clustering.settings import Cosine, Count, Neighbors, Range


@dataclass(eq=False)
class Infomap(Communities):
    """Infomap (Rosvall and Bergstrom, PNAS 2008): modules that describe a random walk on the graph in the fewest bits.

    The two-level, undirected variant. Edges are weighted by their corrected cosine, see `CorpusScale`. The library is
    the authors' own (GPL).

    Attributes:
        min_similarity: Edges below it are left out.
        k: Neighbours per face.
        seed: Seed of the order in which nodes are moved, >= 1.
    """

    name: ClassVar[str] = "infomap"
    library: ClassVar[str] = "infomap"
    search_space: ClassVar[Mapping[str, Range]] = {"min_similarity": (0.1, 0.8), "k": [10, 20, 40]}

    min_similarity: Cosine = 0.5
    k: Neighbors = 40
    seed: Count = 1

    def communities(self, library: Any, nodes: int, edges: Edges) -> np.ndarray:
        """The module of each node, see `modules`."""
        links = np.stack([edges.i, edges.j, edges.similarity], axis=1)
        return modules(library, nodes, links, self.seed)


def modules(library: Any, nodes: int, links: np.ndarray, seed: int, directed: bool = False) -> np.ndarray:
    """Int64 [nodes]: two-level modules of least description length; a node without a link is a module of its own.

    Args:
        library: The imported module.
        nodes: Number of nodes.
        links: float [links, 3]: source, target and weight > 0. The weights of equal links are added up.
        seed: Seed of the order in which nodes are moved, >= 1.
        directed: Whether walks follow links in their direction alone.
    """
    found = np.arange(nodes) + nodes  # apart from all numbers of modules
    if len(links):
        network = library.Infomap(two_level=True, directed=directed, seed=seed, num_trials=1)
        network.add_links(links)
        numbers = network.run().modules()
        found[list(numbers)] = list(numbers.values())
    return found
