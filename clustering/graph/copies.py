"""Copies: faces that are nearly the same picture. In the graph they count as one node, and come back with it.

Fifteen copies of a face fill the lists of ten neighbours with each other, and nothing links them with the person's
other faces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import components, consecutive
from facerec.pipeline.counts import counted
from facerec.pipeline.files import row_blocks

COPY, SAME = 0.998, 1 - 1e-6
"""Least corrected cosine (see `CorpusScale`) of a copy; and least cosine where all faces are so alike that nothing can
be told from it but the same numbers, as float16 rounds them."""
FEWEST_DIMENSIONS = 16
"""In fewer dimensions different faces have such cosines by chance, so that the same holds there."""


@dataclass(frozen=True)
class Copies:
    """Which faces are one node.

    Attributes:
        node: int64 [n]: the node of each face, numbered by their first faces.
        first: int64 [nodes]: the first face of each node, ascending.
    """

    node: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, graph: KnnGraph) -> Copies:
        """Finds copies in the graph of n faces: they are linked by edges of cosine `COPY` or more."""
        scale = CorpusScale.of(graph)
        by_chance = scale.alike or graph.embeddings.shape[1] < FEWEST_DIMENSIONS
        least = SAME if by_chance else scale.cosine(COPY)
        sources, targets = [], []
        for some in row_blocks(len(graph)):
            ids = graph.neighbors[some]
            rows, columns = np.nonzero((ids >= 0) & (graph.similarities[some] >= least))
            sources.append(rows + some.start)
            targets.append(ids[rows, columns])
        node = components(len(graph), np.concatenate(sources), np.concatenate(targets))
        return cls.named(node)

    @classmethod
    def named(cls, node: np.ndarray) -> Copies:
        """Nodes by the number of each face, int64 [n], consecutive from 0."""
        return cls(node, np.unique(node, return_index=True)[1])

    @classmethod
    def none(cls, faces: int) -> Copies:
        """Each of n faces is a node of its own."""
        return cls(np.arange(faces), np.arange(faces))

    @property
    def count(self) -> int:
        """Faces that are a copy of an earlier one."""
        return len(self.node) - len(self.first)

    def without(self, faces: np.ndarray) -> Copies:
        """The same, where some faces are nodes of their own."""
        node = np.array(self.node)
        node[faces] = len(self.first) + np.arange(len(faces))
        return Copies.named(consecutive(node))

    def where_they_crowd(self, k: int) -> Copies:
        """The same if copies of one picture fill more than a quarter of a list of `k`, and more than two; else none."""
        crowded = np.bincount(self.node).max(initial=0) > max(k // 4, 2)
        return self if crowded else Copies.none(len(self.node))

    def say(self) -> str:
        """How many there are, in one line."""
        groups = int(np.count_nonzero(np.bincount(self.node) > 1))
        are = "is a copy" if self.count == 1 else "are copies"
        return (
            f"{self.count:,} of {counted(len(self.node), 'face')} {are} (nearly the same picture) of "
            f"{counted(groups, 'other')}"
        )

    def expanded(self, levels: Sequence[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """Levels of a hierarchy of the nodes as those of the faces.

        A node is named by its first face. In the lowest level the parent of a copy is that face, with linkage 1.
        """
        return [self._level(arrays, lowest=number == 0) for number, arrays in enumerate(levels)]

    def _level(self, arrays: Mapping[str, np.ndarray], lowest: bool) -> dict[str, np.ndarray]:
        found = dict(arrays)
        named = np.append(self.first, -1)
        for name in {"peaks", "parents"} & found.keys():
            found[name] = named[found[name]].astype(found[name].dtype)
        for name in {"labels", *(("densities", "parents", "linkage") if lowest else ())} & found.keys():
            found[name] = found[name][self.node]
        if lowest:
            copies = np.flatnonzero(self.first[self.node] != np.arange(len(self.node)))
            for name, values in (("parents", self.first[self.node[copies]]), ("linkage", 1)):
                if name in found:
                    found[name][copies] = values
        return found
