"""Examples to learn from: clusterings of simulated corpora, what is seen of them, and how good they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clustering.graph.knn_graph import DEFAULT_K, KnnGraph
from clustering.quality.estimator import FIGURES
from clustering.quality.features import Corpus, features, in_order
from clustering.quality.simulated_clusterings import clusterings
from clustering.quality.simulated_corpora import corpus
from eval.clusters import scores

OTHERS = 6


@dataclass(frozen=True)
class Examples:
    """Clusterings of known quality.

    Attributes:
        features: float64 [m, features].
        figures: float64 [m, 6], of `FIGURES`.
        people: float64 [m], identities per face.
        corpus: int64 [m], the number of the corpus.
    """

    features: np.ndarray
    figures: np.ndarray
    people: np.ndarray
    corpus: np.ndarray

    def table(self) -> np.ndarray:
        """All as one float64 [m, features + 8]."""
        return np.column_stack([self.features, self.figures, self.people, self.corpus])

    @classmethod
    def of_table(cls, table: np.ndarray) -> Examples:
        """What `table` gave."""
        return cls(table[:, :-8], table[:, -8:-2], table[:, -2], table[:, -1].astype(np.int64))


def examples(first: int, last: int, seed: int) -> Examples:
    """Simulated corpora by number, each with Hi-LANDER's clustering and `OTHERS` more.

    Args:
        first: The number of the first one.
        last: The number after the last one.
        seed: Seed of the simulation; a corpus depends on it and on its number alone.
    """
    rows = []
    for number in range(first, last):
        random = np.random.default_rng((seed, number))
        faces = corpus(random)
        graph = KnnGraph.build(faces.embeddings, min(DEFAULT_K, len(faces.labels) - 1))
        seen = Corpus.of(graph)
        made = clusterings(graph, faces.labels, seen.cuts, OTHERS, random)
        rows += [(number, *example(seen, labels, faces.labels)) for labels in made.values()]
    numbers, found, figures, people = (np.array(column) for column in zip(*rows, strict=True))
    return Examples(found, figures, people, numbers)


def example(seen: Corpus, labels: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, list[float], float]:
    """Features of a clustering, its figures, and identities per face; int64 [n] each."""
    labels = in_order(labels, seen.graph.readable)
    score: Mapping[str, float] = scores(truth, labels)
    return features(seen, labels), [score[name] for name in FIGURES], score["identities"] / len(labels)
