"""Faces that are known before alignment: landmarks of insightface's IJB lists, or boxes of a NIST protocol.

    name x1 y1 ... x5 y5 score                              *_name_5pts_score.txt, a picture a line
    TEMPLATE_ID,FILENAME,FACE_X,FACE_Y,FACE_WIDTH,FACE_HEIGHT,...    CSV files of a protocol, a face a line

A crop has the name by which the protocol knows its face: the picture's, or FILENAME#x,y,width,height where the protocol
has several boxes in a picture.
"""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facerec.alignment.crop import ORDER, is_mirrored
from facerec.alignment.stems import distinct_stems
from facerec.pipeline.counts import counted
from facerec.pipeline.files import InputError, read_lines, readable
from facerec.pipeline.keys import parts_inside, plain_key

logger = logging.getLogger(__name__)

LANDMARK_FIELDS = 12
"""Fields of a line of landmarks: the name, x and y of five points, the score."""

BOX = ("FACE_X", "FACE_Y", "FACE_WIDTH", "FACE_HEIGHT")
MARGIN = 0.5
"""Margin on each side of a box in which a face is looked for, too, as a share of the box's width or height."""

LEAST_OVERLAP = 0.2
"""Least intersection over union at which a detection counts as the face of a box."""


@dataclass(frozen=True)
class KnownFace:
    """A face in a photograph.

    Attributes:
        name: Name of its crop, without suffix.
        landmarks: float32 [5, 2], x and y of the eyes, the nose and the corners of the mouth; or None.
        box: x, y, width and height in pixels, in which the landmarks are to be found; or None.
        score: Score of the detector that found the landmarks, or nan.
    """

    name: str
    landmarks: np.ndarray | None
    box: tuple[int, int, int, int] | None
    score: float = math.nan


Known = Mapping[str, list[KnownFace]]
"""The faces of each photograph, by its key without a leading ``img/``."""


def read_landmarks(path: Path) -> Known:
    """Reads insightface's list. A warning counts mirrored landmarks.

    Raises:
        InputError: Missing, empty or malformed, naming the line; a picture twice; landmarks that are mostly mirrored.
    """
    names, faces = [], []
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        fields = line.split()
        values = _floats(fields[1:])
        if len(fields) != LANDMARK_FIELDS or values is None:
            raise InputError(f"{path} line {number}: {line[:80]!r}; expected a name, ten coordinates and a score")
        points = np.array(values[:10], np.float32).reshape(5, 2)
        if not np.ptp(points, axis=0).any():
            raise InputError(f"{path} line {number}: {fields[0]!r} has all five landmarks at one point; leave it out")
        names.append(fields[0])
        faces.append((points, values[10]))
    if not names:
        raise InputError(f"{path}: no lines; expected a name, ten coordinates and a score a line")
    mirrored = np.flatnonzero(is_mirrored(np.stack([points for points, _ in faces]).astype(np.float64)))
    if len(mirrored):
        found = f"landmarks of {len(mirrored)} of {counted(len(faces), 'face')} are mirrored"
        if 2 * len(mirrored) > len(faces):
            raise InputError(f"{path}: {found}; {ORDER}")
        logger.warning(
            "%s: %s, first those of %s; their crops show no faces; %s", path, found, names[mirrored[0]], ORDER
        )
    stems = _stems(path, names)
    return {
        plain_key(name): [KnownFace(stem, points, None, score)]
        for name, stem, (points, score) in zip(names, stems, faces, strict=True)
    }


def read_boxes(path: Path) -> Known:
    """Reads the boxes of a protocol: a CSV file, or all that a folder has with columns TEMPLATE_ID, FILENAME and BOX.

    Raises:
        InputError: No such file, a malformed line, or a picture with two names.
    """
    files = [file for file in sorted(path.rglob("*.csv")) if not _is_hidden(file, path)] if path.is_dir() else [path]
    boxes: dict[str, set[tuple[int, int, int, int]]] = {}
    for file in files:
        for name, box in _boxes_of(file, path.is_dir()):
            boxes.setdefault(name, set()).add(box)
    if not boxes:
        raise InputError(f"{path}: no CSV file with columns TEMPLATE_ID, FILENAME and {', '.join(BOX)}")
    stems = dict(zip(boxes, _stems(path, list(boxes)), strict=True))
    return {
        plain_key(name): [
            KnownFace(stems[name] if len(found) == 1 else _name_of_box(name, box), None, box) for box in sorted(found)
        ]
        for name, found in boxes.items()
    }


def _name_of_box(name: str, box: tuple[int, int, int, int]) -> str:
    """The name of a crop of a picture with several boxes, which leads to no other folder."""
    return f"{'/'.join(parts_inside(name))}#{','.join(map(str, box))}"


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def window(box: tuple[int, int, int, int], height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of a photograph in which the face of a box is looked for: the box and a margin around it."""
    left, top, across, down = box
    rows = slice(max(0, int(top - MARGIN * down)), min(height, int(top + (1 + MARGIN) * down) + 1))
    columns = slice(max(0, int(left - MARGIN * across)), min(width, int(left + (1 + MARGIN) * across) + 1))
    return rows, columns


def best_overlap(boxes: np.ndarray, box: tuple[int, int, int, int]) -> int | None:
    """Which of some detections is the face of a box: that of the largest intersection over union.

    Args:
        boxes: float [n, 4], left, top, right, bottom.
        box: x, y, width, height.

    Returns:
        The row of its box; None if no detection overlaps by `LEAST_OVERLAP`.
    """
    if not len(boxes):
        return None
    left, top, across, down = box
    sides = np.minimum(boxes[:, 2:], [left + across, top + down]) - np.maximum(boxes[:, :2], [left, top])
    common = np.prod(np.maximum(sides, 0), axis=1)
    overlap = common / (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + across * down - common)
    best = int(np.argmax(overlap))
    return best if overlap[best] >= LEAST_OVERLAP else None


def _stems(path: Path, names: list[str]) -> list[str]:
    """Names without suffix, or with it where two would be the same.

    Raises:
        InputError: One name twice, or with and without ``img/``.
    """
    pictures: dict[str, str] = {}
    for name in names:
        if (first := pictures.setdefault(plain_key(name), name)) != name:
            raise InputError(f"{path}: {first} and {name} are one picture; write its name in one way")
    return distinct_stems(
        names, lambda name, times: f"{path}: {name} stands there {times} times; a picture has one line"
    )


def _boxes_of(file: Path, optional: bool) -> Iterable[tuple[str, tuple[int, int, int, int]]]:
    """Name and box of each line of a CSV file; nothing from one without these columns if that is allowed."""
    lines = read_lines(file)
    first = lines[0] if lines else ""
    delimiter = next((each for each in ("\t", ";") if each in first and "," not in first), ",")
    header = [name.strip().upper() for name in first.split(delimiter)]
    if absent := [name for name in ("TEMPLATE_ID", "FILENAME", *BOX) if name not in header]:
        if optional:
            return
        raise InputError(f"{file}: no column {' and '.join(absent)}; the header is {first[:120]!r}")
    at = [header.index(name) for name in ("FILENAME", *BOX)]
    with readable(file, "CSV"):
        for number, fields in enumerate(csv.reader(lines[1:], delimiter=delimiter), 2):
            if not fields:
                continue
            box = _floats([fields[place] for place in at[1:]]) if len(fields) == len(header) else None
            if box is None or min(box[2:]) <= 0 or any(value != int(value) for value in box):
                raise InputError(f"{file} line {number}: {','.join(fields)[:80]!r}; expected a box of whole pixels")
            yield fields[at[0]], (int(box[0]), int(box[1]), int(box[2]), int(box[3]))


def _floats(fields: list[str]) -> list[float] | None:
    try:
        values = [float(field) for field in fields]
    except ValueError:
        return None
    return values if all(map(math.isfinite, values)) else None
