"""All comparisons that a protocol asks for: pairs of templates (1:1), and probes searched in galleries (1:N)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from eval.metrics.fnir import Identification, search_galleries
from eval.metrics.pair_scores import PairScores, pair_scores
from eval.metrics.templates import Templates
from eval.protocols.checks import check_both_kinds
from eval.protocols.matching import pair_positions, subjects_of
from eval.protocols.protocol import Protocol, Subjects, positions
from facerec.pipeline.files import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """What the comparisons of a protocol gave.

    Attributes:
        scores: Scores of the pairs.
        pairs: int32 [p] each, positions of both templates of every pair.
        identification: The searches of the probes in each gallery; None in a protocol of 1:1 alone. If every probe has
            a mate in a gallery (a closed set), it has ranks and no FNIR.
        galleries: Names of the galleries, in the order of ``identification``.
        probes: int32 [probes], positions of the probes' templates.
        subject: int [t], the subject of each template, from 0.
        counts: Faces, media, templates, subjects, probes.
    """

    scores: PairScores
    pairs: tuple[np.ndarray, np.ndarray]
    identification: Identification | None
    galleries: list[str]
    probes: np.ndarray
    subject: np.ndarray
    counts: dict[str, int]


def evaluate(files: Protocol, templates: Templates, fpirs: Sequence[float]) -> Evaluation:
    """Compares all pairs, and searches all probes in each gallery.

    Args:
        files: The protocol.
        templates: All its templates (`Protocol.templates`).
        fpirs: False positive identification rates.

    Raises:
        InputError: A pair labelled otherwise than its templates' subjects say, or a gallery in which no probe has a
            mate.
    """
    pairs = pair_positions(files.pairs, templates.ids)
    subject = subjects_of(files, templates.ids, *pairs)
    scores = PairScores.of(pair_scores(templates.features, *pairs), files.pairs.genuine)
    probes, searched = np.empty(0, np.int32), None
    if files.probes is not None:
        closed = True in [_is_closed(gallery, files.probes) for gallery in files.galleries.values()]
        probes = positions(templates.ids, files.probes.template)
        galleries = [
            (templates.features[positions(templates.ids, gallery.template)], gallery.subject)
            for gallery in files.galleries.values()
        ]
        rates = [] if closed else fpirs
        searched = search_galleries(templates.features[probes], files.probes.subject, galleries, rates)
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


def without_empty(files: Protocol, templates: Templates) -> Protocol:
    """The protocol without the comparisons and searches of templates that have no feature.

    Raises:
        InputError: No pair of a kind is left, or no template of a gallery or of the probes.
    """
    empty = templates.ids[~templates.features.any(axis=1)]

    def kept(listed: Subjects) -> Subjects:
        rows = ~np.isin(listed.template, empty)
        if not rows.any():
            raise InputError(f"{listed.path}: every template is without a face; nothing is left to search")
        return replace(listed, template=listed.template[rows], subject=listed.subject[rows], row=listed.row[rows])

    pairs = files.pairs
    rows = ~(np.isin(pairs.first, empty) | np.isin(pairs.second, empty))
    check_both_kinds(pairs.path, pairs.genuine[rows])
    left = replace(pairs, first=pairs.first[rows], second=pairs.second[rows], genuine=pairs.genuine[rows])
    galleries = {name: kept(gallery) for name, gallery in files.galleries.items()}
    return replace(files, pairs=left, galleries=galleries, probes=kept(files.probes) if files.probes else None)


def _is_closed(gallery: Subjects, probes: Subjects) -> bool:
    """Whether every probe has a mate in a gallery; refuses one in which none has."""
    mated = np.isin(probes.subject, gallery.subject)
    if not mated.any():
        raise InputError(f"{gallery.path}: no mated probe in {probes.path.name}; no mate can be found in this gallery")
    if mated.all():
        logger.warning(
            "%s: every probe in %s has a mate here, a closed set; ranks alone, no FNIR", gallery.path, probes.path.name
        )
    return bool(mated.all())
