"""Questions in rounds: ask, answer by true identities, cluster again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clustering.answers.clustered import labels_of_faces
from clustering.answers.file import DIFFERENT, SAME, Answers
from clustering.answers.questions import choose_questions
from clustering.clusterer import Clusterer
from clustering.graph.knn_graph import KnnGraph


@dataclass(frozen=True)
class Turn:
    """What a round brought.

    Attributes:
        answers: All so far.
        labels: int64 [n]: the clusters with them.
        same: Share of the round's answers that were yes; None if none was sure.
    """

    answers: Answers
    labels: np.ndarray
    same: float | None


def ask_in_rounds(
    clusterer: Clusterer,
    graph: KnnGraph,
    labels: np.ndarray,
    truth: np.ndarray,
    before: Answers,
    count: int,
    rounds: int,
) -> Iterator[Turn]:
    """Asks, answers and clusters again, as long as there are questions.

    Args:
        clusterer: What clusters again.
        graph: Of n faces.
        labels: int64 [n], the clusters to begin with.
        truth: int64 [n], identities; -1 for unknown ones, about which answers are unsure.
        before: What has been asked already.
        count: Questions a round.
        rounds: Most rounds.

    Raises:
        InputError: True identities contradict what has been answered.
    """
    for _ in range(rounds):
        asked = choose_questions(graph, labels, before, count).answered(truth)
        if not len(asked):
            return
        before = before.followed_by(asked)
        known = before.constraints(len(labels)).checked("earlier answers and true identities")
        labels = labels_of_faces(clusterer, graph, known)
        sure = asked.answer[np.isin(asked.answer, (SAME, DIFFERENT))]
        yield Turn(before, labels, float(np.mean(sure == SAME)) if len(sure) else None)
