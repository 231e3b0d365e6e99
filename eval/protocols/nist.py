"""NIST's own layout of IJB-B and IJB-C: CSV files with a header, columns found by name, in any order.

    enroll_templates.csv, verif_templates.csv   TEMPLATE_ID, SUBJECT_ID, FILENAME; one face a line    1:1
    match.csv                                   two template ids a line (see `load_match`)             1:1
    gallery_G1.csv, gallery_G2.csv              TEMPLATE_ID, SUBJECT_ID, FILENAME                      1:N
    probes.csv                                  the same                                               1:N

or, as the releases of IJB-B and IJB-C name them, with the templates of 1:1 taken from the others:

    ijbc_11_G1_G2_matches.csv (S1, S2 in IJB-B), ijbc_1N_gallery_G1.csv, ijbc_1N_gallery_G2.csv, ijbc_1N_probe_mixed.csv

They may lie in the folder or in folders below it (``test1``, ``test4``), once each. FACE_X, FACE_Y, FACE_WIDTH and
FACE_HEIGHT are used if they are there: a photograph may show several people. MEDIA_ID is used if it is there; without
it every file is a medium of its own. A pair is genuine if both its templates are of one subject.

keys.txt has the embedding of a face under its FILENAME. Where a file has several boxes in the protocol, the face's name
is ``FILENAME#x,y,width,height``.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eval.protocols.checks import check_both_kinds
from eval.protocols.ids import codes, id_text
from eval.protocols.protocol import Faces, Pairs, Protocol, Subjects, load_subjects, positions
from eval.protocols.tables import header_of, line_of, read_table
from facerec.pipeline.files import InputError

logger = logging.getLogger(__name__)


class Names(NamedTuple):
    """Names of the files of a layout, which may be patterns.

    Attributes:
        match: The pairs.
        sides: Templates of 1:1 that are in no other file; none if all are in the galleries and probes.
        galleries: The two galleries.
        probes: The probes.
    """

    match: str
    sides: tuple[str, ...]
    galleries: tuple[str, str]
    probes: str


TESTS = Names(
    "match.csv", ("enroll_templates.csv", "verif_templates.csv"), ("gallery_G1.csv", "gallery_G2.csv"), "probes.csv"
)
RELEASE = Names(
    "*_11_[GS]1_[GS]2_matches.csv", (), ("*_1N_gallery_[GS]1.csv", "*_1N_gallery_[GS]2.csv"), "*_1N_probe_mixed.csv"
)
MATCH_COLUMNS = ("ENROLL_TEMPLATE_ID", "VERIF_TEMPLATE_ID")
BOX = ("FACE_X", "FACE_Y", "FACE_WIDTH", "FACE_HEIGHT")


def is_nist(folder: Path) -> bool:
    """Whether a folder has this layout: it has its file of pairs."""
    return any(_paths(folder, names.match) for names in (TESTS, RELEASE))


def load_nist(folder: Path) -> Protocol:
    """Reads the layout.

    Raises:
        InputError: A file that is missing, there twice, empty or malformed, a template with two subjects, or one that
            has other faces in one file than in another.
    """
    names = TESTS if _paths(folder, TESTS.match) else RELEASE
    sides = [load_subjects(_find(folder, name)) for name in names.sides]
    galleries, probes = _load_searched(folder, names)
    parts = [*sides, *galleries.values(), *([probes] if probes else [])]
    faces = load_face_files(folder, [part.path for part in parts])
    pairs = load_match(_find(folder, names.match), _merge(parts))
    return Protocol("nist", faces, pairs, galleries, probes)


def _load_searched(folder: Path, names: Names) -> tuple[dict[str, Subjects], Subjects | None]:
    """The galleries, of which one will do, and the probes; none where the folder has only 1:1."""
    there = {name: bool(_paths(folder, name)) for name in (*names.galleries, names.probes)}
    if names.sides and not any(there.values()):
        return {}, None
    wanted = {label: name for label, name in zip(("G1", "G2"), names.galleries, strict=True) if there[name]}
    if not wanted:
        _find(folder, names.galleries[0])
    galleries = {label: load_subjects(_find(folder, name)) for label, name in wanted.items()}
    return galleries, load_subjects(_find(folder, names.probes))


def load_match(path: Path, subjects: dict[str, np.ndarray]) -> Pairs:
    """Reads the pairs: columns ENROLL_TEMPLATE_ID and VERIF_TEMPLATE_ID, or two numbers a line without header.

    Args:
        path: The file.
        subjects: ``template`` (rising) and ``subject`` of all templates.
    """
    names = header_of(path)
    bare = len(names) == 2 and not any("TEMPLATE" in name for name in names)
    columns = read_table(path, dict.fromkeys(MATCH_COLUMNS, "id"), ",", header=not bare)
    first, second = (columns[name].to_numpy() for name in MATCH_COLUMNS)
    sides = [positions(subjects["template"], side) for side in (first, second)]
    for side, ids in zip(sides, (first, second), strict=True):
        if side.min() < 0:
            row = int(np.argmin(side))
            line = line_of(path, row + (not bare))
            raise InputError(f"{path} line {line}: template {id_text(ids[row])} has no faces in the protocol")
    genuine = subjects["subject"][sides[0]] == subjects["subject"][sides[1]]
    check_both_kinds(path, genuine)
    return Pairs(path, first, second, genuine, header=0 if bare else 1)


def load_face_files(folder: Path, paths: list[Path]) -> Faces:
    """The faces of all files; a template that is in several files has the same faces in each of them."""
    import pyarrow as pa

    tables = [_read_faces(path) for path in paths]
    for columns in (BOX, ("MEDIA_ID",)):
        _say_left_out(paths, tables, columns)
    template = np.concatenate([table["TEMPLATE_ID"].to_numpy() for table in tables])
    file = np.repeat(np.arange(len(paths)), [len(table) for table in tables])
    row = np.concatenate([np.arange(len(table)) for table in tables])
    filename = np.concatenate([table["FILENAME"].to_numpy() for table in tables])
    name = _names(filename, tables)
    media = _media(filename, tables)
    first = _first_file(template, file)
    _check_same(paths, template, file, name, first)
    keep = np.flatnonzero(file == first)

    def where(index: int) -> str:
        kept = keep[index]
        return f"{paths[file[kept]]} line {line_of(paths[file[kept]], 1 + int(row[kept]))}"

    return Faces(folder, pa.array(name[keep], pa.string()), template[keep], media[keep], where, by_line=False)


def _say_left_out(paths: list[Path], tables: list[Any], columns: tuple[str, ...]) -> None:
    """Says that columns do not count, because not every file has them."""
    have = [set(columns) <= set(table.column_names) for table in tables]
    if any(have) and not all(have):
        one, other, names = paths[have.index(False)], paths[have.index(True)], ", ".join(columns)
        logger.warning("%s: no %s, but %s has; columns that a file lacks count in none", one, names, other)


def _paths(folder: Path, name: str) -> list[Path]:
    """The files of a name, which may have wildcards, in a folder or below it; no hidden ones, as macOS has them."""
    return sorted(path for path in folder.rglob(name) if not path.name.startswith("."))


def _find(folder: Path, name: str) -> Path:
    paths = _paths(folder, name)
    if len(paths) != 1:
        places = ", ".join(str(path.relative_to(folder)) for path in paths) or "none"
        raise InputError(f"{folder}: expected one {name} in it or below it, found {places}")
    return paths[0]


def _read_faces(path: Path) -> Any:
    header = header_of(path)
    columns = {"TEMPLATE_ID": "id", "FILENAME": "string"}
    columns |= {"MEDIA_ID": "id"} if "MEDIA_ID" in header else {}
    columns |= {name: "int64" for name in BOX if name in header}
    return read_table(path, columns, ",", header=True)


def _merge(parts: list[Subjects]) -> dict[str, np.ndarray]:
    """Template to subject over all files."""
    template = np.concatenate([part.template for part in parts])
    subject = np.concatenate([part.subject for part in parts])
    part_of = np.repeat(np.arange(len(parts)), [len(part.template) for part in parts])
    ids, first, inverse = np.unique(template, return_index=True, return_inverse=True)
    differs = np.flatnonzero(subject != subject[first][inverse])
    if differs.size:
        one, other = int(first[inverse[differs[0]]]), int(differs[0])
        places = [
            parts[part_of[at]].where(int(np.searchsorted(parts[part_of[at]].template, template[at])))
            for at in (one, other)
        ]
        raise InputError(
            f"{places[1]}: template {id_text(template[other])} is of subject {id_text(subject[other])} here and of "
            f"subject {id_text(subject[one])} in {places[0]}"
        )
    return {"template": ids, "subject": subject[first]}


def _names(filename: np.ndarray, tables: list[Any]) -> np.ndarray:
    """FILENAME, with the box behind it where a file has several."""
    if not all(name in table.column_names for table in tables for name in BOX):
        return filename
    box = np.stack([np.concatenate([table[name].to_numpy() for table in tables]) for name in BOX], axis=1)
    file = codes(filename)
    boxes = np.unique(np.column_stack([file, box]), axis=0)
    several = (np.bincount(boxes[:, 0]) > 1)[file]
    name = filename.copy()
    name[several] = [
        f"{file}#{','.join(map(str, corner))}" for file, corner in zip(filename[several], box[several], strict=True)
    ]
    return name


def _media(filename: np.ndarray, tables: list[Any]) -> np.ndarray:
    if all("MEDIA_ID" in table.column_names for table in tables):
        return np.concatenate([table["MEDIA_ID"].to_numpy() for table in tables])
    logger.info("no MEDIA_ID: every file is a medium of its own, so that each frame of a video counts as a photograph")
    return codes(filename)


def _first_file(template: np.ndarray, file: np.ndarray) -> np.ndarray:
    """The first file in which the template of each row occurs."""
    _, first, inverse = np.unique(template, return_index=True, return_inverse=True)
    return file[first][inverse]


def _check_same(paths: list[Path], template: np.ndarray, file: np.ndarray, name: np.ndarray, first: np.ndarray) -> None:
    """A template in several files must have the same faces in each: the same names the same number of times."""
    ids, at = np.unique(template, return_inverse=True)
    mixed = (codes(name).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    sums = np.zeros((len(paths), len(ids)), np.uint64)
    np.add.at(sums, (file, at), mixed)
    wrong = np.flatnonzero(sums[file, at] != sums[first, at])
    if wrong.size:
        row = wrong[0]
        raise InputError(
            f"{paths[file[row]]}: template {id_text(template[row])} has other faces than in {paths[first[row]]}; a "
            "template is the same everywhere"
        )
