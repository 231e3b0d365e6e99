"""The estimated quality of a clustering, for people to read and for meta.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustering.graph.knn_graph import KnnGraph
from clustering.quality.estimator import FIGURES, MOST_WIDENED, PEOPLE, Estimator, packaged
from clustering.quality.features import Corpus, features, in_order
from facerec.pipeline.values import as_labels, check_type

FEWEST = 50
"""Fewest readable faces."""
NEIGHBORS, FEWEST_NEIGHBORS = 10, 6
"""Neighbours that the graph should have, as in the simulated corpora, and the fewest that are enough like these."""
BROAD = 0.2
"""Half the width of an interval of pairwise F beyond which the estimate is called uncertain."""


@dataclass(frozen=True)
class Interval:
    """An estimate, and the ends of its 90 % interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Quality:
    """What is estimated of a clustering without labels.

    Attributes:
        figures: By name as in `eval.clusters.scores`: pairwise and BCubed precision, recall and F.
        people: How many people there are.
        unlike: Squared distance from the simulated corpora, as a multiple of that within which 99 % of these are. Above
            1 the intervals are wider by this factor, up to three times.
    """

    figures: Mapping[str, Interval]
    people: Interval
    unlike: float

    def say(self) -> str:
        """In one line."""
        f = self.figures
        low, high = (f"{round(end):,}" for end in (self.people.low, self.people.high))
        return (
            f"estimated without labels (90 % intervals): pairwise F {f['pairwise_f']}, precision "
            f"{f['pairwise_precision']}, recall {f['pairwise_recall']}; BCubed F {f['bcubed_f']}; "
            f"{round(self.people.estimate):,} people ({low} to {high})"
        )

    def doubt(self) -> str:
        """What speaks against relying on it, in one line; or nothing."""
        if self.unlike > 1:
            return (
                "this corpus is unlike those that the estimate was learned on (the squared distance is "
                f"{self.unlike:.3g} times that of 99 % of them): its intervals are "
                f"{min(self.unlike, MOST_WIDENED):.3g} times as wide; labels of some faces tell more (see python -m "
                "eval clusters)"
            )
        wide = self.figures["pairwise_f"]
        if wide.high - wide.low > 2 * BROAD:
            return "the estimate is uncertain: label some faces and score them with python -m eval clusters"
        return ""

    def as_json(self) -> dict[str, Any]:
        """For meta.json: estimate, low and high of each figure, rounded."""
        found = {name: _rounded(interval, 4) for name, interval in self.figures.items()}
        return {**found, PEOPLE: _rounded(self.people, None), "unlike_simulated": round(self.unlike, 3)}


def estimate_quality(
    graph: KnnGraph | Corpus, labels: np.ndarray, estimator: Estimator | None = None
) -> Quality | None:
    """Estimates precision and recall of a clustering, and the number of people, without labels.

    Unreadable faces are left out, unassigned ones (-1) are clusters of one. Where no two faces share a cluster the
    precision is 1, and where all do the recall is 1, by definition.

    Args:
        graph: Of n faces, best with `NEIGHBORS` neighbours or more; or a `Corpus`, which several clusterings can share.
        labels: int [n], clusters by any method, -1 for unassigned.
        estimator: By default the packaged one.

    Returns:
        None for fewer than `FEWEST` readable faces, or `FEWEST_NEIGHBORS` neighbours.

    Raises:
        InputError: Not a graph, or an invalid one, see `KnnGraph.check`; or labels that are no integers or of another
            number of faces.
    """
    given = graph.graph if isinstance(graph, Corpus) else graph
    check_type("graph", given, KnnGraph)
    if given is graph:
        graph = given = given.check()
    labels = as_labels("labels", labels, len(given))
    readable = given.readable
    faces = int(readable.sum())
    if faces < FEWEST or given.k < FEWEST_NEIGHBORS:
        return None
    corpus = graph if isinstance(graph, Corpus) else Corpus.of(graph.narrowed(NEIGHBORS))
    labels = in_order(labels, readable)
    found, unlike = (estimator or packaged()).intervals(features(corpus, labels)[None])
    intervals = {name: Interval(*map(float, row)) for name, row in zip((*FIGURES, PEOPLE), found[0], strict=True)}
    intervals |= _by_definition(labels, faces)
    share = intervals.pop(PEOPLE)
    people = (min(max(each * faces, 1.0), float(faces)) for each in (share.estimate, share.low, share.high))
    return Quality(intervals, Interval(*people), float(unlike[0]))


def _by_definition(labels: np.ndarray, faces: int) -> dict[str, Interval]:
    """Figures that need no estimate: precision if all faces are alone, recall if all are together."""
    largest = np.bincount(labels[labels >= 0], minlength=1).max()
    known = ["pairwise_precision", "bcubed_precision"] if largest <= 1 else []
    known = [*known, "pairwise_recall", "bcubed_recall"] if largest == faces else known
    return dict.fromkeys(known, Interval(1.0, 1.0, 1.0))


def _rounded(interval: Interval, digits: int | None) -> list[float]:
    return [round(value, digits) for value in (interval.estimate, interval.low, interval.high)]
