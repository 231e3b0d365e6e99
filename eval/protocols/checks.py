"""What every protocol has to fulfil, whatever its layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eval.protocols.protocol import Faces, Protocol, positions
from facerec.pipeline.files import InputError


def check(protocol: Protocol) -> None:
    """Refuses templates without faces, a face twice in a template, and a subject in two galleries."""
    faces = protocol.faces
    templates = np.unique(faces.template)
    for listed in (*protocol.galleries.values(), protocol.probes):
        unknown = np.flatnonzero(positions(templates, listed.template) < 0)
        if unknown.size:
            row = unknown[np.argmin(listed.row[unknown])]
            raise InputError(f"{listed.where(row)}: template {listed.template[row]} has no faces in {faces.path.name}")
    _check_repeats(faces)
    for (name, one), (other, two) in [tuple(protocol.galleries.items())[:2]]:
        shared = np.flatnonzero(np.isin(two.subject, one.subject))
        if shared.size:
            subject = two.subject[shared[0]]
            index = int(np.flatnonzero(one.subject == subject)[0])
            raise InputError(
                f"{two.where(shared[0])}: subject {subject} is in gallery {other} here and in gallery {name} in "
                f"{one.where(index)}; the galleries of a protocol share no subject"
            )


def check_both_kinds(path: Path, genuine: np.ndarray) -> None:
    """Refuses pairs of one kind only."""
    count = np.count_nonzero(genuine)
    for value, name, missing in [(1, "genuine", count == 0), (0, "impostor", count == len(genuine))]:
        if missing:
            raise InputError(f"{path}: no {name} pair (label {value}) in {len(genuine)} lines; both kinds are needed")


def _check_repeats(faces: Faces) -> None:
    import pyarrow as pa

    name = np.asarray(pa.array(faces.names).dictionary_encode().indices, dtype=np.int64)
    order = np.lexsort((name, faces.template))
    repeated = (np.diff(faces.template[order]) == 0) & (np.diff(name[order]) == 0)
    if repeated.any():
        index = int(np.flatnonzero(repeated)[0])
        one, two = sorted(map(int, order[index : index + 2]))
        raise InputError(
            f"{faces.where(two)}: face {faces.names[two].as_py()!r} is in template {faces.template[two]} twice, here "
            f"and in {faces.where(one)}; remove one of the lines"
        )
