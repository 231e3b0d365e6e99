"""What is known about clustered faces beside their clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.files import InputError


@dataclass(frozen=True)
class Evidence:
    """What the rules look at.

    Attributes:
        confidence: float32 [n] in [0, 1], the backend's; ones if it has none.
        graph: Of the n faces, or None.
    """

    confidence: np.ndarray
    graph: KnnGraph | None = None

    @property
    def links(self) -> KnnGraph:
        """The graph, for the rules that need it.

        Raises:
            InputError: None was given.
        """
        if self.graph is None:
            raise InputError("no embeddings; give --embeddings")
        return self.graph
