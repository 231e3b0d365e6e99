"""What every protocol has to fulfil, whatever its layout, and what is said about it."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

import numpy as np

from eval.protocols.ids import codes, id_text
from eval.protocols.protocol import Faces, Protocol, positions
from facerec.pipeline.counts import counted
from facerec.pipeline.files import InputError

logger = logging.getLogger(__name__)


def check(protocol: Protocol) -> None:
    """Refuses a face twice in a template; says what is unusual: templates without faces, a subject in two galleries."""
    names = codes(protocol.faces.names)
    _check_repeats(protocol.faces, names)
    _say_empty(protocol)
    _say_two_people(protocol, names)
    for (name, one), (other, two) in itertools.combinations(protocol.galleries.items(), 2):
        shared = np.flatnonzero(np.isin(two.subject, one.subject))
        if shared.size:
            subject = two.subject[shared[0]]
            index = int(np.flatnonzero(one.subject == subject)[0])
            logger.warning(
                "%s: subject %s is in gallery %s here and in gallery %s in %s (%d such subjects); each gallery is "
                "searched by itself", two.where(shared[0]), id_text(subject), other, name, one.where(index),
                len(np.unique(two.subject[shared])),
            )  # fmt: skip
    _say_enrolled(protocol)
    if protocol.probes is None:
        logger.info("%s: no galleries and no probes; 1:1 alone", protocol.faces.path)
    elif len(protocol.galleries) == 1:
        logger.info("%s: one gallery, %s", protocol.faces.path, next(iter(protocol.galleries)))


def check_both_kinds(path: Path, genuine: np.ndarray) -> None:
    """Refuses pairs of one kind only."""
    for kind, missing in [("genuine", not genuine.any()), ("impostor", genuine.all())]:
        if missing:
            raise InputError(f"{path}: no {kind} pair in {len(genuine)}; both kinds are needed")


def _say_enrolled(protocol: Protocol) -> None:
    """Says how many probes are templates of a gallery, and where the first one is."""
    if protocol.probes is None:
        return
    for name, gallery in protocol.galleries.items():
        own = np.flatnonzero(np.isin(protocol.probes.template, gallery.template))
        if own.size:
            index = own[np.argmin(protocol.probes.row[own])]
            logger.warning(
                "%s: template %s is in gallery %s, too (%s); it finds itself, so rank 1 and FNIR are too good",
                protocol.probes.where(index), id_text(protocol.probes.template[index]), name,
                counted(len(own), "such probe"),
            )  # fmt: skip


def _say_empty(protocol: Protocol) -> None:
    """Says how many templates have no faces, and where the first one is."""
    templates = np.unique(protocol.faces.template)
    empty = protocol.templates[positions(templates, protocol.templates) < 0]
    if not empty.size:
        return
    pairs = np.flatnonzero(np.isin(protocol.pairs.first, empty) | np.isin(protocol.pairs.second, empty))
    if pairs.size:
        row = int(pairs[0])
        first, second = protocol.pairs.first[row], protocol.pairs.second[row]
        place, template = protocol.pairs.where(row), first if np.isin(first, empty) else second
    else:
        listed = next(part for part in protocol.searched if np.isin(part.template, empty).any())
        unknown = np.flatnonzero(np.isin(listed.template, empty))
        index = unknown[np.argmin(listed.row[unknown])]
        place, template = listed.where(index), listed.template[index]
    logger.warning(
        "%s: template %s has no faces in %s (%d such templates); they count as failures, --missing exclude leaves "
        "them out", place, id_text(template), protocol.faces.path.name, len(empty),
    )  # fmt: skip


def _say_two_people(protocol: Protocol, name: np.ndarray) -> None:
    """Says how many faces are in templates of two subjects, as far as galleries and probes name these.

    Args:
        protocol: Its files.
        name: int64 [n], a number for the name of each face.
    """
    if not protocol.searched:
        return
    faces = protocol.faces
    template = np.concatenate([part.template for part in protocol.searched])
    subject = np.concatenate([part.subject for part in protocol.searched])
    ids, first = np.unique(template, return_index=True)
    at = positions(ids, faces.template)
    rows = np.flatnonzero(at >= 0)
    rows = rows[np.argsort(name[rows], kind="stable")]
    name, whose = name[rows], subject[first][at[rows]]
    differ = np.flatnonzero((name[1:] == name[:-1]) & (whose[1:] != whose[:-1]))
    if differ.size:
        two = int(rows[differ[0] + 1])
        logger.warning(
            "%s: face %r is in templates of subjects %s and %s (%s); both have its embedding, so boxes are needed to "
            "tell people in one picture apart", faces.where(two), faces.names[two].as_py(),
            id_text(whose[differ[0]]), id_text(whose[differ[0] + 1]),
            counted(len(np.unique(name[differ])), "such face"),
        )  # fmt: skip


def _check_repeats(faces: Faces, name: np.ndarray) -> None:
    order = np.lexsort((name, faces.template))
    repeated = (np.diff(faces.template[order]) == 0) & (np.diff(name[order]) == 0)
    if repeated.any():
        index = int(np.flatnonzero(repeated)[0])
        one, two = sorted(map(int, order[index : index + 2]))
        raise InputError(
            f"{faces.where(two)}: face {faces.names[two].as_py()!r} is in template {id_text(faces.template[two])} "
            f"twice, here and in {faces.where(one)}; remove one of the lines"
        )
