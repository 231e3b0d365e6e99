"""Hi-LANDER: merges clusters level by level until nothing joins any more (paper sections 3.1-3.4)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from typing_extensions import Self

from clustering.backends.hilander import PRETRAINED, engines
from clustering.backends.hilander.climb import Features, Link, Step, climb
from clustering.backends.hilander.lander import LinkageModel
from clustering.backends.hilander.level import Level
from clustering.backends.hilander.longer_lists import lengths_by_size, worth_it
from clustering.backends.hilander.meta_training import Merging, MetaTraining, train_linkage_model
from clustering.backends.hilander.mingling import NEIGHBORS
from clustering.backends.hilander.pairs import Start
from clustering.backends.weights import save_weights, seeded
from clustering.clusterer import TwoStep
from clustering.graph.constraints import Constraints
from clustering.graph.knn_graph import DEFAULT_K, KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.partition import consecutive
from clustering.result import Clustering
from clustering.settings import Neighbors, Range, Share, Within, divided
from clustering.similarity.confidence import Confidence
from clustering.similarity.mixtures import mixed
from facerec.pipeline.counts import counted

logger = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]
RAISES = 5
"""Most times that p_tau is raised; each time its distance to 1 is halved."""
PAIRS_P_TAU, EDGES_P_TAU = 0.6, 0.9
"""Default p_tau of models trained on labelled faces, for `merging` by pairs and by edges; the paper's code has .8."""


@dataclass(frozen=True)
class EdgeStart:
    """What all climbs by edges on a graph share: the arguments of `climb` but p_tau and answers."""

    graph: KnnGraph
    link: Link
    features: Features
    k: int

    def climb(self, p_tau: float, known: Constraints | None) -> Iterator[Step]:
        """Climbs by edges, see `climb`."""
        return climb(self.graph, self.link, p_tau, self.features, self.k, known)


@cache
def packaged() -> HiLander:
    """The model that comes with the package, trained on simulated embeddings (see the command ``pretrain``)."""
    return HiLander.from_pretrained()


@dataclass(eq=False)
class HiLander(TwoStep):
    """Hierarchical LANDER (Xing et al., ICCV 2021): a learned model links nodes, and each cluster becomes a node.

    The defaults are the packaged model and the settings that belong to it.

    Attributes:
        model: Predicts the linkage probabilities, from which the densities follow.
        k: Neighbours of a node, on all levels.
        p_tau: Smallest linkage probability of an edge or pair that joins. Among few clusters pairs join with less, see
            `least_log_odds` in `clustering.backends.hilander.pairs`. So do pairs that stand out and pairs
            that mingle, see `clustering.backends.hilander.outstanding` and `clustering.backends.hilander.mingling`.
        features: The features of a cluster on the next level: ``identity``, ``average`` or ``both``.
        early_stop: Whether to stop at the first level that adds more than 1/(k - 1) of the edges of the level before,
            see `stop_when_settled`.
        levels: Largest number of levels. With None, levels are added until one joins nothing.
        confidence: The probability that a face has the majority identity of its cluster, as a function of evidence.
        adaptive: Whether a first climb decides what the corpus needs. While one of the largest clusters looks like a
            mixture of people (see `mixed`), p_tau is raised. Each step halves its distance to 1, up to `RAISES` times.
            This helps if the recogniser is another one, or if there are more people, than when p_tau was chosen. And
            if people have many faces, these are blended with more neighbours, see
            `clustering.backends.hilander.longer_lists`.
        merging: How nodes join on a level. With ``pairs``, two clusters join if each is the other's likeliest partner,
            see `clustering.backends.hilander.pairs`. With ``edges``, as in the paper, each node joins its likeliest
            denser neighbour. Pairs need a model that sees similarities, and ``average`` features. Otherwise edges are
            used.
    """

    name: ClassVar[str] = "hilander"
    pretrained: ClassVar[Path | None] = PRETRAINED
    learns: ClassVar[bool] = True
    distributed: ClassVar[bool] = True
    calibrated: ClassVar[bool] = True
    search_space: ClassVar[Mapping[str, Range]] = {"p_tau": (0.3, 0.99), "k": [3, 5, 10, 20]}

    model: LinkageModel = field(default_factory=lambda: packaged().model, repr=False)
    k: Neighbors = DEFAULT_K
    p_tau: Share = 0.6
    adaptive: bool = True
    merging: Merging = "pairs"
    features: Features = "average"
    early_stop: bool = False
    levels: Annotated[int | None, Within(1)] = None
    confidence: Confidence = field(default_factory=lambda: packaged().confidence)

    @property
    def by_pairs(self) -> bool:
        """Whether pairs join instead of edges: if `merging` asks for pairs, and the model can judge them."""
        return self.merging == "pairs" and self.model.inputs == "similarities" and self.features == "average"

    @property
    def most_neighbors(self) -> int:
        """So many neighbours suffice to see which pairs mingle, and for longer lists."""
        return max(self.k, NEIGHBORS) if self.by_pairs else self.k

    def cluster(self, graph: KnnGraph) -> Clustering:
        """Clusters the faces of a graph, with longer lists where people have many faces."""
        return self.cluster_with(graph, None)

    def cluster_with(self, graph: KnnGraph, known: Constraints | None) -> Clustering:
        """As `cluster`, with answers that hold on every level.

        What `adaptive` decides does not depend on answers, so clusters that no answer is about stay as they are.
        """
        start, first = self.estimate(graph), None if self.adaptive else known
        graph = graph.narrowed(self.k)
        p_tau, levels = self._adapted(graph, start, first)
        if self.adaptive and isinstance(start, Start):
            start, levels = self._with_longer_lists(graph, start, p_tau, levels)
        if known is not first:
            levels.clear()
            levels = self._hierarchy(start.climb(p_tau, known), graph)
        return self._clustering(graph, p_tau, levels)

    def estimate(self, graph: KnnGraph) -> Start | EdgeStart:
        """What climbs of the graph share, whatever their p_tau and answers."""
        self.model.check_dimension(graph.embeddings.shape[1] * (2 if self.features in ("both", "reference") else 1))
        if self.by_pairs:
            return Start.of(graph, self.model, self.k)
        graph = graph.narrowed(self.k)
        return EdgeStart(graph, cache_lowest_level(partial(engines.link, self.model)), self.features, self.k)

    def decide(self, graph: KnnGraph, start: Start | EdgeStart) -> Clustering:
        """Clusters the faces of a graph by climbs from the start that `estimate` returned, without longer lists.

        `tune` scores these clusters. With longer lists it would take twice the time.
        """
        graph = graph.narrowed(self.k)
        return self._clustering(graph, *self._adapted(graph, start, None))

    def _adapted(
        self, graph: KnnGraph, start: Start | EdgeStart, known: Constraints | None
    ) -> tuple[float, list[Arrays]]:
        """The p_tau at which no mixtures are left, and the hierarchy with it."""
        p_tau = self.p_tau
        levels = self._hierarchy(start.climb(p_tau, known), graph)
        for _ in range(RAISES if self.adaptive else 0):
            if not mixed(graph, levels[-1]["labels"]):
                break
            p_tau = (1 + p_tau) / 2
            levels.clear()  # which may be large
            levels = self._hierarchy(start.climb(p_tau, known), graph)
        return p_tau, levels

    def _with_longer_lists(
        self, graph: KnnGraph, start: Start, p_tau: float, levels: list[Arrays]
    ) -> tuple[Start, list[Arrays]]:
        """The start and hierarchy after a climb with longer lists; the same as before if that is no better.

        It is not tried if too few faces need it, see `worth_it`. It is no better if mixtures appear.
        """
        lengths = lengths_by_size(levels[-1]["labels"], graph.k)
        if not worth_it(lengths, graph.k, graph.embeddings.shape[1]):
            return start, levels
        longer = start.lengthened(lengths)
        found = self._hierarchy(longer.climb(p_tau, None), graph)
        if mixed(graph, found[-1]["labels"]):
            return start, levels
        many = counted(int(np.count_nonzero(lengths > graph.k)), "face")
        logger.info("some people have many faces, so %s got up to %d neighbours", many, lengths.max())
        return longer, found

    def _clustering(self, graph: KnnGraph, p_tau: float, levels: list[Arrays]) -> Clustering:
        """The result of a hierarchy, with a warning if p_tau was raised."""
        warning = "" if p_tau == self.p_tau else (
            f"with p_tau {self.p_tau:g} the largest clusters are mixtures of people, so {p_tau:g} is taken. The "
            "recogniser may be weaker, or there may be more people, than when p_tau was chosen. Labelled faces of this "
            "recogniser, the more the better, tell best: see tune"
        )  # fmt: skip
        labels = levels[-1]["labels"]
        confidence = self.confidence.of_faces(graph, labels)
        return Clustering.of(labels, confidence, levels, {"p_tau": p_tau}, warning)

    def _hierarchy(self, steps: Iterable[Step], graph: KnnGraph) -> list[Arrays]:
        steps = islice(stop_when_settled(steps, self.k) if self.early_stop else steps, self.levels)
        return list(levels_as_arrays(steps, graph.readable))

    @classmethod
    def _learn(cls, faces: LabelledFaces, seed: int, settings: Mapping[str, Any]) -> Self:
        """Meta-trains a model, to judge pairs or edges, whichever join; for pairs the packaged one goes on learning.

        The settings are ``p_tau``, ``adaptive``, ``merging`` and those of `MetaTraining`.
        """
        own, training = divided(cls.name, settings, ("p_tau", "adaptive", "merging"), MetaTraining)
        own: dict[str, Any] = {"confidence": Confidence(), **own}
        with seeded(seed):  # models without weights draw some, too
            untrained = cls(LinkageModel(training.inputs, 1), training.k, features=training.features, **own)
            pairs = untrained.by_pairs
            start = packaged().model if pairs and training.hidden == packaged().model.hidden else None
            model = train_linkage_model(faces, seed, training, "pairs" if pairs else "edges", start)
        p_tau = own.get("p_tau", PAIRS_P_TAU if pairs else EDGES_P_TAU)
        return replace(untrained, model=model, p_tau=p_tau)

    @classmethod
    def _read(cls, folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
        confidence = Confidence.of_settings(folder / "config.yaml", settings["confidence"])
        return {**settings, "confidence": confidence, "model": engines.load_model(folder, settings["model"])}

    def _write(self, folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
        save_weights(folder, self.model)
        return {**settings, "model": self.model.settings()}


def cache_lowest_level(link: Link) -> Link:
    """Returns a `Link` for several climbs of one graph, which computes the linkage of single faces only once."""
    found: list[np.ndarray] = []

    def once(level: Level) -> np.ndarray:
        if not level.lowest:
            return link(level)
        if not found:
            found.append(link(level))
        return found[0]

    return once


def stop_when_settled(steps: Iterable[Step], k: int) -> Iterator[Step]:
    """Stops a climb early to save time, by the paper's rule (section 4.3).

    If all clusters were k-ary trees, every level would add 1/k of the edges of the level before. The first level that
    adds more than 1/(k - 1) of them is the last one. Its edges are kept.
    """
    before = np.inf
    for step in steps:
        yield step
        edges = len(step.parents) - len(step.peaks)
        if edges * (k - 1) > before:
            return
        before = edges


def levels_as_arrays(steps: Iterable[Step], readable: np.ndarray) -> Iterator[Arrays]:
    """Yields each level of a hierarchy as arrays, in which a node is named by its face.

    On the lowest level the nodes are all n faces. On every other level they are the peaks of the level below, in the
    same order.

    Args:
        steps: What `climb` yields.
        readable: Bool [n]. Unreadable faces have label and parent -1, and are not peaks.

    Yields:
        For each level a dictionary of

        - ``labels`` int64 [n], consecutive from 0 by first appearance;
        - ``peaks`` int64 [clusters], the face of each cluster's peak, by label;
        - ``densities`` float32 [nodes], equation (4);
        - ``parents`` int64 [nodes], the face of the node that this node's edge leads to; for a peak its own face;
        - ``linkage`` float32 [nodes], r_ij of that edge; 0 for peaks.
    """
    nodes, order = np.arange(len(readable)), np.arange(len(readable))
    for step in steps:
        faces, parents = step.level.faces, step.parents[order]
        named = np.where(readable[faces[order]], faces[parents], -1)
        nodes = step.clusters[nodes]
        labels = consecutive(np.where(readable, nodes, -1))
        densities, linkage = step.density[order], step.linkage[order]
        peaks = faces[step.peaks]
        order = np.flatnonzero(readable[peaks])
        order = order[np.argsort(labels[peaks[order]])]
        yield {
            "labels": labels, "peaks": peaks[order], "densities": densities, "parents": named,
            "linkage": linkage,
        }  # fmt: skip
