"""Learning to judge pairs, from the pairs that are compared while clusters of known identity join."""

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
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.edges import Edges
from clustering.graph.joining import Joining
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.optimisation import optimise

CHANCE_WORTH = (3.0, 1.5)
"""Least worth of a pair that joins in `by_mean_cosine`, in spreads of strangers' cosines: first strict, then loose."""
OWN_PROBABILITY = (0.85,)
"""Least probability of a pair that joins by the model's own judgement."""
MOST_PAIRS = 40_000
"""Most pairs that are kept for each corpus and threshold."""
STEP_FACES, STEP_PAIRS = 1024, 3072
"""Edges between faces, and pairs of clusters, in a training step."""
LEAST_STEPS = 24
"""Fewest steps of an epoch. With fewer corpora an epoch goes through them several times."""

Judge = Callable[[np.ndarray, CorpusScale], np.ndarray]
"""A function from the inputs of pairs, [e, EDGE_INPUTS], and the scale of their corpus to their worth, float [e]."""


@dataclass(frozen=True)
class PairExamples:
    """Pairs, and whether each is of one identity.

    Attributes:
        inputs: float32 [m, EDGE_INPUTS].
        same: float32 [m]: 1 where both are of one identity, else 0.
    """

    inputs: Tensor
    same: Tensor

    @classmethod
    def of(cls, inputs: np.ndarray, same: np.ndarray, device: torch.device) -> PairExamples:
        """Moves the arrays to a device."""
        return cls(torch.from_numpy(inputs).to(device), torch.from_numpy(same.astype(np.float32)).to(device))

    def some(self, count: int, random: np.random.Generator) -> PairExamples:
        """Draws examples at random, with replacement."""
        rows = torch.from_numpy(random.integers(0, len(self.same), count)).to(self.same.device)
        return PairExamples(self.inputs[rows], self.same[rows])

    def loss(self, model: LinkageModel) -> Tensor:
        """Mean cross-entropy."""
        return F.binary_cross_entropy_with_logits(model.log_odds(self.inputs), self.same)


def learn_to_join(
    model: LinkageModel, parts: Sequence[tuple[KnnGraph, np.ndarray]], epochs: int, learning_rate: float, seed: int
) -> None:
    """Trains a model that sees no embedding, on several corpora.

    It learns in three rounds. The first is on edges between single faces, so that faces can be blended. The second adds
    pairs that are compared while clusters join by mean cosine. The third adds pairs that are compared while clusters
    join by the model's own judgement. Faces are blended with their neighbours in the graph alone: a model that learns
    from filled-up lists is too sure of faces that a weak recogniser confuses.

    Args:
        model: The model to train.
        parts: Graphs, and the identities of their faces.
        epochs: Passes over all corpora in each of the three rounds; a pass has `LEAST_STEPS` or more.
        learning_rate: The highest of AdamW with a cosine schedule.
        seed: Seed of the order and of what is kept.
    """
    random, device = np.random.default_rng(seed), model.device
    faces = [face_pairs(*part, device) for part in parts]
    pairs: list[list[PairExamples]] = [[] for _ in parts]  # of each corpus; the losses see what is added below
    losses = [partial(corpus_loss, model, *part, random) for part in zip(faces, pairs, strict=True)]
    losses = [each for each in losses for _ in range(-(-LEAST_STEPS // len(parts)))]
    optimise(model, losses, epochs, learning_rate, random, "Hi-LANDER")

    def by_model(inputs: np.ndarray, _: CorpusScale) -> np.ndarray:
        with torch.inference_mode():
            return model.log_odds(torch.from_numpy(inputs).to(device)).cpu().numpy()

    for judge, thresholds in ((by_mean_cosine, CHANCE_WORTH), (by_model, tuple(logit(OWN_PROBABILITY)))):
        for (graph, identities), found in zip(parts, pairs, strict=True):
            level = Level.of_faces(graph)
            sums = blended(level.base, InOrder.of(either_way(sure_neighbors(level.graph, link(model, level)))))
            for least in thresholds:
                inputs, same = pairs_while_joining(level, sums.copy(), identities, judge, least, random)
                found.append(PairExamples.of(inputs, same, device))
        optimise(model, losses, epochs, learning_rate, random, "Hi-LANDER")


def by_mean_cosine(inputs: np.ndarray, scale: CorpusScale) -> np.ndarray:
    """Mean cosine between the faces of two clusters, less that of strangers, in spreads of strangers' cosines."""
    median, spread = scale.usual
    return np.asarray((inputs[:, 1] - median) / spread)


def face_pairs(graph: KnnGraph, identities: np.ndarray, device: torch.device) -> PairExamples:
    """The edges between single faces of a graph; the faces are not blended."""
    level = Level.of_faces(graph)
    valid = graph.valid
    same = identities[:, None] == identities[graph.neighbors]
    return PairExamples.of(edge_inputs(level)[valid], same[valid], device)


@dataclass
class _Record:
    """A `Worth` function that records all pairs it is called with.

    Attributes:
        judge: Gives the worth of the pairs.
        scale: Scale of the corpus.
        identities: int64 [n], identities of the nodes of the present level.
        inputs: float32 [e, EDGE_INPUTS] of each call.
        same: Bool [e] of each call: whether both clusters of a pair are of one identity.
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
        """Inputs and truth of the recorded pairs, or of `MOST_PAIRS` of them at random."""
        inputs, same = np.concatenate(self.inputs), np.concatenate(self.same)
        rows = random.permutation(len(same))[:MOST_PAIRS]
        return inputs[rows], same[rows]


def pairs_while_joining(
    level: Level,
    sums: np.ndarray,
    identities: np.ndarray,
    judge: Judge,
    least: float,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs that are compared while faces join, until no pair is worth `least` or more.

    A cluster counts as of the identity of the face that it started from.

    Args:
        level: Of n faces.
        sums: float32 [n, d]: the faces, `blended`; overwritten.
        identities: int64 [n].
        judge: Gives the worth of pairs.
        least: Least worth of a pair that joins.
        random: Draws the pairs that are kept if there are more than `MOST_PAIRS`.

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
