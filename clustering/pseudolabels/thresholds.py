"""The thresholds of the rules that look at embeddings, from how alike people are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.partition import own_cluster_size
from clustering.pseudolabels.rules import PseudoLabelRule
from clustering.similarity.likeness import Likeness

SIMILARITY_RULES = ("split", "merge", "outliers")
MERGE_RATE = 0.2
"""The false match rate of `merge` as a share of that of the other rules: a wrong merge ruins two clusters. It was
chosen on the validation people of the rendered corpus and on celeba299, see docs/lab/pseudo-labels.md."""
MOST_LOST = 0.3
"""Share of the right faces of a calibration that `split` and `outliers` may cost. With a weak recogniser a small false
match rate would cost most of them. Set by judgement, not measured."""
MOST_LOST_OF_CLUSTERS = 0.5
"""The same without a calibration. It is larger because clusters with wrong faces in them make the right faces look less
alike. Set by judgement, not measured."""


def measure_likeness(graph: KnnGraph, labels: np.ndarray, people: LabelledFaces | None) -> Likeness:
    """How alike people are: measured on labelled faces, or estimated from the clusters."""
    if people is None:
        return Likeness.of_clusters(graph.embeddings, labels)
    return Likeness.of_people(*people).symmetrised()


def mending_rules(
    wanted: Sequence[str], likeness: Likeness | None, false_match: float, labels: np.ndarray, calibrated: bool
) -> list[PseudoLabelRule]:
    """The rules on embeddings, in the order of `SIMILARITY_RULES`.

    `split` and `outliers` have the smaller of two thresholds: that of `false_match`, and that which costs a share
    `MOST_LOST` of the right faces. `merge` has that of ``MERGE_RATE * false_match``.

    Args:
        wanted: Some of `SIMILARITY_RULES`.
        likeness: How alike people are; None if no rule is wanted.
        false_match: Share of the faces that may be as near to another identity's centre as the threshold.
        labels: int64 [n], the clusters; those of two faces or more are the population of the thresholds.
        calibrated: Whether likeness was measured on labelled faces.
    """
    if likeness is None:
        return []
    population = len(np.unique(labels[own_cluster_size(labels) > 1]))
    lost = MOST_LOST if calibrated else MOST_LOST_OF_CLUSTERS
    strict = min(likeness.threshold(false_match, population), likeness.genuine_quantile(lost))
    merge = likeness.threshold(MERGE_RATE * false_match, population)
    thresholds = {"split": strict, "merge": merge, "outliers": strict}
    return [PseudoLabelRule(name, thresholds[name]) for name in SIMILARITY_RULES if name in wanted]
