"""Hi-LANDER: clusters merged level by level until nothing joins any more (paper sections 3.1-3.4)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from clustering.base import Clustering, Range, check_number, cluster_sums, consecutive
from clustering.hilander.climb import FEATURES, climb
from clustering.hilander.lander import Lander
from clustering.knn import DEFAULT_K, KnnGraph
from facerec.artifacts import BLOCK_ROWS, InputError, normalize, write_yaml


@dataclass(frozen=True)
class HiLander:
    """Hierarchical LANDER (Xing et al., ICCV 2021): a learned model links nodes, its clusters become nodes.

    Confidence is the estimated probability that a face belongs to its cluster's majority identity: a logistic
    function of its cosine with the mean of the cluster's other faces, fitted on labelled faces; 1 for a face alone.

    Attributes:
        model: Linkage and density.
        k: Neighbours a node, on all levels.
        p_tau: Least linkage probability of an edge.
        features: What a level sees of the clusters below it: ``identity``, ``average`` or ``both``.
        slope: Of the confidence's logistic function.
        offset: Likewise.
    """

    name: ClassVar[str] = "hilander"
    learns: ClassVar[bool] = True
    search: ClassVar[Mapping[str, Range]] = {
        "p_tau": (0.4, 0.9), "features": ["average", "both", "identity"], "k": [5, 10, 20],
    }  # fmt: skip

    model: Lander
    k: int = DEFAULT_K
    p_tau: float = 0.5
    features: str = "average"
    slope: float = 10.0
    offset: float = -3.0

    def __post_init__(self) -> None:
        check_number("p_tau", self.p_tau, 0, 1)
        check_number("k", self.k, 1)
        check_number("slope", self.slope, -np.inf)
        check_number("offset", self.offset, -np.inf)
        if not isinstance(self.k, int):
            raise InputError(f"k is {self.k}; it must be a whole number")
        if self.features not in FEATURES:
            raise InputError(f"features is {self.features!r}; it must be one of {', '.join(FEATURES)}")

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; a level is its labels, and the peaks and densities of what it merged."""
        self.model.check_dimension(graph.embeddings.shape[1] * (2 if self.features == "both" else 1))
        nodes = np.arange(len(graph))
        readable, levels = graph.readable, []
        for step in climb(graph, self.model.link, self.p_tau, self.features, self.k):
            nodes = step.clusters[nodes]
            peaks = step.level.faces[step.peaks]
            levels.append({"labels": np.where(readable, nodes, -1), "peaks": peaks, "densities": step.density})
        labels = consecutive(np.where(readable, nodes, -1))
        return Clustering.of(labels, self._confidence(graph.embeddings, labels), levels)

    def _confidence(self, embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
        belonging, alone = fellowship(embeddings, labels)
        return np.where(alone, 1, 1 / (1 + np.exp(-(self.slope * belonging + self.offset))))

    @classmethod
    def fit(cls, embeddings: np.ndarray, labels: np.ndarray, seed: int, **settings: Any) -> HiLander:
        """Meta-trains the model; the settings are the arguments of `training.train_hilander`."""
        from clustering.hilander.training import train_hilander  # which needs this module

        known = list(inspect.signature(train_hilander).parameters)[3:]
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise InputError(f"hilander has no setting {', '.join(unknown)}; it has {', '.join(known)}")
        return train_hilander(embeddings, labels, seed, **settings)

    def with_settings(self, **settings: Any) -> HiLander:
        """The same model, with other hyper-parameters."""
        return replace(self, **settings)

    @classmethod
    def load(cls, folder: Path, settings: Mapping[str, Any]) -> HiLander:
        """Reads a model folder.

        Raises:
            InputError: Missing or unknown settings, or weights that are missing or of other shapes.
        """
        own = ("k", "p_tau", "features", "slope", "offset")
        missing = [name for name in own if name not in settings]
        if missing:
            raise InputError(f"{folder / 'config.yaml'}: no {', '.join(missing)}; train the model again")
        model = {name: value for name, value in settings.items() if name not in own}
        return cls(Lander.load(folder, model), **{name: settings[name] for name in own})

    def save(self, folder: Path) -> None:
        """Writes config.yaml and model.safetensors."""
        own = {name: getattr(self, name) for name in ("k", "p_tau", "features", "slope", "offset")}
        write_yaml(folder / "config.yaml", {"backend": self.name, **own, **self.model.settings()})
        self.model.save(folder)


def fellowship(embeddings: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each face's cosine with the mean of the other faces of its cluster.

    Returns:
        float32 [n], 0 where there are no others; and bool [n], True there.
    """
    sums = cluster_sums(embeddings, labels)
    sizes = np.bincount(labels[labels >= 0], minlength=len(sums))
    alone = (labels < 0) | (sizes[labels] == 1 if len(sizes) else True)
    belonging = np.zeros(len(labels), dtype=np.float32)
    for start in range(0, len(labels), BLOCK_ROWS):
        rows = start + np.flatnonzero(~alone[start : start + BLOCK_ROWS])
        others = sums[labels[rows]] - embeddings[rows]
        belonging[rows] = np.einsum("nd,nd->n", normalize(others), embeddings[rows])
    return belonging, alone
