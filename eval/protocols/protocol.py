"""A protocol: which faces make a template, which templates are compared, and of whom they are.

The layout of insightface's ``meta`` folder for IJB-B and IJB-C, files found by the ends of their names:

    *_face_tid_mid.txt          face name, template, media        one face a line
    *_template_pair_label.txt   template, template, 1 or 0        one pair a line, 1 for the same subject
    *_1N_gallery_G1.csv, ...    TEMPLATE_ID, SUBJECT_ID, ...      one face a line, with a header (S1, S2 in IJB-B)
    *_1N_probe_mixed.csv        the same

`eval.protocols.nist` reads NIST's own layout into the same arrays. Template ids are names: they need be neither
consecutive nor sorted. Columns of files with a header are found by name, in any order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.protocols.tables import line_of, read_table
from facerec.pipeline.files import InputError

WIDEST_TABLE = 1 << 26


@dataclass(frozen=True)
class Faces:
    """Which face belongs to which template and media; arrays of [n].

    Attributes:
        path: The file, or the folder if there are several.
        names: pyarrow string array.
        template: int64 template ids.
        media: int64 media ids; faces of one template with the same media id are frames of one video.
        where: Row to the words that name its line.
        by_line: Whether row i is line i of one file, so that embeddings without keys can be matched.
    """

    path: Path
    names: Any
    template: np.ndarray
    media: np.ndarray
    where: Callable[[int], str]
    by_line: bool = True


@dataclass(frozen=True)
class Pairs:
    """The 1:1 comparisons; arrays of [p]; ``header`` is 1 if the file has one."""

    path: Path
    first: np.ndarray
    second: np.ndarray
    genuine: np.ndarray
    header: int = 0

    def where(self, row: int) -> str:
        """Names the line of a pair."""
        return f"{self.path} line {line_of(self.path, self.header + row)}"


@dataclass(frozen=True)
class Subjects:
    """A gallery or the probes: the subject of each template; arrays of [t], by rising template id.

    Attributes:
        path: The file.
        template: int64.
        subject: int64.
        row: int64, the first row of each template in the file.
    """

    path: Path
    template: np.ndarray
    subject: np.ndarray
    row: np.ndarray

    def where(self, index: int) -> str:
        """Names the first line of a template."""
        return f"{self.path} line {line_of(self.path, 1 + int(self.row[index]))}"


@dataclass(frozen=True)
class Protocol:
    """Everything in a protocol folder; ``layout`` is ``insightface`` or ``nist``."""

    layout: str
    faces: Faces
    pairs: Pairs
    galleries: dict[str, Subjects]
    probes: Subjects


def load_subjects(path: Path) -> Subjects:
    """Reads ``TEMPLATE_ID`` and ``SUBJECT_ID`` of a gallery or probe file; one line a face, so lines repeat.

    Raises:
        InputError: A missing, empty or malformed file, or a template with two subjects.
    """
    table = read_table(path, {"TEMPLATE_ID": "int64", "SUBJECT_ID": "int64"}, ",", header=True)
    lines, subject = table["TEMPLATE_ID"].to_numpy(), table["SUBJECT_ID"].to_numpy()
    template, first, inverse = np.unique(lines, return_index=True, return_inverse=True)
    differs = np.flatnonzero(subject != subject[first][inverse])
    if differs.size:
        row = differs[0]
        raise InputError(
            f"{path} line {line_of(path, 1 + row)}: template {lines[row]} is of subject {subject[row]} here "
            f"and of subject {subject[first][inverse][row]} in line {line_of(path, 1 + first[inverse[row]])}"
        )
    return Subjects(path, template, subject[first], first)


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
            at = int(np.flatnonzero(one.subject == subject)[0])
            raise InputError(
                f"{two.where(shared[0])}: subject {subject} is in gallery {other} here and in gallery {name} in "
                f"{one.where(at)}; the galleries of a protocol share no subject"
            )


def check_both_kinds(path: Path, genuine: np.ndarray) -> None:
    """Refuses pairs of one kind only."""
    count = np.count_nonzero(genuine)
    for value, name, missing in [(1, "genuine", count == 0), (0, "impostor", count == len(genuine))]:
        if missing:
            raise InputError(f"{path}: no {name} pair (label {value}) in {len(genuine)} lines; both kinds are needed")


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


def positions(templates: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where ids stand in the sorted `templates`, int32, -1 for those that are not there."""
    if templates[0] > 0 and templates[-1] < WIDEST_TABLE:  # a table is several times faster than a search
        table = np.full(int(templates[-1]) + 2, -1, dtype=np.int32)
        table[templates] = np.arange(len(templates), dtype=np.int32)
        return np.take(table, wanted, mode="clip")  # what is outside goes to one of the ends, where -1 stands
    index = np.minimum(np.searchsorted(templates, wanted), len(templates) - 1).astype(np.int32)
    index[templates[index] != wanted] = -1
    return index


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
    found = pc.index_in(pc.replace_substring_regex(faces.names, "^img/", ""), value_set=known)
    missing = np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False))
    if missing.size:
        raise InputError(
            f"{faces.where(int(missing[0]))}: face {faces.names[int(missing[0])].as_py()!r} has no embedding in "
            f"{source} ({missing.size} of {len(faces.names)} faces are missing there)"
        )
    return found.to_numpy().astype(np.int64)


def _check_repeats(faces: Faces) -> None:
    import pyarrow as pa

    name = np.asarray(pa.array(faces.names).dictionary_encode().indices, dtype=np.int64)
    order = np.lexsort((name, faces.template))
    repeated = (np.diff(faces.template[order]) == 0) & (np.diff(name[order]) == 0)
    if repeated.any():
        at = int(np.flatnonzero(repeated)[0])
        one, two = sorted(map(int, order[at : at + 2]))
        raise InputError(
            f"{faces.where(two)}: face {faces.names[two].as_py()!r} is in template {faces.template[two]} twice, here "
            f"and in {faces.where(one)}; remove one of the lines"
        )


def _refuse_label(pairs: Pairs, rows: np.ndarray, label: str, said: str) -> None:
    if rows.size:
        row = int(rows[0])
        raise InputError(
            f"{pairs.where(row)}: templates {pairs.first[row]} and {pairs.second[row]} are labelled {label}, but by "
            f"the galleries, the probes and the other genuine pairs they are of {said} ({rows.size} such pairs)"
        )
