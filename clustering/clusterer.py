"""What a clustering backend is, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from typing_extensions import Self

from clustering.graph.knn_graph import DEFAULT_K, KnnGraph
from clustering.partition import consecutive
from clustering.settings import Range
from facerec.pipeline.files import InputError, write_yaml


@dataclass(frozen=True)
class Clustering:
    """A partition of the faces.

    Attributes:
        labels: int64 [n]; consecutive from 0 in order of first appearance, -1 for unassigned faces.
        confidence: float32 [n] in [0, 1]: how sure it is that a face is where it belongs, in the backend's own
            sense; 0 for unassigned faces, 1 for all others where the backend has no opinion.
        levels: The hierarchy, finest first: named arrays a level (always ``labels`` of the n faces), or nothing.
        notes: What the backend found out about these faces and the summary should say.
        warning: What whoever uses the clusters should be told, in one line; or nothing.
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

    def save(self, folder: Path) -> None:
        """Writes labels.npy, confidence.npy and levels/<number>/<name>.npy into an existing folder."""
        np.save(folder / "labels.npy", self.labels, allow_pickle=False)
        np.save(folder / "confidence.npy", self.confidence, allow_pickle=False)
        for number, arrays in enumerate(self.levels):
            level = folder / "levels" / f"{number:02d}"
            level.mkdir(parents=True)
            for name, array in arrays.items():
                np.save(level / f"{name}.npy", array, allow_pickle=False)


class Clusterer(Protocol):
    """A clustering backend: a frozen dataclass of hyper-parameters with one method that works.

    Attributes:
        name: Its name in `BACKENDS`.
        search_space: The hyper-parameters that ``tune`` chooses: for each a range (low, high) of floats or a
            list of values.
        learns: Whether it has a model that must be trained on labelled faces.
        distributed: Whether the processes of a run divide its work, so that all of them have to call `cluster`.
    """

    name: ClassVar[str]
    search_space: ClassVar[Mapping[str, Range]]
    learns: ClassVar[bool]
    distributed: ClassVar[bool]

    @property
    def k(self) -> int:
        """Neighbours that it wants in the graph; it works with any other number, too."""
        ...

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; leaves its arrays as they are. Unreadable faces stay unassigned."""
        ...

    @classmethod
    def learn(cls, embeddings: np.ndarray, labels: np.ndarray, seed: int = 0, **settings: Any) -> Self:
        """Learns from labelled faces what it can: a model, or a figure that is measured on them.

        Args:
            embeddings: float32 [n, d], all readable.
            labels: int64 [n], all known.
            seed: Of whatever is random.
            **settings: Hyper-parameters other than the defaults.

        Raises:
            InputError: Unknown settings, or values that it refuses.
        """
        ...

    def with_settings(self, **settings: Any) -> Self:
        """The same, with other hyper-parameters of `search_space`."""
        ...

    @classmethod
    def load(cls, folder: Path, settings: Mapping[str, Any]) -> Self:
        """Reads one from a model folder, whose config.yaml holds the settings.

        Raises:
            InputError: Settings or weights that do not fit.
        """
        ...

    def save(self, folder: Path) -> None:
        """Writes config.yaml, and the model if it has one, into an existing folder."""
        ...


class SettingsOnly:
    """The members of `Clusterer` as backends have them that are nothing but a few numbers."""

    name: ClassVar[str]
    learns: ClassVar[bool] = False
    distributed: ClassVar[bool] = False

    @property
    def k(self) -> int:
        """Neighbours that it wants in the graph; a field of the same name makes it a hyper-parameter."""
        return DEFAULT_K

    @classmethod
    def learn(cls, embeddings: np.ndarray, labels: np.ndarray, seed: int = 0, **settings: Any) -> Self:
        """The given settings: there is nothing to learn."""
        return cls(**settings)

    def with_settings(self, **settings: Any) -> Self:
        """The same, with other hyper-parameters."""
        return type(self)(**{**self.settings(), **settings})

    @classmethod
    def load(cls, folder: Path, settings: Mapping[str, Any]) -> Self:
        """Checks the settings of a model folder against the fields.

        Raises:
            InputError: Unknown settings, or values that the backend refuses.
        """
        known = [item.name for item in fields(cls)]  # type: ignore[arg-type]
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise InputError(
                f"{folder / 'config.yaml'}: unknown {', '.join(unknown)}; {cls.name} has {', '.join(known)}"
            )
        return cls(**settings)

    def settings(self) -> dict[str, Any]:
        """Its hyper-parameters by name."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    def save(self, folder: Path) -> None:
        """Writes config.yaml."""
        write_yaml(folder / "config.yaml", {"backend": self.name, **self.settings()})
