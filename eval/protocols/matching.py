"""Which embedding is which face, which template is which side of a pair, and whose it is."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from eval.protocols.ids import id_text
from eval.protocols.names import find_rows
from eval.protocols.protocol import Faces, Pairs, Protocol, positions
from facerec.pipeline.files import InputError

logger = logging.getLogger(__name__)


def match_faces(faces: Faces, keys: list[str] | None, rows: int, source: Path, refuse: bool = True) -> np.ndarray:
    """The embedding row of each face of the protocol, int64 [n]; -1 where there is none and that is not refused.

    By name where there are keys (`eval.protocols.names`; further embeddings do not matter); otherwise row i is line i.

    Args:
        faces: Faces of the protocol.
        keys: Keys of the embeddings.
        rows: Number of embeddings.
        source: Where they come from, for messages.
        refuse: Whether a face without embedding is an error. It is if none has one.

    Raises:
        InputError: A face without embedding, a key that is there twice, another number of rows than of lines, or a file
            of a folder with keys without this folder.
    """
    if keys is None:
        if not faces.by_line:
            raise InputError(f"{source}: no keys.txt; in this layout faces match by name, so that it is needed")
        if rows != len(faces.names):
            raise InputError(
                f"{source}: {rows} embeddings without keys.txt, but {faces.path} has {len(faces.names)} faces; "
                "without keys row i is line i, so both must have the same length"
            )
        if source.name == "embeddings.npy" and source.with_name("keys.txt").is_file():
            raise InputError(f"{source}: keys.txt beside it says which face a row is; give the folder {source.parent}")
        logger.info("%s: no keys.txt; row i is taken for line i of %s", source, faces.path)
        return np.arange(rows)
    rows_of = find_rows(faces.names, keys, source)
    missing = np.flatnonzero(rows_of < 0)
    if missing.size and (refuse or missing.size == len(rows_of)):
        some, none = "; --missing count counts them as failures", f"; a face there is {keys[0][:80]!r}"
        advice = some if missing.size < len(rows_of) else none
        raise InputError(
            f"{faces.where(int(missing[0]))}: face {faces.names[int(missing[0])].as_py()!r} has no embedding in "
            f"{source} ({missing.size} of {len(faces.names)} faces are missing there{advice})"
        )
    return rows_of


def pair_positions(pairs: Pairs, templates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sides of the pairs as positions in the sorted template ids, which hold them all, int32 [p]."""
    return positions(templates, pairs.first), positions(templates, pairs.second)


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
    listed, nothing = protocol.searched, np.empty(0, np.int64)
    at = np.concatenate([nothing, *(positions(templates, part.template) for part in listed)]).astype(np.int64)
    ids, subject = np.unique(np.concatenate([nothing, *(part.subject for part in listed)]), return_inverse=True)
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
            f"{pairs.where(row)}: templates {id_text(pairs.first[row])} and {id_text(pairs.second[row])} are labelled "
            f"{label}, but by the galleries, the probes and the other genuine pairs they are of {said} "
            f"({rows.size} such pairs)"
        )
