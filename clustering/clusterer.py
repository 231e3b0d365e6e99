"""The base class of all clustering backends."""

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
from clustering.learning.labelled_faces import LabelledFaces, check_repeated, labelled, unit_faces
from clustering.result import Clustering
from clustering.settings import Parameters, Range, check_names
from clustering.similarity.doubts import doubts
from facerec.pipeline.files import InputError, read_yaml, write_yaml
from facerec.pipeline.values import as_path, shown, whole

logger = logging.getLogger(__name__)


class Clusterer(Parameters):
    """A clustering backend: a dataclass of settings with one method of its own, `cluster`.

    Backends are scikit-learn estimators: `fit` sets ``labels_``, ``confidence_`` and ``hierarchy_``.

    Example:
        >>> from clustering.backends.dbscan import Dbscan
        >>> Dbscan(min_similarity=0.9).fit_predict([[1, 0], [2, 0.1], [0, 3], [0.1, 1]])
        array([0, 0, 1, 1])

    Attributes:
        name: The backend's name in `BACKENDS`.
        search_space: The settings that ``tune`` chooses, each with a range (low, high) of floats or a list of values.
        pretrained: The model folder that comes with the package, if there is one.
        learns: Whether it has a ``model``, a network that must be trained on labelled faces.
        distributed: Whether the processes of a run share the work. Then all of them must call `cluster`.
        untuned: Settings for data that the backend was not tuned on. `from_pretrained` without a folder uses them
            instead of the defaults.
        calibrated: Whether the backend has a ``confidence``, a function that can be fitted to labelled faces.
        labels_: int64 [n], the clusters of the fitted faces; -1 for unassigned faces.
        confidence_: float32 [n] in [0, 1], see `Clustering`.
        hierarchy_: The levels of the clustering. Without a hierarchy its only level is the clusters.
        embeddings_: float32 [n, d], the fitted faces as unit rows. If X already has such rows, this is X itself and not
            a copy, so do not change X before you call `predict`.
        n_features_in_: The dimension d.
        tuning_: How ``tune`` chose the settings.
    """

    name: ClassVar[str]
    search_space: ClassVar[Mapping[str, Range]] = {}
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
        """Number of neighbours that the backend wants in the graph. It also works with any other number.

        Backends in which this is a setting have a field of this name.
        """
        return DEFAULT_K

    @property
    def most_neighbors(self) -> int:
        """Most neighbours in a graph that save the backend a search. More change nothing. By default `k`."""
        return self.k

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph. Unreadable faces stay unassigned. The graph is not changed."""
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
        """Clusters faces.

        If X are embeddings, copies of a picture that would fill the lists of neighbours count as one face. In a given
        graph they do not.

        Args:
            X: Embeddings [n, d] of any numeric type, length and memory order, see `unit_faces`; or their `KnnGraph`.
            y: Ignored.

        Raises:
            InputError: X cannot be used, for example because of NaN; the message names the row. Or X is an invalid
                graph, see `KnnGraph.check`. Or a setting was given an impossible value after the construction. Or the
                backend needs a model and has none.
        """
        self.__post_init__()  # checks settings that were changed since
        self.check_model()
        if isinstance(X, KnnGraph):
            graph, nodes = X.check(), None
            say_if_narrow(graph, self.k, "X", f"build it with k={self.k}, or give the embeddings")
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
        self.hierarchy_ = Hierarchy(found.levels or ({"labels": found.labels.copy()},))
        self.embeddings_, self.n_features_in_ = graph.embeddings, graph.embeddings.shape[1]
        return self

    def check_model(self) -> None:
        """Refuses a backend that needs a model and has none.

        Raises:
            InputError: With how to make one.
        """
        model, name = getattr(self, "model", None), type(self).__name__
        if self.learns and not hasattr(model, "settings"):
            raise InputError(
                f"{self.name} has no model, but {shown(model)}; make one with {name}.learn(X, y), or load it with "
                f"{name}.from_pretrained(folder)"
            )

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """Clusters faces and returns ``labels_``, int64 [n], -1 for a face in no cluster; see `fit`."""
        return self.fit(X).labels_

    def predict(self, X: Any) -> np.ndarray:
        """Assigns new faces to the clusters, like the command ``assign``. The fitted clusters do not change.

        Args:
            X: Embeddings [m, d] of other faces by the same recogniser.

        Returns:
            int64 [m], for each face one of

            - a label of ``labels_``, if the face joins that cluster;
            - a new label, above those of ``labels_``, if new faces make a cluster of their own;
            - -1, if the face belongs to no cluster.

            Every call starts with the same new label, so equal new labels of two calls do not mean the same person.

        Raises:
            InputError: `fit` was not called, or the embeddings cannot be used.
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
        """Makes a clusterer from labelled faces: trains its model, or measures settings such as the faces per cluster.

        Args:
            X: Embeddings [n, d], as for `fit`.
            y: Whole numbers [n], the identities. Faces of unknown identity (-1) are left out.
            seed: Seed of everything random.
            **settings: Settings that differ from the defaults, including those of the training.

        Raises:
            InputError: Faces that cannot be used; fewer than two people with two faces each, where a model is trained;
                unknown settings; or values out of range.
        """
        faces = labelled(X, y)
        if cls.learns:
            check_repeated(faces.labels, "y")
        return cls._learn(faces, whole("seed", seed, 0), settings)

    @classmethod
    def _learn(cls, faces: LabelledFaces, seed: int, settings: Mapping[str, Any]) -> Self:
        cls._check_names(settings)
        return cls(**settings)

    def with_settings(self, **settings: Any) -> Self:
        """Returns a copy with other settings, which is not fitted.

        Raises:
            InputError: Unknown names, or values out of range.
        """
        self._check_names(settings)
        return replace(self, **settings)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type="clusterer", target_tags=TargetTags(required=False))

    @classmethod
    def from_pretrained(cls, folder: str | Path | None = None) -> Self:
        """Loads the settings and weights of a model folder.

        Args:
            folder: Made by `save_pretrained`, or by the command tune, train, pretrain or import. By default the
                packaged model; backends that do not learn get their settings for untuned data instead.

        Raises:
            InputError: The folder is not one of this backend; its settings or weights do not fit; or no folder is
                given for a backend that needs one.
        """
        folder = cls.pretrained if folder is None else as_path("folder", folder)
        if folder is None:
            if cls.learns:
                raise InputError(
                    f"{cls.name} needs a model trained on labelled faces, as --model MODEL; make one with 'python -m "
                    f"clustering train --backend {cls.name} --embeddings EMB --labels LABELS --out MODEL', or with tune"
                )
            return cls(**cls.untuned)
        if folder.is_file():
            raise InputError(f"{folder}: a file; give the folder of the model, which also has config.yaml")
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
        """The settings of a model folder, with what other files than config.yaml add."""
        return settings

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes config.yaml, and model.safetensors if there is a model, into a folder. Creates the folder if needed.

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
    """Base class of backends that work in two steps: `estimate` something of a graph, then `decide` by thresholds.

    The estimate depends only on k, not on the thresholds. So `tune` computes it once for each k.
    """

    def estimate(self, graph: KnnGraph) -> Any:
        """Computes what does not depend on thresholds, from a graph of `most_neighbors`, or of k at least."""
        raise NotImplementedError

    def decide(self, graph: KnnGraph, estimate: Any) -> Clustering:
        """Clusters the faces of that graph, given its estimate."""
        raise NotImplementedError

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph."""
        graph = graph.narrowed(self.most_neighbors)
        return self.decide(graph, self.estimate(graph))
