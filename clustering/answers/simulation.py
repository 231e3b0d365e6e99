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
    """Where questions have led to: before the first round, or after one.

    Attributes:
        answers: All so far.
        labels: int64 [n]: the clusters with them.
        same: Share of the round's answers that were yes; None if none was sure, and before the first round.
    """

    answers: Answers
    labels: np.ndarray
    same: float | None = None


def ask_in_rounds(
    clusterer: Clusterer, graph: KnnGraph, turn: Turn, truth: np.ndarray, count: int, rounds: int
) -> Iterator[Turn]:
    """Asks, answers and clusters again, as long as there are questions.

    Args:
        clusterer: What clusters again.
        graph: Of n faces.
        turn: The clusters to begin with, and what has been asked already.
        truth: int64 [n], identities; -1 for unknown ones, about which answers are unsure.
        count: Questions a round.
        rounds: Most rounds.

    Raises:
        InputError: True identities contradict what has been answered.
    """
    for _ in range(rounds):
        asked = choose_questions(graph, turn.labels, turn.answers, count).answered(truth)
        if not len(asked):
            return
        answers = turn.answers.followed_by(asked)
        known = answers.constraints(len(truth)).checked("earlier answers and true identities")
        sure = asked.answer[np.isin(asked.answer, (SAME, DIFFERENT))]
        share = float(np.mean(sure == SAME)) if len(sure) else None
        turn = Turn(answers, labels_of_faces(clusterer, graph, known), share)
        yield turn
