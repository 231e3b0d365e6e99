"""What a clustering backend returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from clustering.graph.copies import Copies
from clustering.partition import consecutive


@dataclass(frozen=True)
class Clustering:
    """A partition of the faces.

    Attributes:
        labels: int64 [n]; consecutive from 0 in order of first appearance, -1 for unassigned faces.
        confidence: float32 [n] in [0, 1]: how sure it is that a face is where it belongs, in the backend's own
            sense; 0 for unassigned faces, 1 for all others where the backend has no opinion.
        levels: The hierarchy, finest first: named arrays a level (always ``labels`` of the n faces), or nothing.
        notes: Figures that the backend found on the way, for the summary.
        warning: What the user should be told, in one line; or nothing.
    """

    labels: np.ndarray
    confidence: np.ndarray
    levels: Sequence[Mapping[str, np.ndarray]] = field(default_factory=tuple)
    notes: Mapping[str, Any] = field(default_factory=dict)
    warning: str = ""

    @classmethod
    def of(
        cls,
        labels: np.ndarray,
        confidence: np.ndarray | None = None,
        levels: Sequence[Mapping[str, np.ndarray]] = (),
        notes: Mapping[str, Any] | None = None,
        warning: str = "",
    ) -> Clustering:
        """Makes labels consecutive and fills in the confidence of backends without one."""
        labels = consecutive(labels)
        confidence = np.ones(len(labels)) if confidence is None else confidence
        return cls(labels, np.where(labels < 0, 0, confidence).astype(np.float32), levels, notes or {}, warning)

    def expanded(self, copies: Copies) -> Clustering:
        """The clustering of all faces, where this is one of their nodes."""
        labels, confidence = self.labels[copies.node], self.confidence[copies.node]
        return replace(self, labels=labels, confidence=confidence, levels=copies.expanded(self.levels))

    def save(self, folder: Path) -> None:
        """Writes labels.npy, confidence.npy and levels/<number>/<name>.npy into an existing folder."""
        np.save(folder / "labels.npy", self.labels, allow_pickle=False)
        np.save(folder / "confidence.npy", self.confidence, allow_pickle=False)
        for number, arrays in enumerate(self.levels):
            level = folder / "levels" / f"{number:02d}"
            level.mkdir(parents=True)
            for name, array in arrays.items():
                np.save(level / f"{name}.npy", array, allow_pickle=False)
