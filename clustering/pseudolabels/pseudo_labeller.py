"""Turns clusters into pseudo-labels: labels and weights that a recogniser is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np

from clustering.graph.constraints import Constraints
from clustering.partition import consecutive
from clustering.pseudolabels.evidence import Evidence
from clustering.pseudolabels.inputs import Faces, clustered, known_people, marks, with_confirmed
from clustering.pseudolabels.labelled_people import LEAST_PEOPLE, find_labelled_people, without_labelled
from clustering.pseudolabels.overlap import ACTIONS, agreeing, with_labelled_people, without_labelled_people
from clustering.pseudolabels.rules import PseudoLabelRule, apply
from clustering.pseudolabels.summary import summarise
from clustering.pseudolabels.thresholds import SIMILARITY_RULES, measure_likeness, mending_rules
from clustering.settings import Count, Parameters, Share, Within, check_choice, check_number
from clustering.similarity.centres import cosine_to_rest_of_cluster
from clustering.similarity.likeness import Likeness
from facerec.pipeline.files import InputError
from facerec.pipeline.values import as_labels, shown


@dataclass
class PseudoLabeller(Parameters):
    """Makes pseudo-labels of clusters: mends clusters, drops what is doubtful, numbers the rest from 0.

        labeller = PseudoLabeller(min_size=4, false_match=0.05)
        y, w = labeller.fit_transform(X, labels)

    Attributes:
        min_size: Smaller clusters are dropped.
        max_size: Larger clusters are dropped, because they may be mixtures.
        min_confidence: Faces with a lower confidence are dropped.
        rules: Which of split, merge and outliers to use; by default all with embeddings, none without.
        false_match: Sets the threshold of the rules: at most this share of the faces may be as near to the centre of a
            wrong identity. The threshold is lowered if it would drop more than 30 % of the right faces of the
            calibration, or without a calibration more than half of the clusters' faces.
        duplicates: If faces of a cluster have this cosine or more with each other, only the first of them is kept.
        overlap: What to do with unlabelled faces of labelled people: drop; merge (into the labelled class, see
            same_as.npy); or keep.
        overlap_false_match: Share of other people's faces that may be mistaken for a labelled person. It is measured
            on the calibration, less people who share a face with the labelled people, or else on the labelled people.
        summary_: Faces used, clusters, their sizes, and what each rule did; for JSON.
        same_as_: int64 [classes], the labelled class that each class is the same as, or -1.
    """

    name: ClassVar[str] = "PseudoLabeller"

    min_size: Count = 2
    max_size: Annotated[int | None, Within(1)] = None
    min_confidence: Share = 0.0
    rules: list[str] | None = None
    false_match: Share = 0.05
    duplicates: Annotated[float | None, Within(-1, 1)] = None
    overlap: str = "drop"
    overlap_false_match: Share = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_size is not None:
            check_number("max_size", self.max_size, self.min_size)
        check_choice("overlap", self.overlap, list(ACTIONS))
        if not isinstance(self.rules, list | tuple | None):
            raise InputError(f"rules is {shown(self.rules)}; it must be a list of {', '.join(SIMILARITY_RULES)}")
        for rule in self.rules or []:
            check_choice("a rule", rule, SIMILARITY_RULES)

    def fit_transform(
        self,
        X: Any,
        labels: Any,
        confidence: Any = None,
        calibration: Faces | None = None,
        labelled: Faces | None = None,
        kept: Any = None,
        truth: Any = None,
        known: Constraints | None = None,
        dropped: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Makes the labels and weights, and sets ``summary_`` and ``same_as_``.

        Args:
            X: Embeddings [n, d], or their `KnnGraph`. With None only sizes and confidence are used.
            labels: int [n], clusters; negative for unassigned.
            confidence: float [n] in [0, 1], the backend's confidence; None if it has none.
            calibration: Labelled faces on which thresholds are measured, preferably of people whom the recogniser has
                not seen. By default thresholds are estimated from the clusters.
            labelled: Labelled faces by the same recogniser. Their people are searched for among the n faces. They may
                also be the calibration.
            kept: Bool [n], faces of clusters that a person has confirmed. They stay unchanged, with weight 1. Only
                duplicates, min_size and overlap can drop some of them.
            truth: int [n] identities, -1 for unknown; used for the summary only.
            known: Answers of a person about pairs of faces. No rule separates or drops faces that are the same person,
                and none joins different people. Only duplicates, max_size, min_size and overlap can drop some of them.
            dropped: Bool [n], faces that a person does not want to use.

        Returns:
            The labels, int64 [n], consecutive from 0, -1 for faces that are not used; and their weights, float32 [n] in
            [0, 1].

        Raises:
            InputError: Arrays that do not fit, no embeddings where a rule needs them, no labelled faces where `overlap`
                is set, or answers that contradict each other.
        """
        self.__post_init__()  # checks settings that were changed since
        if labelled is None and self.overlap != PseudoLabeller.overlap:
            raise InputError(f"overlap is {self.overlap!r}, but no labelled faces are given, as labelled")
        found, evidence = clustered(X, labels, confidence)
        unwanted = marks("dropped", dropped, len(found))
        found = consecutive(np.where(unwanted, -1, found))
        certain = marks("kept", kept, len(found)) & (found >= 0)
        evidence = replace(evidence, known=with_confirmed(known, certain, found), kept=certain)
        identities = None if truth is None else as_labels("true identities", truth, len(found))
        people = None if calibration is None else known_people("calibration", calibration, evidence.links, 2)
        wanted = self.rules if self.rules is not None else SIMILARITY_RULES if evidence.graph is not None else ()
        likeness = measure_likeness(evidence.links, found, people) if wanted else None
        mending = mending_rules(wanted, likeness, self.false_match, found, people is not None)
        y, records = apply([*self._first_rules(), *mending], found, evidence, identities)
        overlap = None
        if labelled is not None:
            own = known_people("labelled", labelled, evidence.links, LEAST_PEOPLE)
            others = None if calibration is labelled or people is None else without_labelled(people, own)
            overlap = find_labelled_people(evidence.links.embeddings, y, own, self.overlap_false_match, others)
            overlap = agreeing(overlap, y, evidence.known, unwanted)
            y, record = without_labelled_people(overlap, y, self.overlap, identities, evidence.decided)
            records.append(record)
        y, more = apply(self._last_rules(), y, evidence, identities)
        merged = overlap.person if overlap is not None and self.overlap == "merge" else None
        y, self.same_as_ = with_labelled_people(y, merged)
        w, source = _weights(evidence, found, y, likeness)
        w = np.where(y < 0, 0, np.where(certain | np.append(self.same_as_ >= 0, False)[y], 1, w)).astype(np.float32)
        self.summary_ = summarise(found, y, self.min_size, [*records, *more]) | {
            "weights": source,
            "overlap": None if overlap is None else {"action": self.overlap, **overlap.summary()},
        }
        return y, w

    def _first_rules(self) -> Sequence[PseudoLabelRule]:
        return [PseudoLabelRule("confident", self.min_confidence)] if self.min_confidence > 0 else []

    def _last_rules(self) -> Sequence[PseudoLabelRule]:
        named = [(name, getattr(self, name)) for name in ("duplicates", "max_size", "min_size")]
        return [PseudoLabelRule(name, value) for name, value in named if value is not None]


def _weights(
    evidence: Evidence, found: np.ndarray, labels: np.ndarray, likeness: Likeness | None
) -> tuple[np.ndarray, str]:
    """The backend's confidence; if it has none, the probability that a face's cosine is one with its own identity."""
    if likeness is None or np.any(evidence.confidence[found >= 0] != 1):
        return evidence.confidence, "confidence"
    weights, used = np.zeros(len(labels), dtype=np.float32), labels >= 0
    weights[used] = likeness.probability(cosine_to_rest_of_cluster(evidence.links.embeddings, labels)[used])
    return weights, "similarity"
