"""What is known about clustered faces beside their clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.graph.constraints import Constraints
from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.files import InputError

NOTHING = Constraints(0, np.empty((0, 2), np.int64), np.empty(0, bool))


@dataclass(frozen=True)
class Evidence:
    """What the rules look at.

    Attributes:
        confidence: float32 [n] in [0, 1], the backend's; ones if it has none.
        graph: Of the n faces, or None.
        known: What a person said about pairs of the faces.
        kept: Bool [n], faces of clusters that a person has confirmed; or None.
    """

    confidence: np.ndarray
    graph: KnnGraph | None = None
    known: Constraints = NOTHING
    kept: np.ndarray | None = None

    @property
    def links(self) -> KnnGraph:
        """The graph, for the rules that need it.

        Raises:
            InputError: None was given.
        """
        if self.graph is None:
            raise InputError("no embeddings; give --embeddings, in Python X")
        return self.graph

    @property
    def confirmed(self) -> np.ndarray:
        """Bool [n]: `kept`; False for all faces if nobody has confirmed any."""
        return np.zeros(len(self.confidence), bool) if self.kept is None else self.kept

    @property
    def decided(self) -> np.ndarray:
        """Bool [n]: faces that a person has confirmed, or said to be the same as another one."""
        found = self.confirmed.copy()
        found[self.known.linked] = True
        return found

    def held(self, labels: np.ndarray) -> np.ndarray:
        """Bool [n]: `confirmed` faces, and those that a person said are the same as another one of their cluster."""
        found = self.confirmed.copy()
        one, other = self.known.together.T
        same = (labels[one] == labels[other]) & (labels[one] >= 0)
        found[self.known.together[same]] = True
        return found

    def torn(self, labels: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """Bool [clusters + 1]: clusters that lose one of two faces which a person said are the same.

        Args:
            labels: int64 [n], consecutive from 0; -1 for unassigned.
            moved: Bool [n]: the faces that leave their cluster.
        """
        found = np.zeros(int(labels.max(initial=-1)) + 2, bool)
        one, other = self.known.together.T
        parted = (labels[one] == labels[other]) & (moved[one] != moved[other])
        found[labels[one[parted]]] = True
        return found

    def may_join(self, labels: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Bool [pairs]: clusters that no person has confirmed, of which no two faces are said to be different people.

        Args:
            labels: int64 [n], consecutive from 0; -1 for unassigned.
            left: int64 [pairs], clusters.
            right: int64 [pairs], other clusters, of higher numbers.
        """
        confirmed = np.unique(labels[self.confirmed])
        free = ~np.isin(left, confirmed) & ~np.isin(right, confirmed)
        apart = np.sort(labels[self.known.apart], axis=1)
        count = int(labels.max(initial=-1)) + 1
        return free & ~np.isin(left * count + right, apart @ [count, 1])  # below 0 where a face is unassigned
