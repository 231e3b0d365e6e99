"""LANDER: the clusters of Hi-LANDER's lowest level (paper section 3.3), for comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from clustering.backends.hilander.hilander import HiLander
from clustering.clusterer import Clustering
from clustering.graph.knn_graph import KnnGraph
from clustering.settings import Range
from clustering.similarity.confidence import Confidence
from facerec.pipeline.files import InputError, write_yaml


@dataclass(frozen=True)
class Lander:
    """LANDER, the single-level clustering of the paper's ablation: Hi-LANDER, meta-trained alike, stopped at once.

    Attributes:
        hilander: That climbs one level.
    """

    name: ClassVar[str] = "lander"
    learns: ClassVar[bool] = True
    distributed: ClassVar[bool] = True
    search_space: ClassVar[Mapping[str, Range]] = {name: HiLander.search_space[name] for name in ("p_tau", "k")}

    hilander: HiLander

    def __post_init__(self) -> None:
        if self.hilander.levels != 1:
            raise InputError(f"levels is {self.hilander.levels}; lander has 1, take hilander for more")

    @property
    def k(self) -> int:
        """Neighbours a face."""
        return self.hilander.k

    @property
    def p_tau(self) -> float:
        """Least linkage probability of an edge."""
        return self.hilander.p_tau

    @property
    def confidence(self) -> Confidence:
        """As of Hi-LANDER."""
        return self.hilander.confidence

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph."""
        return self.hilander.cluster(graph)

    @classmethod
    def learn(cls, embeddings: np.ndarray, labels: np.ndarray, seed: int = 0, **settings: Any) -> Lander:
        """Meta-trains the model on the levels that true edges make, as `HiLander.learn` does."""
        return cls(HiLander.learn(embeddings, labels, seed, **settings).with_settings(levels=1, adaptive=False))

    def with_settings(self, **settings: Any) -> Lander:
        """The same model, with other hyper-parameters."""
        return Lander(self.hilander.with_settings(**settings))

    @classmethod
    def load(cls, folder: Path, settings: Mapping[str, Any]) -> Lander:
        """Reads a model folder.

        Raises:
            InputError: As `HiLander.load`; more levels than one.
        """
        return cls(HiLander.load(folder, settings))

    def save(self, folder: Path) -> None:
        """Writes config.yaml and model.safetensors."""
        self.hilander.save(folder)
        write_yaml(folder / "config.yaml", {"backend": self.name, **self.hilander.settings()})
