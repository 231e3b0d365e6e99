"""What a clustering backend is, what it returns, and the list of those there are.

To add a backend: write a frozen dataclass whose fields are its hyper-parameters, with the members of `Clusterer`, and
give it a line in `BACKENDS`. Commands, tuning and the conformance tests then serve it too.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from typing_extensions import Self

from clustering.knn import DEFAULT_K, KnnGraph
from facerec.artifacts import InputError, load_array, write_yaml

BACKENDS = {
    "aro": "clustering.aro:Aro",
    "components": "clustering.components:Components",
    "dbscan": "clustering.dbscan:Dbscan",
    "finch": "clustering.finch:Finch",
    "gcn_e": "clustering.gcn.gcn_e:GcnE",
    "gcn_v": "clustering.gcn.gcn_v:GcnV",
    "graclus": "clustering.graclus:Graclus",
    "hac_average": "clustering.hac:HacAverage",
    "hac_single": "clustering.hac:HacSingle",
    "hdbscan": "clustering.hdbscan:Hdbscan",
    "hilander": "clustering.hilander.hierarchy:HiLander",
    "infomap": "clustering.infomap:Infomap",
    "kmeans": "clustering.kmeans:KMeans",
    "l2c": "clustering.l2c:L2c",
    "lander": "clustering.hilander.one_level:OneLevel",
    "leiden": "clustering.leiden:Leiden",
    "lgcn": "clustering.gcn.lgcn:Lgcn",
}


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


Range = tuple[float, float] | list[Any]


class Clusterer(Protocol):
    """A clustering backend: a frozen dataclass of hyper-parameters with one method that works.

    Attributes:
        name: Its name in `BACKENDS`.
        search: The hyper-parameters that ``tune`` chooses: for each a range (low, high) of floats or a list of values.
        learns: Whether it has a model that must be trained on labelled faces.
        over_ranks: Whether the processes of a run divide its work, so that all of them have to call `cluster`.
    """

    name: ClassVar[str]
    search: ClassVar[Mapping[str, Range]]
    learns: ClassVar[bool]
    over_ranks: ClassVar[bool]

    @property
    def k(self) -> int:
        """Neighbours that it wants in the graph; it works with any other number, too."""
        ...

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; leaves its arrays as they are. Unreadable faces stay unassigned."""
        ...

    @classmethod
    def fit(cls, embeddings: np.ndarray, labels: np.ndarray, seed: int, **settings: Any) -> Self:
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
        """The same, with other hyper-parameters of `search`."""
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


class Plain:
    """The members of `Clusterer` as backends have them that are nothing but a few numbers."""

    name: ClassVar[str]
    learns: ClassVar[bool] = False
    over_ranks: ClassVar[bool] = False

    @property
    def k(self) -> int:
        """Neighbours that it wants in the graph; a field of the same name makes it a hyper-parameter."""
        return DEFAULT_K

    @classmethod
    def fit(cls, embeddings: np.ndarray, labels: np.ndarray, seed: int, **settings: Any) -> Self:
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


def check_number(name: str, value: Any, low: float, high: float = np.inf) -> None:
    """Refuses a hyper-parameter that is not a number between `low` and `high`.

    Raises:
        InputError: Naming the parameter, its value and the range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"{name} is {value!r}; it must be a number from {low} to {high}")


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Refuses a hyper-parameter that is none of its choices.

    Raises:
        InputError: Naming the parameter, its value and the choices.
    """
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise InputError(f"{name} is {value!r}; it must be one of {', '.join(map(str, choices))}")


def check_whole(name: str, value: Any, low: int, high: float = np.inf) -> None:
    """Refuses a hyper-parameter that is not a whole number between `low` and `high`.

    Raises:
        InputError: Naming the parameter, its value and the range.
    """
    check_number(name, value, low, high)
    if not isinstance(value, int):
        raise InputError(f"{name} is {value}; it must be a whole number")


def backend(name: str) -> type[Clusterer]:
    """The class of a registered backend.

    Raises:
        InputError: No such backend.
    """
    if name not in BACKENDS:
        raise InputError(f"backend {name!r} is unknown; there are {', '.join(BACKENDS)}")
    module, _, attribute = BACKENDS[name].partition(":")
    found: type[Clusterer] = getattr(importlib.import_module(module), attribute)
    return found


def consecutive(labels: np.ndarray) -> np.ndarray:
    """Renumbers labels from 0 in the order in which they first appear; negative ones become -1.

    Example:
        >>> consecutive(np.array([7, -1, 3, 7]))
        array([ 0, -1,  1,  0])
    """
    numbers = np.full(len(labels), -1, dtype=np.int64)
    assigned = np.flatnonzero(np.asarray(labels) >= 0)
    _, first, inverse = np.unique(labels[assigned], return_index=True, return_inverse=True)
    numbers[assigned] = np.argsort(np.argsort(first))[inverse]
    return numbers


def load_confidence(clusters: Path, rows: int) -> np.ndarray | None:
    """The confidence of a clustering's faces, float [rows]; None for a bare file of labels and a folder without any.

    Raises:
        InputError: Another number of values, or values beyond [0, 1] or NaN.
    """
    file = clusters / "confidence.npy"
    if not (clusters.is_dir() and file.exists()):
        return None
    confidence = load_array(file, kind="f", ndim=1)
    if len(confidence) != rows or not np.all((confidence >= 0) & (confidence <= 1)):
        raise InputError(f"{file}: {len(confidence)} values for {rows} faces; expected one in [0, 1] each")
    return confidence


def cluster_sums(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Float32 [clusters, d]: the sum of each cluster's embeddings; unassigned rows are left out."""
    rows = np.flatnonzero(labels >= 0)
    clusters = int(labels.max(initial=-1)) + 1
    membership = csr_matrix((np.ones(len(rows), np.float32), (labels[rows], rows)), (clusters, len(labels)))
    return np.asarray(membership @ embeddings, dtype=np.float32)


def components(nodes: int, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Int64 [nodes]: connected components of an undirected graph given by its edges, numbered by first node."""
    edges = csr_matrix((np.ones(len(sources), np.bool_), (sources, targets)), (nodes, nodes))
    return consecutive(connected_components(edges, directed=False)[1])
