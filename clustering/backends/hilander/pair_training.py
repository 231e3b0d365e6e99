"""Learning to judge pairs: from pairs that come up while clusters of known identity join."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import logit
from torch import Tensor

from clustering.backends.hilander.blending import InOrder, blended, either_way, sure_neighbors
from clustering.backends.hilander.climb import merge
from clustering.backends.hilander.engines import link
from clustering.backends.hilander.lander import LinkageModel
from clustering.backends.hilander.level import Level, edge_inputs, pair_inputs
from clustering.graph.edges import Edges
from clustering.graph.joining import Joining
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.optimisation import optimise
from clustering.similarity.corpus_scale import CorpusScale

CHANCE = (3.0, 1.5)
"""Least worth of a pair that joins `by_mean_cosine`, in spreads: first strict, then loose."""
OWN = (0.85,)
"""Least probability of a pair that joins by the model's own judgement."""
MOST = 40_000
"""Most pairs that are kept of a corpus and a threshold."""
STEP_FACES, STEP_PAIRS = 1024, 3072
"""Edges of faces, and pairs of clusters, that a step sees."""
LEAST_STEPS = 24
"""Fewest steps of an epoch; if there are fewer corpora, it goes through them several times."""

Judge = Callable[[np.ndarray, CorpusScale], np.ndarray]
"""What pairs are worth, float [e], by their inputs [e, EDGE_INPUTS] and the scale of their corpus."""


@dataclass(frozen=True)
class PairExamples:
    """Pairs, and whether they are right.

    Attributes:
        inputs: float32 [m, EDGE_INPUTS].
        same: float32 [m]: 1 where both are of one identity, else 0.
    """

    inputs: Tensor
    same: Tensor

    @classmethod
    def of(cls, inputs: np.ndarray, same: np.ndarray, device: torch.device) -> PairExamples:
        """As tensors on a device."""
        return cls(torch.from_numpy(inputs).to(device), torch.from_numpy(same.astype(np.float32)).to(device))

    def some(self, count: int, random: np.random.Generator) -> PairExamples:
        """As many of them at random, with repetition."""
        rows = torch.from_numpy(random.integers(0, len(self.same), count)).to(self.same.device)
        return PairExamples(self.inputs[rows], self.same[rows])

    def loss(self, model: LinkageModel) -> Tensor:
        """Mean cross-entropy."""
        return F.binary_cross_entropy_with_logits(model.log_odds(self.inputs), self.same)


def learn_to_join(
    model: LinkageModel, parts: Sequence[tuple[KnnGraph, np.ndarray]], epochs: int, learning_rate: float, seed: int
) -> None:
    """Trains a model that sees no embedding, on several corpora.

    First it learns from single faces, so that faces can be blended. Then pairs are added that come up while clusters
    join by their mean cosine, and at last those that come up while clusters join by what it has learned. Faces are
    blended with the neighbours in the graph alone. A model that learns from filled-up lists is too sure of faces that a
    weak recogniser confuses.

    Args:
        model: The model to train.
        parts: Graphs, and the identities of their faces.
        epochs: Passes over all corpora in each of the three rounds; a pass has `LEAST_STEPS` or more.
        learning_rate: The highest of AdamW with a cosine schedule.
        seed: Seed of the order and of what is kept.
    """
    random, device = np.random.default_rng(seed), model.device
    faces = [faces_of(*part, device) for part in parts]
    pairs: list[list[PairExamples]] = [[] for _ in parts]  # of each corpus; the losses see what is added below
    losses = [partial(corpus_loss, model, *part, random) for part in zip(faces, pairs, strict=True)]
    losses = [each for each in losses for _ in range(-(-LEAST_STEPS // len(parts)))]
    optimise(model, losses, epochs, learning_rate, random, "Hi-LANDER")

    def by_model(inputs: np.ndarray, _: CorpusScale) -> np.ndarray:
        with torch.inference_mode():
            return model.log_odds(torch.from_numpy(inputs).to(device)).cpu().numpy()

    for judge, thresholds in ((by_mean_cosine, CHANCE), (by_model, tuple(logit(OWN)))):
        for (graph, identities), found in zip(parts, pairs, strict=True):
            level = Level.of_faces(graph)
            sums = blended(level.base, InOrder.of(either_way(sure_neighbors(level.graph, link(model, level)))))
            for least in thresholds:
                inputs, same = come_up(level, sums.copy(), identities, judge, least, random)
                found.append(PairExamples.of(inputs, same, device))
        optimise(model, losses, epochs, learning_rate, random, "Hi-LANDER")


def by_mean_cosine(inputs: np.ndarray, scale: CorpusScale) -> np.ndarray:
    """How many spreads the mean cosine between the faces of two clusters is above what chance gives."""
    median, spread = scale.usual
    return np.asarray((inputs[:, 1] - median) / spread)


def faces_of(graph: KnnGraph, identities: np.ndarray, device: torch.device) -> PairExamples:
    """The edges of a graph of single faces, which are not blended."""
    level = Level.of_faces(graph)
    valid = graph.valid
    same = identities[:, None] == identities[graph.neighbors]
    return PairExamples.of(edge_inputs(level)[valid], same[valid], device)


@dataclass
class _Record:
    """A judge that keeps what it is asked.

    Attributes:
        judge: The judge that it asks.
        scale: Of the corpus.
        identities: int64 [n], of the nodes of the present level.
        inputs: What it was asked, float32 [e, EDGE_INPUTS] each time.
        same: Bool [e] each time: whether both clusters of a pair are of one identity.
    """

    judge: Judge
    scale: CorpusScale
    identities: np.ndarray
    inputs: list[np.ndarray] = field(default_factory=list)
    same: list[np.ndarray] = field(default_factory=list)

    def __call__(self, sums: np.ndarray, sizes: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        self.inputs.append(pair_inputs(sums, sizes, i, j, self.scale))
        self.same.append(self.identities[i] == self.identities[j])
        return self.judge(self.inputs[-1], self.scale)

    def kept(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and truth of all pairs, or of `MOST` at random."""
        inputs, same = np.concatenate(self.inputs), np.concatenate(self.same)
        rows = random.permutation(len(same))[:MOST]
        return inputs[rows], same[rows]


def come_up(
    level: Level,
    sums: np.ndarray,
    identities: np.ndarray,
    judge: Judge,
    least: float,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs that are judged while faces join, as long as pairs are worth `least` or more.

    A cluster's identity is that of the face that it goes back to.

    Args:
        level: Of n faces.
        sums: float32 [n, d]: the faces, `blended`; overwritten.
        identities: int64 [n].
        judge: Says what pairs are worth.
        least: Least worth of a pair that joins.
        random: Draws the pairs that are kept if there are more than `MOST`.

    Returns:
        Inputs float32 [m, EDGE_INPUTS], and bool [m]: whether both are of one identity.
    """
    found, edges = _Record(judge, level.scale, identities), Edges.of(level.graph)
    while True:
        found.identities = identities[level.faces]
        joining = Joining(sums, level.sizes.copy(), edges.i, edges.j, found)
        joining.join(least)
        clusters, peaks = joining.clusters()
        if len(peaks) == len(clusters):
            return found.kept(random)
        level = merge(level, clusters, peaks, joining.sums[peaks], joining.sizes[peaks], "average", level.graph.k)
        sums, edges = level.sums.copy(), Edges.of(level.graph)


def corpus_loss(
    model: LinkageModel, faces: PairExamples, pairs: Sequence[PairExamples], random: np.random.Generator
) -> Tensor:
    """The loss of some edges between faces of a corpus, plus the mean loss of some of its pairs."""
    total = faces.some(STEP_FACES, random).loss(model)
    for part in pairs:
        total = total + part.some(STEP_PAIRS // len(pairs), random).loss(model) / len(pairs)
    return total
