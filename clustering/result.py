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
        labels: int64 [n], consecutive from 0 in order of first appearance; -1 for unassigned faces.
        confidence: float32 [n] in [0, 1], how sure the backend is that a face is in the right cluster. What it measures
            depends on the backend. It is 0 for unassigned faces. Backends without a confidence have 1 for all others.
        levels: The hierarchy, finest level first, or empty. A level is a mapping of names to arrays, and always has
            the ``labels`` of the n faces.
        notes: Figures for the summary.
        warning: A message for the user in one line, or empty.
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
        """Makes the labels consecutive, and fills in the confidence if the backend has none."""
        labels = consecutive(labels)
        confidence = np.ones(len(labels)) if confidence is None else confidence
        return cls(labels, np.where(labels < 0, 0, confidence).astype(np.float32), levels, notes or {}, warning)

    def expanded(self, copies: Copies) -> Clustering:
        """Returns the clustering of all faces, given this clustering of their nodes."""
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
