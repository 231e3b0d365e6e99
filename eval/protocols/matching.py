"""Which embedding is which face, which template is which side of a pair, and whose it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eval.protocols.protocol import Faces, Pairs, Protocol, positions
from facerec.pipeline.files import InputError


def match_faces(faces: Faces, keys: list[str] | None, rows: int, source: Path) -> np.ndarray:
    """The embedding row of each face of the protocol, int64 [n].

    By name where there are keys (a leading ``img/`` on either side does not matter, further embeddings neither);
    otherwise row i is line i.

    Raises:
        InputError: A face without embedding, a key that is there twice, or another number of rows than of lines.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if keys is None:
        if not faces.by_line:
            raise InputError(f"{source}: no keys.txt; in this layout faces match by name, so that it is needed")
        if rows != len(faces.names):
            raise InputError(
                f"{source}: {rows} embeddings without keys.txt, but {faces.path} has {len(faces.names)} faces; "
                "without keys row i is line i, so both must have the same length"
            )
        return np.arange(rows)
    known = pa.array(key.removeprefix("img/") for key in keys)
    if len(known.unique()) != len(known):
        values, counts = np.unique(known.to_numpy(zero_copy_only=False), return_counts=True)
        raise InputError(f"{source}: key {values[counts > 1][0]!r} occurs twice in keys.txt; faces match by key")
    rows_of = pc.index_in(pc.replace_substring_regex(faces.names, "^img/", ""), value_set=known)
    missing = np.flatnonzero(rows_of.is_null().to_numpy(zero_copy_only=False))
    if missing.size:
        raise InputError(
            f"{faces.where(int(missing[0]))}: face {faces.names[int(missing[0])].as_py()!r} has no embedding in "
            f"{source} ({missing.size} of {len(faces.names)} faces are missing there)"
        )
    return rows_of.to_numpy().astype(np.int64)


def pair_positions(pairs: Pairs, templates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sides of the pairs as positions in the sorted template ids, int32 [p].

    Raises:
        InputError: A template that has no faces.
    """
    first, second = (positions(templates, side) for side in (pairs.first, pairs.second))
    if min(first.min(), second.min()) < 0:
        row = int(np.flatnonzero((first < 0) | (second < 0))[0])
        template = pairs.first[row] if first[row] < 0 else pairs.second[row]
        raise InputError(f"{pairs.where(row)}: template {template} has no faces in the protocol")
    return first, second


def subjects_of(protocol: Protocol, templates: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The subject of each template, int64 [t] from 0, by the galleries, the probes and the genuine pairs.

    A template that none of them ties to another is a subject of its own.

    Args:
        protocol: Its files.
        templates: int64 [t], rising.
        first: int [p], positions of the pairs' templates, as `pair_positions` gives them.
        second: int [p].

    Raises:
        InputError: A pair that is labelled otherwise than its templates' subjects say.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = protocol.pairs
    listed = (*protocol.galleries.values(), protocol.probes)
    at = np.concatenate([positions(templates, part.template) for part in listed])
    ids, subject = np.unique(np.concatenate([part.subject for part in listed]), return_inverse=True)
    known = np.full(len(templates), -1)
    known[at] = subject
    rows = np.flatnonzero(pairs.genuine)
    one, two = known[first[rows]], known[second[rows]]
    _refuse_label(pairs, rows[(one >= 0) & (two >= 0) & (one != two)], "genuine (1)", "two subjects")
    left = np.r_[at, first[rows]]
    right = np.r_[len(templates) + subject, second[rows]]
    nodes = len(templates) + len(ids)
    graph = coo_matrix((np.ones(len(left), bool), (left, right)), shape=(nodes, nodes))
    component = connected_components(graph, directed=False)[1][: len(templates)].astype(np.int32)
    same = component[first] == component[second]
    _refuse_label(pairs, np.flatnonzero(same & ~pairs.genuine), "impostor (0)", "one subject")
    return np.unique(component, return_inverse=True)[1]


def _refuse_label(pairs: Pairs, rows: np.ndarray, label: str, said: str) -> None:
    if rows.size:
        row = int(rows[0])
        raise InputError(
            f"{pairs.where(row)}: templates {pairs.first[row]} and {pairs.second[row]} are labelled {label}, but by "
            f"the galleries, the probes and the other genuine pairs they are of {said} ({rows.size} such pairs)"
        )
