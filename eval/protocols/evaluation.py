"""All comparisons that a protocol asks for: pairs of templates (1:1), and probes searched in galleries (1:N)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.metrics.fnir import Identification, identification
from eval.metrics.pair_scores import PairScores, pair_scores
from eval.metrics.templates import Templates
from eval.protocols.matching import pair_positions, subjects_of
from eval.protocols.protocol import Protocol, Subjects, positions
from facerec.pipeline.files import InputError


@dataclass(frozen=True)
class Evaluation:
    """What the comparisons of a protocol gave.

    Attributes:
        scores: Of the pairs.
        pairs: int32 [p] each, positions of both templates of every pair.
        identification: Of the probes in each gallery.
        galleries: Names of the galleries, in the order of ``identification``.
        probes: int32 [probes], positions of the probes' templates.
        subject: int [t], the subject of each template, from 0.
        counts: Faces, media, templates, subjects, probes.
    """

    scores: PairScores
    pairs: tuple[np.ndarray, np.ndarray]
    identification: Identification
    galleries: list[str]
    probes: np.ndarray
    subject: np.ndarray
    counts: dict[str, int]


def evaluate(files: Protocol, templates: Templates, fpirs: Sequence[float]) -> Evaluation:
    """Compares all pairs, and searches all probes in each gallery.

    Args:
        files: The protocol.
        templates: Its templates.
        fpirs: False positive identification rates.

    Raises:
        InputError: A pair of a template without faces, a pair labelled otherwise than its templates' subjects say, or a
            gallery in which no probe or every probe has a mate.
    """
    pairs = pair_positions(files.pairs, templates.ids)
    subject = subjects_of(files, templates.ids, *pairs)
    for gallery in files.galleries.values():
        _refuse_one_kind(gallery, files.probes)
    scores = PairScores.of(pair_scores(templates.features, *pairs), files.pairs.genuine)
    probes = positions(templates.ids, files.probes.template)
    galleries = [
        (templates.features[positions(templates.ids, gallery.template)], gallery.subject)
        for gallery in files.galleries.values()
    ]
    searched = identification(templates.features[probes], files.probes.subject, *galleries, fpirs=fpirs)
    counts = {
        "faces": len(files.faces.template),
        "unreadable_faces": templates.unreadable_faces,
        "media": templates.media,
        "templates": len(templates.ids),
        "empty_templates": templates.empty,
        "subjects": int(subject.max()) + 1,
        "probes": len(probes),
    }
    return Evaluation(scores, pairs, searched, list(files.galleries), probes, subject, counts)


def _refuse_one_kind(gallery: Subjects, probes: Subjects) -> None:
    mated = np.isin(probes.subject, gallery.subject)
    for kind, missing in [("mated", not mated.any()), ("non-mated", mated.all())]:
        if missing:
            raise InputError(
                f"{gallery.path}: no {kind} probe in {probes.path.name}; an open-set search needs both kinds"
            )
