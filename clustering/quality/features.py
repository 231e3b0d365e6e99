"""What can be seen of a clustering's quality without labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clustering.backends.hilander.plain_model import packaged_confidence
from clustering.graph.edges import reordered
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import cluster_sums, consecutive
from clustering.quality.linked import EVIDENCE, LEVELS, Linked
from clustering.quality.strangers import STRANGERS, strangers
from clustering.similarity.centres import mean_pair_cosine
from clustering.similarity.confidence import evidence
from clustering.similarity.corpus_scale import CorpusScale
from eval.clusters.agreement import bcubed, pairwise
from eval.clusters.contingency import contingency
from facerec.pipeline.files import blocks

SQUEEZE = 0.01
"""`squeezed` keeps shares this far from 0 and 1."""
GAPS = (0.1, 0.25, 0.5, 0.75, 0.9)
NEIGHBORS = 8
USUAL = LEVELS.index(0.6)
"""The reference that is looked at more closely, for what it tells of the corpus: Hi-LANDER's own threshold."""


def squeezed(shares: np.ndarray) -> np.ndarray:
    """Shares in [0, 1] on the logit scale: ``logit(e + (1 - 2 e) p)`` with e `SQUEEZE`."""
    inside = SQUEEZE + (1 - 2 * SQUEEZE) * np.asarray(shares, dtype=np.float64)
    return np.asarray(np.log(inside / (1 - inside)))


def unsqueezed(logits: np.ndarray) -> np.ndarray:
    """The inverse of `squeezed`, within [0, 1]."""
    inside = 1 / (1 + np.exp(-np.asarray(logits, dtype=np.float64)))
    return np.asarray(np.clip((inside - SQUEEZE) / (1 - 2 * SQUEEZE), 0, 1))


@dataclass(frozen=True)
class Corpus:
    """A corpus with what all its clusterings are compared with.

    Attributes:
        rows: int64 [n]: the readable faces of the graph that it was made of.
        graph: Of these n faces.
        scale: Of their cosines.
        linked: What the linkage model thinks of them.
        references: Clusterings from strict to loose, int64 [n] each.
    """

    rows: np.ndarray
    graph: KnnGraph
    scale: CorpusScale
    linked: Linked
    references: list[np.ndarray]

    @classmethod
    def of(cls, graph: KnnGraph) -> Corpus:
        """Makes the reference clusterings."""
        rows = np.flatnonzero(graph.readable)
        graph = graph if len(rows) == len(graph) else reordered(graph, rows)
        scale = CorpusScale.of(graph)
        linked = Linked.of(graph, scale)
        return cls(rows, graph, scale, linked, linked.references())

    def own(self, labels: np.ndarray) -> np.ndarray:
        """Labels as `features` wants them: of readable faces, consecutive, each unassigned face a cluster of one."""
        own = np.asarray(labels)[self.rows]
        return consecutive(np.where(own < 0, own.max(initial=0) + 1 + np.arange(len(own)), own))

    @cached_property
    def features(self) -> np.ndarray:
        """Float64 [CORPUS]: of the corpus alone, see `names`."""
        graph, (location, spread) = self.graph, self.scale.usual
        valid = graph.valid[:, : min(graph.k, NEIGHBORS)]
        near = self.scale.corrected(graph.similarities[:, : valid.shape[1]])
        rows = valid.all(axis=1)
        first, last = (near[rows][:, [0, -1]] if rows.any() else np.zeros((1, 2))).T
        shape = [
            np.log(max(len(graph), 1)), np.log(graph.embeddings.shape[1]), location, spread, self.scale.common,
            *np.quantile(first, GAPS), *np.quantile(first - last, GAPS),
        ]  # fmt: skip
        sizes = [np.bincount(labels) for labels in self.references]
        by_level = [(np.log(len(s) / len(graph)), _log_pairs(s), np.mean(s == 1)) for s in sizes]
        usual = self.references[USUAL]
        seen, alone = evidence(graph, usual)
        return np.array([*shape, *np.ravel(by_level), *self.judged(usual, confidence(seen, alone))])

    def judged(self, labels: np.ndarray, sure: np.ndarray) -> list[float]:
        """What the model and the cosines of strangers say of a clustering and the confidence of its faces."""
        return [*self.linked.evidence(labels, sure), *strangers(self.graph.embeddings, labels, self.scale)]


def names() -> list[str]:
    """Of the features of a clustering, in the order of `features`."""
    corpus = ["log faces", "log dimension", "location", "spread", "common"]
    corpus += [f"first neighbour {share}" for share in GAPS] + [f"first less last neighbour {share}" for share in GAPS]
    corpus += [f"{what} at {level}" for level in LEVELS for what in ("clusters", "pairs", "alone")]
    judged = [*EVIDENCE, *STRANGERS]
    own = [f"{what} by {level}" for level in LEVELS for what in ("Pp", "Rp", "Pb", "Rb")]
    own += ["clusters", "pairs", "alone", "largest", "pair cosine", "pair cosine by face", "cosine to the rest"]
    own += ["margin", "inside", "next cluster", "next cluster above chance"]
    return [*corpus, *(f"{name} of the usual" for name in judged), *own, *judged]


def features(corpus: Corpus, labels: np.ndarray) -> np.ndarray:
    """Float64 [features], see `names`.

    Args:
        corpus: Of n faces.
        labels: int64 [n], as `Corpus.own` returns them.
    """
    faces, sizes = len(labels), np.bincount(labels)
    agreement = []
    for reference in corpus.references:
        table = contingency(reference, labels)
        agreement += [*pairwise(table)[1:], *bcubed(table)[1:]]
    own = [np.log(len(sizes) / faces), _log_pairs(sizes), np.mean(sizes == 1) * len(sizes) / faces, sizes.max() / faces]
    seen, alone = evidence(corpus.graph, labels)
    company = seen[~alone].mean(axis=0) if not alone.all() else np.zeros(3)
    return np.array([
        *corpus.features, *squeezed(np.array(agreement)), *own, *_pair_cosines(corpus, labels, sizes),
        *map(float, company), *_next_cosine(corpus, labels, sizes), *corpus.judged(labels, confidence(seen, alone)),
    ])  # fmt: skip


def confidence(seen: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """Float64 [n], by the packaged function, of what `evidence` returns; 1 for a face alone."""
    return np.where(alone, 1.0, packaged_confidence().probability(seen))


def _pair_cosines(corpus: Corpus, labels: np.ndarray, sizes: np.ndarray) -> list[float]:
    """Means of the corrected cosines within clusters, over pairs and over faces."""
    sums, several = cluster_sums(corpus.graph.embeddings, labels), np.flatnonzero(sizes > 1)
    if not len(several):
        return [0.0, 0.0]
    pair = corpus.scale.corrected(mean_pair_cosine(sums[several], sizes[several]))
    return [_mean(pair, sizes[several] * (sizes[several] - 1.0)), _mean(pair, sizes[several])]


def _next_cosine(corpus: Corpus, labels: np.ndarray, sizes: np.ndarray) -> list[float]:
    """The mean over faces of the corrected mean cosine of their cluster with the nearest that an edge leads to.

    As it is, and in spreads above what chance gives.
    """
    best, number = np.full(len(sizes), -1.0), len(sizes)
    sums, edges = cluster_sums(corpus.graph.embeddings, labels), corpus.linked.edges
    ends = np.sort([labels[edges.i], labels[edges.j]], axis=0)
    for some in blocks(np.unique(ends[:, ends[0] != ends[1]].T @ [number, 1])):
        a, b = np.divmod(some, number)
        cosines = np.einsum("pd,pd->p", sums[a], sums[b]) / (sizes[a] * sizes[b])
        np.maximum.at(best, a, cosines)
        np.maximum.at(best, b, cosines)
    seen, (location, spread) = np.flatnonzero(best > -1), corpus.scale.usual
    following = _mean(corpus.scale.corrected(best[seen]), sizes[seen])
    return [following, (following - location) / spread]


def _log_pairs(sizes: np.ndarray) -> float:
    """Logarithm of the mean number of mates that a face has, and a tenth."""
    sizes = sizes.astype(np.float64)
    return float(np.log(np.sum(sizes * (sizes - 1)) / max(sizes.sum(), 1) + 0.1))


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float(np.average(values, weights=weights)) if len(values) else 0.0
