"""The files of an IJB-C protocol, in the layout of insightface's ``meta`` folder.

    *_face_tid_mid.txt          face name, template, media        one face a line
    *_template_pair_label.txt   template, template, 1 or 0        one pair a line, 1 for the same subject
    *_1N_gallery_G1.csv, ...    TEMPLATE_ID, SUBJECT_ID, ...      one face a line, with a header
    *_1N_probe_mixed.csv        the same

Template ids are names: they need be neither consecutive nor sorted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facerec.artifacts import InputError

FACES, PAIRS = "_face_tid_mid.txt", "_template_pair_label.txt"
GALLERIES = {"G1": "_1N_gallery_G1.csv", "G2": "_1N_gallery_G2.csv"}
PROBES = "_1N_probe_mixed.csv"


@dataclass(frozen=True)
class Faces:
    """Which face belongs to which template and media; arrays of [n], line by line.

    Attributes:
        path: The file.
        names: pyarrow string array.
        template: int64 template ids.
        media: int64 media ids; faces of one template with the same media id are frames of one video.
    """

    path: Path
    names: Any
    template: np.ndarray
    media: np.ndarray


@dataclass(frozen=True)
class Pairs:
    """The 1:1 comparisons; arrays of [p]."""

    path: Path
    first: np.ndarray
    second: np.ndarray
    genuine: np.ndarray


@dataclass(frozen=True)
class Subjects:
    """A gallery or the probes: the subject of each template; arrays of [t], by rising template id."""

    path: Path
    template: np.ndarray
    subject: np.ndarray


@dataclass(frozen=True)
class Protocol:
    """Everything in a protocol folder."""

    faces: Faces
    pairs: Pairs
    galleries: dict[str, Subjects]
    probes: Subjects


def load_protocol(folder: Path) -> Protocol:
    """Reads a folder of protocol files, found by the ends of their names.

    Raises:
        InputError: A file that is missing, there twice, empty or malformed (naming the line), a template with two
            subjects, or a gallery, probe or pair with a template that has no faces.
    """
    paths = {end: _find(folder, end) for end in (FACES, PAIRS, *GALLERIES.values(), PROBES)}
    faces = load_faces(paths[FACES])
    galleries = {name: load_subjects(paths[end]) for name, end in GALLERIES.items()}
    probes = load_subjects(paths[PROBES])
    templates = np.unique(faces.template)
    for listed in (*galleries.values(), probes):
        unknown = np.setdiff1d(listed.template, templates)
        if unknown.size:
            line = _line_of(listed.path, 1 + _first_row(listed.path, "TEMPLATE_ID", unknown[0]))
            raise InputError(f"{listed.path} line {line}: template {unknown[0]} has no faces in {faces.path.name}")
    return Protocol(faces, load_pairs(paths[PAIRS]), galleries, probes)


def load_faces(path: Path) -> Faces:
    """Reads ``name template media`` lines."""
    table = _read(path, {"name": "string", "template": "int64", "media": "int64"})
    return Faces(path, table["name"].combine_chunks(), table["template"].to_numpy(), table["media"].to_numpy())


def load_pairs(path: Path) -> Pairs:
    """Reads ``template template label`` lines; label 1 is a genuine pair, 0 an impostor pair."""
    table = _read(path, {"first": "int64", "second": "int64", "label": "int64"})
    label = table["label"].to_numpy()
    bad = np.flatnonzero((label != 0) & (label != 1))
    if bad.size:
        raise InputError(
            f"{path} line {_line_of(path, bad[0])}: label {label[bad[0]]}; expected 1 (genuine) or 0 (impostor)"
        )
    for value, name in [(1, "genuine"), (0, "impostor")]:
        if not np.any(label == value):
            raise InputError(f"{path}: no {name} pair (label {value}) in {len(label)} lines; both kinds are needed")
    return Pairs(path, table["first"].to_numpy(), table["second"].to_numpy(), label == 1)


def load_subjects(path: Path) -> Subjects:
    """Reads ``TEMPLATE_ID`` and ``SUBJECT_ID`` of a gallery or probe file; one line a face, so lines repeat.

    Raises:
        InputError: A missing, empty or malformed file, or a template with two subjects.
    """
    table = _read(path, {"TEMPLATE_ID": "int64", "SUBJECT_ID": "int64"}, header=True)
    lines, subject = table["TEMPLATE_ID"].to_numpy(), table["SUBJECT_ID"].to_numpy()
    template, first, inverse = np.unique(lines, return_index=True, return_inverse=True)
    differs = np.flatnonzero(subject != subject[first][inverse])
    if differs.size:
        row = differs[0]
        raise InputError(
            f"{path} line {_line_of(path, 1 + row)}: template {lines[row]} is of subject {subject[row]} here "
            f"and of subject {subject[first][inverse][row]} in line {_line_of(path, 1 + first[inverse[row]])}"
        )
    return Subjects(path, template, subject[first])


def positions(templates: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where ids stand in the sorted `templates`, int32, -1 for those that are not there."""
    index = np.minimum(np.searchsorted(templates, wanted), len(templates) - 1).astype(np.int32)
    index[templates[index] != wanted] = -1
    return index


def pair_positions(pairs: Pairs, templates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sides of the pairs as positions in the sorted template ids, int32 [p].

    Raises:
        InputError: A template that has no faces.
    """
    first, second = (positions(templates, side) for side in (pairs.first, pairs.second))
    unknown = np.flatnonzero((first < 0) | (second < 0))
    if unknown.size:
        row = unknown[0]
        template = pairs.first[row] if first[row] < 0 else pairs.second[row]
        raise InputError(
            f"{pairs.path} line {_line_of(pairs.path, row)}: template {template} has no faces in the protocol"
        )
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
            f"{faces.path} line {_line_of(faces.path, missing[0])}: face {faces.names[int(missing[0])].as_py()!r} has "
            f"no embedding in {source} ({missing.size} of {len(faces.names)} faces are missing there)"
        )
    return found.to_numpy().astype(np.int64)


def _find(folder: Path, end: str) -> Path:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; --protocol wants the folder of the protocol files")
    found = sorted(path for path in folder.iterdir() if path.name.endswith(end))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise InputError(f"{folder}: expected one file that ends in {end}, found {names}")
    return found[0]


def _read(path: Path, columns: dict[str, str], header: bool = False) -> Any:
    """Columns of integers and strings, by pyarrow; its complaints get the line they are about."""
    import pyarrow as pa
    from pyarrow import csv

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    delimiter = "," if header else " "
    names = list(columns)
    try:
        table = csv.read_csv(
            path,
            csv.ReadOptions(column_names=None if header else names),
            csv.ParseOptions(delimiter=delimiter, quote_char='"' if header else False),
            csv.ConvertOptions(
                column_types={name: pa.type_for_alias(kind) for name, kind in columns.items()},
                include_columns=names,
                null_values=[],
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise InputError(_diagnose(path, columns, delimiter, header) or f"{path}: {error}") from None
    if not len(table):
        raise InputError(f"{path}: no lines; expected {' '.join(names)}")
    return table


def _diagnose(path: Path, columns: dict[str, str], delimiter: str, header: bool) -> str | None:
    """What is wrong with a file that pyarrow refused: the slow way, to say where."""
    wanted = list(columns)
    names = wanted
    with path.open(encoding="utf-8", errors="replace") as file:
        filled = ((number, text.rstrip("\r\n")) for number, text in enumerate(file, 1) if text.strip())
        if header:
            names = next(filled, (0, ""))[1].split(delimiter)
            if absent := [name for name in wanted if name not in names]:
                return f"{path}: no column {' and '.join(absent)}; the header is {delimiter.join(names)!r}"
        for number, text in filled:
            fields = text.split(delimiter)
            if len(fields) != len(names):
                wants = f"expected {len(names)}: {delimiter.join(names)}"
                return f"{path} line {number}: {len(fields)} fields in {text!r}; {wants}"
            for name, field in zip(names, fields, strict=True):
                if columns.get(name) == "int64" and not _is_int64(field):
                    return f"{path} line {number}: {name} is {field!r}; expected a whole number"
    return f"{path}: no lines; expected {' '.join(wanted)}" if _filled_lines(path) == 0 else None


def _filled_lines(path: Path) -> int:
    """Lines that are not blank."""
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def _is_int64(text: str) -> bool:
    text = text.strip()
    return text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() and abs(int(text)) < 2**63


def _line_of(path: Path, row: int) -> int:
    """The line of a file, from 1, that holds its row (from 0; a header is row 0), blank lines not counted."""
    with path.open("rb") as file:
        filled = (number for number, line in enumerate(file, 1) if line.strip())
        return next(number for index, number in enumerate(filled) if index == row)


def _first_row(path: Path, column: str, value: int) -> int:
    return int(np.flatnonzero(_read(path, {column: "int64"}, header=True)[column].to_numpy() == value)[0])
