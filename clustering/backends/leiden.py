"""Leiden on the kNN graph (needs the optional extra ``communities``)."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from clustering.backends.communities import Communities
from clustering.graph.edges import Edges
from clustering.settings import Cosine, Neighbors, Range, Seed, Within


@dataclass(eq=False)
class Leiden(Communities):
    """Leiden (Traag, Waltman and van Eck 2019) for the constant Potts model.

    It maximises ``sum_c (links(c, c) - resolution * n_c (n_c - 1) / 2)``, where links are edges weighted by their
    corrected cosine, see `CorpusScale`. So the edges of a cluster must be denser than `resolution`, whatever the size
    of the corpus. Modularity, in contrast, merges small clusters in large graphs (its resolution limit). The library is
    igraph (GPL).

    Attributes:
        resolution: The density, in similarity per pair of faces.
        min_similarity: Edges below it are left out.
        k: Neighbours per face.
        seed: Seed of the order in which nodes are moved.
    """

    name: ClassVar[str] = "leiden"
    library: ClassVar[str] = "igraph"
    search_space: ClassVar[Mapping[str, Range]] = {
        "resolution": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3], "min_similarity": (0.2, 0.7), "k": [20, 40],
    }  # fmt: skip

    resolution: Annotated[float, Within(0)] = 0.03
    min_similarity: Cosine = 0.5
    k: Neighbors = 40
    seed: Seed = 0

    def communities(self, library: Any, nodes: int, edges: Edges) -> list[int]:
        """The community of each node."""
        network = library.Graph(nodes, np.stack([edges.i, edges.j], axis=1).astype(np.int64))
        library.set_random_number_generator(random.Random(self.seed))
        try:
            found = network.community_leiden(
                "CPM", weights=edges.similarity.tolist(), resolution=float(self.resolution), n_iterations=-1
            )
        finally:
            library.set_random_number_generator(random)
        return list(found.membership)
