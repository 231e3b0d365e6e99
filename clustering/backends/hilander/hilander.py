"""Hi-LANDER: clusters merged level by level until nothing joins any more (paper sections 3.1-3.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from clustering.backends.hilander import engines
from clustering.backends.hilander.climb import FEATURES, Link, Step, climb
from clustering.backends.hilander.lander import LinkageModel
from clustering.backends.hilander.level import Level
from clustering.backends.hilander.meta_training import MetaTraining, train_linkage_model
from clustering.clusterer import Clustering
from clustering.graph.knn_graph import DEFAULT_K, KnnGraph
from clustering.partition import consecutive
from clustering.settings import Range, check_choice, check_number, check_whole
from clustering.similarity.confidence import Confidence
from clustering.similarity.mixtures import mixed
from facerec.pipeline.files import InputError, write_yaml

OWN = ("k", "p_tau", "adaptive", "features", "early_stop", "levels", "confidence")
HELD = ("p_tau", "adaptive")
"""Hyper-parameters that training does not depend on."""
RAISES = 5


@dataclass(frozen=True)
class HiLander:
    """Hierarchical LANDER (Xing et al., ICCV 2021): a learned model links nodes, its clusters become nodes.

    Attributes:
        model: Linkage and density.
        k: Neighbours a node, on all levels.
        p_tau: Least linkage probability of an edge.
        features: What a level sees of the clusters below it: ``identity``, ``average`` or ``both``.
        early_stop: Whether to stop once the levels no longer thin out, see `stop_when_settled`.
        levels: How many levels to climb at most; None until no edge is added.
        confidence: The probability that a face belongs to its cluster's majority identity, as a function of evidence.
        adaptive: Whether to raise p_tau, halving its distance to 1 up to `RAISES` times, while one of the largest
            clusters is a mixture of people by `mixed`: for recognisers unlike those that p_tau was chosen with, and for
            more people.
    """

    name: ClassVar[str] = "hilander"
    learns: ClassVar[bool] = True
    distributed: ClassVar[bool] = True
    search_space: ClassVar[Mapping[str, Range]] = {
        "p_tau": (0.5, 0.99), "features": ["average", "both", "identity"], "k": [5, 10, 20],
    }  # fmt: skip

    model: LinkageModel
    k: int = DEFAULT_K
    p_tau: float = 0.9
    features: str = "average"
    early_stop: bool = False
    levels: int | None = None
    confidence: Confidence = field(default_factory=Confidence)
    adaptive: bool = False

    def __post_init__(self) -> None:
        check_number("p_tau", self.p_tau, 0, 1)
        check_whole("k", self.k, 1)
        check_whole("levels", 1 if self.levels is None else self.levels, 1)
        check_choice("features", self.features, FEATURES)
        for name in ("early_stop", "adaptive"):
            if not isinstance(value := getattr(self, name), bool):
                raise InputError(f"{name} is {value!r}; it must be true or false")

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph; the levels are what `levels_as_arrays` makes of them."""
        self.model.check_dimension(graph.embeddings.shape[1] * (2 if self.features in ("both", "reference") else 1))
        link: Link = partial(engines.link, self.model)
        if self.adaptive:
            link = cache_lowest_level(link)
        levels, p_tau = self._hierarchy(graph, link, self.p_tau), self.p_tau
        for _ in range(RAISES if self.adaptive else 0):
            if not mixed(graph.narrowed(self.k), levels[-1]["labels"]):
                break
            p_tau = (1 + p_tau) / 2
            levels.clear()  # which may be large
            levels = self._hierarchy(graph, link, p_tau)
        warning = "" if p_tau == self.p_tau else (
            f"with p_tau {self.p_tau:g} the largest clusters are mixtures of people, as where the recogniser is weaker "
            f"or people are more than when it was chosen; {p_tau:g} is taken. Labelled faces of this recogniser, the "
            "more the better, tell best: see tune"
        )  # fmt: skip
        labels = levels[-1]["labels"]
        confidence = self.confidence.of_faces(graph.narrowed(self.k), labels)
        return Clustering.of(labels, confidence, levels, {"p_tau": p_tau}, warning)

    def _hierarchy(self, graph: KnnGraph, link: Link, p_tau: float) -> list[dict[str, np.ndarray]]:
        steps = climb(graph, link, p_tau, self.features, self.k)
        steps = islice(stop_when_settled(steps, self.k) if self.early_stop else steps, self.levels)
        return list(levels_as_arrays(steps, graph.readable))

    @classmethod
    def learn(cls, embeddings: np.ndarray, labels: np.ndarray, seed: int = 0, **settings: Any) -> HiLander:
        """Meta-trains the model.

        Args:
            embeddings: float32 [n, d], all readable.
            labels: int64 [n], all known.
            seed: Of initial weights and resampling.
            **settings: ``p_tau``, ``adaptive``, and those of `MetaTraining`.

        Raises:
            InputError: Unknown settings.
        """
        own = {"adaptive": True} | {name: settings.pop(name) for name in HELD if name in settings}
        known = [item.name for item in fields(MetaTraining)]
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise InputError(f"hilander has no setting {', '.join(unknown)}; it has {', '.join([*known, *HELD])}")
        training = MetaTraining(**settings)
        model = train_linkage_model(embeddings, labels, seed, training)
        return cls(model, k=training.k, features=training.features, **own)

    def with_settings(self, **settings: Any) -> HiLander:
        """The same model, with other hyper-parameters."""
        return replace(self, **settings)

    @classmethod
    def load(cls, folder: Path, settings: Mapping[str, Any]) -> HiLander:
        """Reads a model folder.

        Raises:
            InputError: Missing or unknown settings, or weights that are missing or of other shapes.
        """
        file = folder / "config.yaml"
        missing = [name for name in OWN if name not in settings]
        if missing:
            raise InputError(f"{file}: no {', '.join(missing)}; train the model again")
        own = {name: settings[name] for name in OWN}
        own["confidence"] = Confidence.of_settings(file, own["confidence"])
        model = {name: value for name, value in settings.items() if name not in OWN}
        return cls(engines.load_model(folder, model), **own)

    def save(self, folder: Path) -> None:
        """Writes config.yaml and model.safetensors."""
        write_yaml(folder / "config.yaml", {"backend": self.name, **self.settings()})
        self.model.save(folder)

    def settings(self) -> dict[str, Any]:
        """What config.yaml holds: its hyper-parameters, and the model's."""
        own = {name: getattr(self, name) for name in OWN}
        return {**own, "confidence": asdict(self.confidence), **self.model.settings()}


def cache_lowest_level(link: Link) -> Link:
    """The same, for climbing one graph again: what it found for the faces themselves does not depend on p_tau."""
    found: list[np.ndarray] = []

    def once(level: Level) -> np.ndarray:
        if not level.lowest:
            return link(level)
        if not found:
            found.append(link(level))
        return found[0]

    return once


def stop_when_settled(steps: Iterable[Step], k: int) -> Iterator[Step]:
    """The paper's rule for stopping early (section 4.3), to save time.

    Were all clusters k-ary trees, every level would add 1/k of the edges of the level before. The first level that
    adds more than 1/(k - 1) of them is the last; its edges are kept.
    """
    before = np.inf
    for step in steps:
        yield step
        edges = len(step.parents) - len(step.peaks)
        if edges * (k - 1) > before:
            return
        before = edges


def levels_as_arrays(steps: Iterable[Step], readable: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """The hierarchy as arrays in which nodes go by their faces.

    A level's nodes are the peaks of the level below, in that order; on the lowest level all n faces.

    Args:
        steps: What `climb` yields.
        readable: Bool [n]: unreadable faces have label and parent -1, and are no peaks.

    Yields:
        For each level ``labels`` int64 [n], consecutive from 0 by first appearance; ``peaks`` int64 [clusters], the
        face that each label's cluster goes back to; and of each node ``densities`` float32, equation (4), ``parents``
        int64, the face of the node that its edge leads to, its own for peaks, and ``linkage`` float32, that edge's
        r_ij, 0 for peaks.
    """
    nodes, order = np.arange(len(readable)), np.arange(len(readable))
    for step in steps:
        faces, parents = step.level.faces, step.parents[order]
        chosen = step.level.graph.neighbors[order] == parents[:, None]
        linkage = np.where(chosen.any(axis=1), step.linkage[order, chosen.argmax(axis=1)], 0)
        named = np.where(readable[faces[order]], faces[parents], -1)
        nodes = step.clusters[nodes]
        labels = consecutive(np.where(readable, nodes, -1))
        densities = step.density[order]
        peaks = faces[step.peaks]
        order = np.flatnonzero(readable[peaks])
        order = order[np.argsort(labels[peaks[order]])]
        yield {
            "labels": labels, "peaks": peaks[order], "densities": densities, "parents": named,
            "linkage": linkage.astype(np.float32),
        }  # fmt: skip
