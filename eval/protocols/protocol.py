"""A protocol: which faces make a template, which templates are compared, and whose they are.

The layout of insightface's ``meta`` folder for IJB-B and IJB-C, files found by the ends of their names:

    *_face_tid_mid.txt          face name, template, media        one face a line
    *_template_pair_label.txt   template, template, 1 or 0        one pair a line, 1 for the same subject
    *_1N_gallery_G1.csv, ...    TEMPLATE_ID, SUBJECT_ID, ...      one face a line, with a header (S1, S2 in IJB-B)
    *_1N_probe_mixed.csv        the same

`eval.protocols.nist` reads NIST's own layout into the same arrays. Template ids are names: they need be neither
consecutive nor sorted. Columns of files with a header are found by name, in any order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.protocols.ids import id_text
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
    """The 1:1 comparisons; arrays of [p].

    Attributes:
        path: The file.
        first: int64 template ids.
        second: int64 template ids.
        genuine: bool, whether both templates are of one subject.
        header: 1 if the file has a header, else 0.
    """

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
    """Everything in a protocol folder.

    Attributes:
        layout: ``insightface`` or ``nist``.
        faces: Which face belongs to which template.
        pairs: The 1:1 comparisons.
        galleries: By name; none in a protocol of 1:1 alone.
        probes: None in a protocol of 1:1 alone.
    """

    layout: str
    faces: Faces
    pairs: Pairs
    galleries: dict[str, Subjects]
    probes: Subjects | None

    @property
    def searched(self) -> list[Subjects]:
        """The galleries and the probes; none in a protocol of 1:1 alone."""
        return [*self.galleries.values(), *([self.probes] if self.probes else [])]

    @property
    def templates(self) -> np.ndarray:
        """All template ids that any file has, rising, int64."""
        ids = np.unique(self.faces.template)
        named = [self.pairs.first, self.pairs.second, *(part.template for part in self.searched)]
        return np.unique(np.concatenate([ids, *(side[positions(ids, side) < 0] for side in named)]))

    def digest(self) -> str:
        """A hash of what is compared and searched, whatever the templates and subjects are called.

        A template counts as the row of its first face, a subject as the first place where it is searched.
        """
        ids, first = np.unique(self.faces.template, return_index=True)
        rows = np.append(first, -1).astype(np.int32)  # the last for those without a face
        found = hashlib.blake2b(digest_size=16)
        for side in (self.pairs.first, self.pairs.second):
            found.update(rows[positions(ids, side)].data)
        found.update(np.ascontiguousarray(self.pairs.genuine).data)
        places, subjects = [], []
        for part in self.searched:
            place = rows[positions(ids, part.template)]
            order = np.argsort(place, kind="stable")
            places.append(place[order])
            subjects.append(part.subject[order])
        if places:
            _, first, number = np.unique(np.concatenate(subjects), return_index=True, return_inverse=True)
            found.update(np.stack([np.concatenate(places), first[number]]).data)
        return found.hexdigest()


def load_subjects(path: Path) -> Subjects:
    """Reads ``TEMPLATE_ID`` and ``SUBJECT_ID`` of a gallery or probe file; one line a face, so lines repeat.

    Raises:
        InputError: A missing, empty or malformed file, or a template with two subjects.
    """
    table = read_table(path, {"TEMPLATE_ID": "id", "SUBJECT_ID": "id"}, ",", header=True)
    lines, subject = table["TEMPLATE_ID"].to_numpy(), table["SUBJECT_ID"].to_numpy()
    template, first, inverse = np.unique(lines, return_index=True, return_inverse=True)
    differs = np.flatnonzero(subject != subject[first][inverse])
    if differs.size:
        row = differs[0]
        one, two = id_text(subject[row]), id_text(subject[first][inverse][row])
        raise InputError(
            f"{path} line {line_of(path, 1 + row)}: template {id_text(lines[row])} is of subject {one} here and of "
            f"subject {two} in line {line_of(path, 1 + first[inverse[row]])}"
        )
    return Subjects(path, template, subject[first], first)


def positions(templates: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where ids stand in the sorted `templates`, int32, -1 for those that are not there."""
    if templates[0] > 0 and templates[-1] < WIDEST_TABLE:  # a table is several times faster than a search
        table = np.full(int(templates[-1]) + 2, -1, dtype=np.int32)
        table[templates] = np.arange(len(templates), dtype=np.int32)
        return np.take(table, wanted, mode="clip")  # what is outside goes to one of the ends, where -1 stands
    index = np.minimum(np.searchsorted(templates, wanted), len(templates) - 1).astype(np.int32)
    index[templates[index] != wanted] = -1
    return index
