"""What can be seen of a clustering's quality without labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import cluster_sums, consecutive, own_cluster_size
from clustering.quality.nested_cuts import NEIGHBORS, PLACES, Cuts, nested_cuts
from clustering.similarity.centres import mean_pair_cosine
from clustering.similarity.confidence import evidence
from eval.clusters.agreement import bcubed, pairwise
from eval.clusters.contingency import contingency
from facerec.pipeline.files import blocks

SQUEEZE = 0.01
"""`squeezed` keeps shares this far from 0 and 1."""
GAPS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles of cosines with the first neighbour, and of first less last neighbour."""
TAILS, TAIL_CUTS, COMPANY = (0.05, 0.2, 0.5), (1, 3, 5), 4
"""Quantiles of the cosines of faces with the rest of their cluster, in some cuts, over clusters of `COMPANY` faces or
more. If a threshold has cut genuine faces off, the lower quantiles are near the threshold."""


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
    """A graph with what all its clusterings are compared with.

    Attributes:
        graph: Of n faces.
        scale: Of their cosines.
        cuts: Reference clusterings from strict to loose.
    """

    graph: KnnGraph
    scale: CorpusScale
    cuts: Cuts

    @classmethod
    def of(cls, graph: KnnGraph) -> Corpus:
        """Makes the reference clusterings."""
        scale = CorpusScale.of(graph)
        return cls(graph, scale, nested_cuts(graph, scale))

    @cached_property
    def features(self) -> np.ndarray:
        """Float64 [CORPUS]: of the corpus alone, see `names`."""
        graph, (location, spread) = self.graph, self.scale.usual
        faces = max(int(graph.readable.sum()), 1)
        valid = graph.valid[:, : min(graph.k, NEIGHBORS)]
        near = self.scale.corrected(graph.similarities[:, : valid.shape[1]])
        rows = valid.all(axis=1)
        first, last = (near[rows][:, [0, -1]] if rows.any() else np.zeros((1, 2))).T
        shape = [
            np.log(faces), np.log(graph.embeddings.shape[1]), location, spread, self.scale.common,
            *np.quantile(first, GAPS), *np.quantile(first - last, GAPS), *(self.cuts.thresholds[[0, -1]]),
        ]  # fmt: skip
        sizes = [np.bincount(labels[labels >= 0], minlength=1) for labels in self.cuts.labels]
        per_cut = [(np.log(max(len(s), 1) / faces), _log_pairs(s), np.mean(s == 1)) for s in sizes]
        return np.array([*shape, *np.ravel(per_cut), *np.ravel([self._tail(self.cuts.labels[j]) for j in TAIL_CUTS])])

    def _tail(self, labels: np.ndarray) -> list[float]:
        """Of the clusters of `COMPANY` faces or more: `TAILS` of mean cosines, their share of all, and their number."""
        sizes, faces = own_cluster_size(labels), max(int(np.count_nonzero(labels >= 0)), 1)  # the readable ones
        rows = np.flatnonzero(sizes >= COMPANY)
        if not len(rows):
            return [1.0] * len(TAILS) + [0.0, np.log(0.1 / faces)]
        large = consecutive(np.where(sizes >= COMPANY, labels, -1))
        sums = cluster_sums(self.graph.embeddings, large)
        dots = np.einsum("nd,nd->n", sums[large[rows]], self.graph.embeddings[rows])
        cosines = self.scale.corrected((dots - 1) / (sizes[rows] - 1))
        return [*np.quantile(cosines, TAILS), len(rows) / faces, np.log(len(sums) / faces)]


def names() -> list[str]:
    """The names of a clustering's features, in the order of `features`."""
    corpus = ["log faces", "log dimension", "location", "spread", "common"]
    corpus += [f"first neighbour {share}" for share in GAPS] + [f"first less last neighbour {share}" for share in GAPS]
    corpus += ["strictest cut", "loosest cut"]
    corpus += [f"{what} of cut {place}" for place in PLACES for what in ("clusters", "pairs", "alone")]
    tails = [*(f"cosine to the rest {share}" for share in TAILS), "share in company", "companies"]
    corpus += [f"{what} of cut {PLACES[j]}" for j in TAIL_CUTS for what in tails]
    own = [f"{what} by cut {place}" for place in PLACES for what in ("Pp", "Rp", "Pb", "Rb")]
    own += ["clusters", "pairs", "alone", "largest", "pair cosine", "pair cosine by face", "cosine to the rest"]
    return [*corpus, *own, "margin", "inside", "next cluster", "next cluster above chance"]


def features(corpus: Corpus, labels: np.ndarray) -> np.ndarray:
    """Float64 [features], see `names`.

    Args:
        corpus: Of n faces.
        labels: int64 [n], consecutive from 0, -1 for unassigned.
    """
    readable = corpus.graph.readable
    faces, sizes = max(int(readable.sum()), 1), np.bincount(labels[labels >= 0], minlength=1)
    alone = int(np.count_nonzero(sizes == 1)) + int(np.count_nonzero(readable & (labels < 0)))
    agreement = []
    for reference in corpus.cuts.labels:
        table = contingency(reference[readable], labels[readable])
        agreement += [*pairwise(table)[1:], *bcubed(table)[1:]]
    clusters = int(np.count_nonzero(sizes)) + int(np.count_nonzero(readable & (labels < 0)))
    own = [np.log(clusters / faces), _log_pairs(sizes), alone / faces, sizes.max() / faces]
    return np.array([*corpus.features, *squeezed(np.array(agreement)), *own, *_cosines(corpus, labels)])


def _cosines(corpus: Corpus, labels: np.ndarray) -> list[float]:
    """Mean cosines within the clusters and with the nearest linked one, corrected, and the evidence of `Confidence`."""
    graph, scale = corpus.graph, corpus.scale
    sums, sizes = cluster_sums(graph.embeddings, labels), np.bincount(labels[labels >= 0], minlength=1)
    several = np.flatnonzero(sizes > 1)
    pair = scale.corrected(mean_pair_cosine(sums[several], sizes[several])) if len(several) else np.zeros(0)
    found, alone = evidence(graph, labels)
    company = found[~alone].mean(axis=0) if not alone.all() else np.zeros(3)
    following = _next_cosine(corpus, labels, sums, sizes)
    location, spread = scale.usual
    return [
        _mean(pair, sizes[several] * (sizes[several] - 1.0)), _mean(pair, sizes[several]), *map(float, company),
        following, (following - location) / spread,
    ]  # fmt: skip


def _next_cosine(corpus: Corpus, labels: np.ndarray, sums: np.ndarray, sizes: np.ndarray) -> float:
    """The corrected mean cosine of a cluster with the nearest one that an edge leads to, averaged over faces."""
    graph = corpus.graph
    best = np.full(len(sizes), -1.0)
    near, number = graph.neighbors[:, :NEIGHBORS], len(sizes)
    rows, columns = np.nonzero((near >= 0) & (labels[:, None] >= 0))
    one, other = labels[rows], labels[near[rows, columns]]
    crossing = (other >= 0) & (one != other)
    keys = np.unique(one[crossing] * number + other[crossing])
    for some in blocks(keys):
        a, b = np.divmod(some, number)
        cosines = np.einsum("pd,pd->p", sums[a], sums[b]) / (sizes[a] * sizes[b])
        np.maximum.at(best, a, cosines)
        np.maximum.at(best, b, cosines)
    seen = np.flatnonzero(best > -1)
    return _mean(corpus.scale.corrected(best[seen]), sizes[seen])


def _log_pairs(sizes: np.ndarray) -> float:
    """Logarithm of 0.1 plus the mean number of other faces in a face's cluster."""
    sizes = sizes.astype(np.float64)
    return float(np.log(np.sum(sizes * (sizes - 1)) / max(sizes.sum(), 1) + 0.1))


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float(np.average(values, weights=weights)) if len(values) else 0.0


def in_order(labels: np.ndarray, readable: np.ndarray) -> np.ndarray:
    """Labels as `features` wants them: consecutive, unreadable faces unassigned."""
    return consecutive(np.where(readable, labels, -1))
