"""What the packaged linkage model thinks of a corpus and of any clustering of it.

Hi-LANDER joins clusters by the probability that they are one person. Here the same probabilities judge what has been
joined, by whatever method, and what has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import expit, logit

from clustering.backends.hilander.blending import blended, neighborhoods
from clustering.backends.hilander.inputs import face_inputs, log_odds
from clustering.backends.hilander.plain_model import PlainModel, packaged_model
from clustering.graph.edges import Edges
from clustering.graph.joining import Joining
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import cluster_sums, consecutive
from clustering.similarity.corpus_scale import CorpusScale

LEVELS = (0.98, 0.9, 0.75, 0.6, 0.4, 0.2, 0.05)
"""Probabilities at which references stop joining, from strict to loose."""
SLACK = 9.0
"""Edges whose log-odds are lower than a level's by more are forgotten."""
TINY = 1e-9


@dataclass(frozen=True)
class Linked:
    """A corpus as the model sees it.

    Attributes:
        model: That judges pairs.
        scale: Of the cosines.
        faces: float32 [n, d], blended with their sure neighbours, as in Hi-LANDER.
        edges: Of the graph.
        worth: float32 [e]: log-odds that both ends of an edge are one person.
    """

    model: PlainModel
    scale: CorpusScale
    faces: np.ndarray
    edges: Edges
    worth: np.ndarray

    @classmethod
    def of(cls, graph: KnnGraph, scale: CorpusScale) -> Linked:
        """Judges the edges of a graph."""
        model, graph = packaged_model(), scale.correct(graph)
        linkage = model.probability(face_inputs(graph.similarities.ravel(), scale)).reshape(graph.neighbors.shape)
        near = neighborhoods(graph.embeddings, graph, np.where(graph.valid, linkage, 0), model, scale)
        faces, edges = blended(graph.embeddings, near), Edges.of(graph)
        worth = log_odds(model, scale, faces, np.ones(len(faces), np.float32), edges.i, edges.j)
        return cls(model, scale, faces, edges, worth)

    def references(self) -> list[np.ndarray]:
        """Clusterings that join pairs, the likeliest first, down to each of `LEVELS`; int64 [n], consecutive."""
        judged = partial(log_odds, self.model, self.scale)
        ones = np.ones(len(self.faces), np.float32)
        tree = Joining(self.faces.copy(), ones, self.edges.i, self.edges.j, judged, self.worth)
        found = []
        for level in LEVELS:
            tree.join(float(logit(level)), slack=SLACK)
            found.append(consecutive(tree.clusters()[0]))
        return found

    def belonging(self, sums: np.ndarray, sizes: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Float64 [n]: the probability that a face is the person of the rest of its cluster; 1 for a face alone."""
        rows, found = np.flatnonzero(sizes[labels] > 1), np.ones(len(labels))
        rest, places = sums[labels[rows]] - self.faces[rows], np.arange(len(rows))
        both = np.concatenate([self.faces[rows], rest])
        numbers = np.concatenate([np.ones(len(rows)), sizes[labels[rows]] - 1]).astype(np.float32)
        found[rows] = expit(log_odds(self.model, self.scale, both, numbers, places, len(rows) + places))
        return found

    def evidence(self, labels: np.ndarray, sure: np.ndarray) -> list[float]:
        """Precision, recall and people as the model expects them, see `EVIDENCE`.

        With cluster c of n_c faces, its mean probability of belonging b_c, its mean confidence s_c, and the
        probability q_cd that clusters c and d, which an edge connects, are one person:

        - of the edges: the expected share of right ones within clusters, and the share of right ones that is within;
        - from s: its mean over faces, of BCubed precision ``mean(s_c^2)`` over faces, of pairwise over pairs;
        - from b: likewise, and pairwise ``mean(b_c)`` over pairs;
        - with ``m_c = sum_d q_cd n_d`` missed mates: pairwise and BCubed recall;
        - the mean over faces of ``max_d q_cd``;
        - people: ``sum_c 1 / (1 + sum_d q_cd)``, a cluster and a face, logarithm.

        Args:
            labels: int64 [n], consecutive from 0, none unassigned.
            sure: float64 [n], the confidence of each face.
        """
        n, sizes = len(labels), np.bincount(labels).astype(np.float32)
        count, pairs = len(sizes), sizes * (sizes - 1.0)
        sums = cluster_sums(self.faces, labels)
        right = expit(self.worth.astype(np.float64))
        i, j = labels[self.edges.i], labels[self.edges.j]
        inside = i == j
        belongs = self.belonging(sums, sizes, labels)
        own, trust = np.bincount(labels, belongs) / sizes, np.bincount(labels, sure) / sizes
        a, b = np.divmod(np.unique(np.sort([i[~inside], j[~inside]], axis=0).T @ [count, 1]), count)
        same = expit(log_odds(self.model, self.scale, sums, sizes, a, b).astype(np.float64))
        missed = np.bincount(a, same * sizes[b], count) + np.bincount(b, same * sizes[a], count)
        others = np.bincount(a, same, count) + np.bincount(b, same, count)
        best = np.zeros(count)
        np.maximum.at(best, np.concatenate([a, b]), np.concatenate([same, same]))
        mates = (sizes - 1) * own
        return [
            _share(right[inside].sum(), inside.sum()), _share(right[inside].sum(), right.sum()),
            sure.mean(), (sizes * trust**2).sum() / n, _share((pairs * trust**2).sum(), pairs.sum()),
            belongs.mean(), (sizes * own**2).sum() / n, _share((pairs * own).sum(), pairs.sum()),
            _share((sizes * mates).sum(), (sizes * (mates + missed)).sum()),
            (sizes * (1 + mates) / (1 + mates + missed)).sum() / n, (best * sizes).sum() / n,
            (1 / (1 + others)).mean(), np.log((1 / (1 + others)).sum() / n),
        ]  # fmt: skip


EVIDENCE = (
    "edges right", "edges within", "confidence", "Pb by confidence", "Pp by confidence", "belonging",
    "Pb by belonging", "Pp by belonging", "Rp by joins", "Rb by joins", "next join",
    "people a cluster", "people a face",
)  # fmt: skip


def _share(part: float, whole: float) -> float:
    """Part of a whole; 1 where there is nothing."""
    return float(part / whole) if whole > TINY else 1.0
