"""The worst pairs of templates: impostors with the highest scores, genuine pairs with the lowest. worst.csv."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eval.protocols.evaluation import Evaluation
from eval.protocols.protocol import Faces, positions
from facerec.pipeline.files import write_table

COUNT = 8
"""Pairs of either kind."""
CANDIDATES = 4096
"""Pairs of either kind that are looked at: of two people, or of one person, only the worst is kept."""
COLUMNS = ("kind", "score", "first_template", "second_template", "first_face", "second_face")
IMPOSTOR, GENUINE = "impostor", "genuine"


def write_worst(out: Path, evaluation: Evaluation, faces: Faces, ids: np.ndarray) -> None:
    """Writes worst.csv: the impostor pairs of highest score, each two people once; the genuine ones of lowest score.

    A template is shown by its first face in the protocol, one without faces by none. Of each person only the worst
    genuine pair is taken.

    Args:
        out: The folder.
        evaluation: The scores.
        faces: Faces of the protocol.
        ids: int64 [t], the templates' ids, rising.
    """
    first_face = _first_faces(faces, ids)
    rows = []
    for kind in (IMPOSTOR, GENUINE):
        for pair in worst_pairs(evaluation, kind == GENUINE, COUNT).tolist():
            both = [int(side[pair]) for side in evaluation.pairs]
            names = [str(faces.names[row]) if row >= 0 else "" for row in first_face[both].tolist()]
            score = round(float(evaluation.scores.pairs[pair]), 6)
            rows.append([kind, score, *(int(ids[position]) for position in both), *names])
    write_table(out / "worst.csv", COLUMNS, rows)


def worst_pairs(evaluation: Evaluation, genuine: bool, count: int) -> np.ndarray:
    """Positions of the worst pairs of a kind, int64 [<= count], the worst first.

    Args:
        evaluation: The scores.
        genuine: Genuine pairs of lowest score, each person once; else impostor pairs of highest score, each two people
            once.
        count: Most pairs.
    """
    rows = np.flatnonzero(evaluation.scores.is_genuine == genuine)
    badness = evaluation.scores.pairs[rows] * (1 if genuine else -1)
    if len(rows) > CANDIDATES:
        kept = np.argpartition(badness, CANDIDATES)[:CANDIDATES]
        rows, badness = rows[kept], badness[kept]
    rows = rows[np.lexsort((rows, badness))]
    people = np.sort([evaluation.subject[side[rows]] for side in evaluation.pairs], axis=0)
    once = np.sort(np.unique(people, axis=1, return_index=True)[1])
    return rows[once[:count]]


def _first_faces(faces: Faces, ids: np.ndarray) -> np.ndarray:
    """The row of the first face of each template, int64 [t]; -1 for one without a face."""
    templates, first = np.unique(faces.template, return_index=True)
    return np.append(first, -1)[positions(templates, ids)]  # position -1 takes the last entry
