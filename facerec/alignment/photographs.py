"""From photographs to faces: detection, and a crop in ArcFace alignment of each face."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from facerec.alignment.crop import choose_face
from facerec.pipeline.files import InputError, read_json, write_json, write_table
from facerec.pipeline.progress import progress
from facerec.pipeline.stage import Results
from facerec.pipeline.worker_pool import spread
from facerec.stores.folder import write_list
from facerec.stores.store import LIST, Store, UnreadableFace

BLOCK = 32
NOTES = ".progress"
Choice = Literal["largest", "centre", "all"]
NO_FACE = "no face found"
POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
HEADER = (
    "crop", "photograph", "found", "score", "left", "top", "right", "bottom",
    *(f"{point}_{axis}" for point in POINTS for axis in "xy"),
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """What every process knows.

    Attributes:
        store: The photographs.
        names: Of each photograph's crops, the path without suffix.
        out: Where they go.
        detector: The .onnx file.
        faces: Which of several faces: a `Choice`.
        threshold: Lowest score of a face.
        sizes: Sides of the squares that photographs are fitted into, None for the detector's own.
        size: Side of a crop.
        jpeg_quality: Of the crops, or None for PNG.
    """

    store: Store
    names: list[str]
    out: Path
    detector: Path
    faces: Choice
    threshold: float
    sizes: list[int] | None
    size: int
    jpeg_quality: int | None

    def crop_file(self, row: int, face: int) -> str:
        """The name of a crop, from the number of the photograph and that of the face in it."""
        number = f".{face:03d}" if self.faces == "all" else ""
        return f"{self.names[row]}{number}.{'png' if self.jpeg_quality is None else 'jpg'}"


def align_photographs(job: Job, workers: int) -> Results:
    """Aligns all photographs of a job, except those that an interrupted run noted as finished, and writes the tables.

    Raises:
        InputError: A detector that cannot be used, or no face in any photograph.
    """
    aligner = Aligner(job)
    blocks = range(-(-len(job.store) // BLOCK))
    notes = [_note_file(job.out, block) for block in blocks]
    pending = [block for block in blocks if not notes[block].exists()]
    done_before = len(job.store) - sum(len(block_rows(job.store, block)) for block in pending)
    with progress(None, "align", "photographs", len(job.store), done_before) as bar:
        for done in spread(aligner, pending, workers):
            bar.update(done)
    results = _collect(job.store, job.out, notes)
    shutil.rmtree(job.out / NOTES)
    return results


def crop_names(store: Store) -> list[str]:
    """Of each photograph its relative path without suffix; with it where two would have the same name."""
    paths = ["/".join(part for part in key.split("/") if part not in ("", ".", "..")) for key in store.keys]
    stems = [os.path.splitext(path)[0] for path in paths]  # noqa: PTH122 (of many)
    counts = Counter(stems)
    names = [stem if counts[stem] == 1 else path for stem, path in zip(stems, paths, strict=True)]
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(f"{store.path}: the crops of {times} photographs would be named {name}; rename some of them")
    return names


class Aligner:
    """Aligns blocks of photographs. Pickled, it is its job; each process loads the detector anew.

    Args:
        job: What to do.

    Raises:
        InputError: See `facerec.alignment.detector.Detector`.
    """

    def __init__(self, job: Job):
        from facerec.alignment.detector import Detector

        cv2.setNumThreads(1)
        self.job, self.detector = job, Detector(job.detector, job.sizes, job.threshold)

    def __reduce__(self) -> tuple[type[Aligner], tuple[Job]]:
        return Aligner, (self.job,)

    def __call__(self, block: int) -> int:
        """Aligns a block of photographs and notes what was found; returns the number of photographs."""
        store = self.job.store
        faces: list[list[Any]] = []
        missing: list[list[str]] = []
        rows = block_rows(store, block)
        for row in rows:
            try:
                found = self._align_photograph(row)
                if not found:
                    missing.append([store.keys[row], NO_FACE])
                faces += found
            except UnreadableFace as error:
                missing.append([error.key, error.reason])
        write_json(_note_file(self.job.out, block), {"faces": faces, "missing": missing})
        return len(rows)

    def _align_photograph(self, row: int) -> list[list[Any]]:
        """Writes the crops of a photograph; returns its rows of ``faces.csv``."""
        from facerec.alignment.crop import align_face

        job = self.job
        image = job.store.read(row)
        height, width = image.shape[:2]
        key = job.store.keys[row]
        try:
            scores, boxes, landmarks = self.detector(image)
            several = range(len(scores))
            every = job.faces == "all" or not scores.size
            chosen = several if every else [choose_face(boxes, height, width, job.faces)]
            crops = [align_face(image, landmarks[face], job.size) for face in chosen]
        except cv2.error:
            raise UnreadableFace(key, f"{width}x{height} pixels, a shape that cannot be worked on") from None
        lines = []
        for face, crop in zip(chosen, crops, strict=True):
            file = job.crop_file(row, face)
            _write(job.out / file, crop, job.jpeg_quality)
            places = [round(float(x), 2) for x in (*boxes[face], *landmarks[face].ravel())]
            lines.append([file, key, len(scores), round(float(scores[face]), 4), *places])
        return lines


def _write(path: Path, crop: np.ndarray, quality: int | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [] if quality is None else [cv2.IMWRITE_JPEG_QUALITY, quality]
    path.write_bytes(cv2.imencode(path.suffix, crop[..., ::-1], options)[1].tobytes())


def _collect(store: Store, out: Path, notes: Sequence[Path]) -> Results:
    """Writes the tables from the notes of all blocks, which are in the photographs' order."""
    identities = dict(zip(store.keys, store.identities, strict=True))
    write_table(out / "faces.csv", HEADER, _noted(notes, "faces"))
    write_table(out / "missing.csv", ("photograph", "reason"), _noted(notes, "missing"))
    write_list(out / LIST, ((face[0], identities[face[1]]) for face in _noted(notes, "faces")))
    faces = sum(1 for _ in _noted(notes, "faces"))
    if not faces:
        key, reason = next(_noted(notes, "missing"))
        raise InputError(f"{store.path}: no face in any of its {len(store)} photographs, e.g. {key}: {reason}")
    reasons = Counter(reason for _, reason in _noted(notes, "missing"))
    return {
        "photographs": len(store),
        "faces": faces,
        "several_faces": len({face[1] for face in _noted(notes, "faces") if face[2] > 1}),
        "no_face": reasons[NO_FACE],
        "unreadable": reasons.total() - reasons[NO_FACE],
    }


def _noted(notes: Sequence[Path], part: str) -> Iterator[list[Any]]:
    for note in notes:
        yield from read_json(note)[part]


def _note_file(out: Path, block: int) -> Path:
    """The file that notes what was found in a block."""
    return out / NOTES / f"{block:07d}.json"


def block_rows(store: Store, block: int) -> range:
    """The rows of a block of photographs."""
    return range(block * BLOCK, min((block + 1) * BLOCK, len(store)))
