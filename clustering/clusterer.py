"""What a clustering backend is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from typing_extensions import Self

from clustering.graph.build import say_if_narrow
from clustering.graph.constraints import Constraints
from clustering.graph.forest import corrected
from clustering.graph.knn_graph import DEFAULT_K, KnnGraph, exact_graph
from clustering.graph.nodes import Nodes
from clustering.hierarchy import Hierarchy
from clustering.learning.labelled_faces import LabelledFaces, labelled, unit_faces
from clustering.result import Clustering
from clustering.settings import Parameters, Range, check_names
from clustering.similarity.doubts import doubts
from facerec.pipeline.files import InputError, read_yaml, write_yaml
from facerec.pipeline.values import as_path, shown, whole

logger = logging.getLogger(__name__)


class Clusterer(Parameters):
    """A clustering backend: a dataclass of settings with one method of its own, `cluster`.

    It is an estimator in scikit-learn's sense: `fit` leaves ``labels_``, ``confidence_`` and ``hierarchy_``.

    Example:
        >>> from clustering.backends.dbscan import Dbscan
        >>> Dbscan(min_similarity=0.9).fit_predict([[1, 0], [2, 0.1], [0, 3], [0.1, 1]])
        array([0, 0, 1, 1])

    Attributes:
        name: Its name in `BACKENDS`.
        search_space: The settings that ``tune`` chooses: for each a range (low, high) of floats or a list of values.
        prefers_low: One of them, or empty. Of trials that are nearly as good as the best, ``tune`` takes those with its
            lowest value.
        pretrained: The model folder that comes with the package, if there is one.
        learns: Whether it has a ``model``, a network that must be trained on labelled faces.
        distributed: Whether the processes of a run divide its work, so that all of them have to call `cluster`.
        untuned: Settings other than the defaults, for data that nobody tuned it on: those of `from_pretrained` without
            a folder.
        calibrated: Whether it has a ``confidence``, a function that can be measured on labelled faces.
        labels_: int64 [n], of the faces that were fitted; -1 for unassigned faces.
        confidence_: float32 [n] in [0, 1], see `Clustering`.
        hierarchy_: The levels that the clusters stand on; of backends without a hierarchy the clusters alone.
        embeddings_: float32 [n, d], the unit rows that were fitted: X itself where it is such rows, so leave it as it
            is as long as you `predict`.
        n_features_in_: Their dimension d.
        tuning_: How ``tune`` found it.
    """

    name: ClassVar[str]
    search_space: ClassVar[Mapping[str, Range]] = {}
    prefers_low: ClassVar[str] = ""
    pretrained: ClassVar[Path | None] = None
    learns: ClassVar[bool] = False
    distributed: ClassVar[bool] = False
    calibrated: ClassVar[bool] = False
    untuned: ClassVar[Mapping[str, Any]] = {}

    labels_: np.ndarray
    confidence_: np.ndarray
    hierarchy_: Hierarchy
    embeddings_: np.ndarray
    n_features_in_: int
    tuning_: Any

    @property
    def k(self) -> int:
        """Neighbours that it wants in the graph; it works with any other number, too.

        A field of the same name makes it a setting.
        """
        return DEFAULT_K

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; leaves its arrays as they are. Unreadable faces stay unassigned."""
        raise NotImplementedError

    def cluster_with(self, graph: KnnGraph, known: Constraints) -> Clustering:
        """As `cluster`, in agreement with answers about pairs of faces: clusters that contradict them are `corrected`.

        Args:
            graph: Of n faces.
            known: Answers about readable ones, without contradictions.
        """
        found = self.cluster(graph)
        confidence = np.where(found.labels < 0, 1, found.confidence)  # of those whom an answer puts into a cluster
        return Clustering.of(corrected(graph, found.labels, known), confidence, (), found.notes, found.warning)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Clusters faces. Copies that would fill the lists of neighbours count as one, but not in a given graph.

        Args:
            X: Embeddings [n, d] of any numeric type, length and memory order, see `unit_faces`; or their `KnnGraph`.
            y: Not looked at.

        Raises:
            InputError: Embeddings that cannot be used; NaN or infinite values, by row; a graph that is none, see
                `KnnGraph.check`; no model, where it needs one.
        """
        self._check_model()
        if isinstance(X, KnnGraph):
            X.check()
            say_if_narrow(X, self.k, "X", f"build it with k={self.k}, or give the embeddings")
            graph, nodes = X, None
        else:
            graph = exact_graph(unit_faces(X), self.k)
            nodes = Nodes.of(graph, self.k)
        clustered = graph if nodes is None else nodes.graph
        found = self.cluster(clustered)
        for said in filter(None, (found.warning, doubts(clustered, found.labels))):
            logger.warning("%s", said)
        if nodes is not None:
            found = found.expanded(nodes.copies)
        self.labels_, self.confidence_ = found.labels, found.confidence
        self.hierarchy_ = Hierarchy(found.levels or ({"labels": found.labels},))
        self.embeddings_, self.n_features_in_ = graph.embeddings, graph.embeddings.shape[1]
        return self

    def _check_model(self) -> None:
        model, name = getattr(self, "model", None), type(self).__name__
        if self.learns and not hasattr(model, "settings"):
            raise InputError(
                f"{self.name} has no model, but {shown(model)}; make one with {name}.learn(X, y), or load it with "
                f"{name}.from_pretrained(folder)"
            )

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """Int64 [n]: the cluster of each face, -1 for none; see `fit`."""
        return self.fit(X).labels_

    def predict(self, X: Any) -> np.ndarray:
        """The clusters that new faces join, as the command ``assign`` finds them; the old clusters stay as they are.

        Args:
            X: Embeddings [m, d] of other faces by the same recogniser.

        Returns:
            int64 [m]: a label of ``labels_``; a new one, counted on from there, for faces that found a cluster;
            -1 for faces that belong nowhere. Each call counts on from the same label, so the new ones of two calls are
            different people.

        Raises:
            InputError: Before `fit`, or embeddings that cannot be used.
        """
        from clustering.pseudolabels.new_faces import assign_new_faces

        if "labels_" not in vars(self):
            raise InputError(f"{type(self).__name__} has no clusters yet; call fit first")
        faces = unit_faces(X)
        if faces.shape[1] != self.n_features_in_:
            raise InputError(f"embeddings of length {faces.shape[1]}, those that were fitted of {self.n_features_in_}")
        return assign_new_faces(self.embeddings_, self.labels_, faces)[0]

    @classmethod
    def learn(cls, X: Any, y: Any, seed: int = 0, **settings: Any) -> Self:
        """Learns from labelled faces what it can: a model, or a figure that is measured on them.

        Args:
            X: Embeddings [n, d], as of `fit`.
            y: Whole numbers [n], the identities; faces of unknown identity (-1) are left out.
            seed: Of whatever is random.
            **settings: Settings other than the defaults, those of the training included.

        Raises:
            InputError: Unusable faces, unknown settings, or values that it refuses.
        """
        return cls._learn(labelled(X, y), whole("seed", seed, 0), settings)

    @classmethod
    def _learn(cls, faces: LabelledFaces, seed: int, settings: Mapping[str, Any]) -> Self:
        cls._check_names(settings)
        return cls(**settings)

    def with_settings(self, **settings: Any) -> Self:
        """The same, not fitted, with other settings.

        Raises:
            InputError: Unknown names, or values that it refuses.
        """
        self._check_names(settings)
        return replace(self, **settings)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type="clusterer", target_tags=TargetTags(required=False))

    @classmethod
    def from_pretrained(cls, folder: str | Path | None = None) -> Self:
        """One with the settings and weights of a model folder.

        Args:
            folder: Made by `save_pretrained`, or by the commands tune, train, pretrain and import. By default the
                packaged model, or the default settings of backends without a model.

        Raises:
            InputError: Not a folder of this backend; settings or weights that do not fit; no folder for a backend
                that needs one.
        """
        folder = cls.pretrained if folder is None else as_path("folder", folder)
        if folder is None:
            if cls.learns:
                raise InputError(
                    f"{cls.name} needs a model trained on labelled faces, as --model MODEL; make one with 'python -m "
                    f"clustering train --backend {cls.name} --embeddings EMB --labels LABELS --out MODEL', or with tune"
                )
            return cls(**cls.untuned)
        file = folder / "config.yaml"
        settings = read_yaml(file)
        if settings.pop("backend", None) != cls.name:
            raise InputError(f"{file}: not a model of {cls.name}; its first line must be 'backend: {cls.name}'")
        missing = [name for name in cls._names() if cls.learns and name not in settings]
        if missing:
            raise InputError(f"{file}: no {', '.join(missing)}; train the model again")
        check_names(f"{file}: unknown", cls.name, settings, cls._names())
        return cls(**cls._read(folder, settings))

    @classmethod
    def _read(cls, folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings of a model folder, with what stands beside config.yaml."""
        return settings

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes config.yaml, and model.safetensors if it has a model, into a folder, which is made if need be.

        Raises:
            InputError: The folder is a file.
        """
        folder = as_path("folder", folder)
        if folder.is_file():
            raise InputError(f"{folder}: a file; name a folder for the model")
        folder.mkdir(parents=True, exist_ok=True)
        settings = self._write(folder, self.get_params())
        plain = {name: asdict(value) if is_dataclass(value) else value for name, value in settings.items()}  # type: ignore[arg-type]
        write_yaml(folder / "config.yaml", {"backend": self.name, **plain})

    def _write(self, folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
        """Writes what stands beside config.yaml; returns the settings for it."""
        return settings


class TwoStep(Clusterer):
    """A backend that first estimates something of a graph, and then decides with its thresholds.

    The estimate depends on k alone, so `tune` asks for it once.
    """

    def estimate(self, graph: KnnGraph) -> Any:
        """What does not depend on thresholds, of the graph of k neighbours."""
        raise NotImplementedError

    def decide(self, graph: KnnGraph, estimate: Any) -> Clustering:
        """The clusters, of the graph of k neighbours and its estimate."""
        raise NotImplementedError

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph."""
        graph = graph.narrowed(self.k)
        return self.decide(graph, self.estimate(graph))
