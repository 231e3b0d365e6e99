"""From photographs to faces: detection, and a crop in ArcFace alignment of each face."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import cv2
import numpy as np

from facerec.alignment.crop import choose_face, cut_out, lies_outside
from facerec.alignment.known_faces import Known, KnownFace, best_overlap, window
from facerec.alignment.stems import distinct_stems
from facerec.pipeline.counts import counted
from facerec.pipeline.files import InputError, read_json, write_json, write_table
from facerec.pipeline.keys import plain_key
from facerec.pipeline.progress import progress
from facerec.pipeline.values import MOST_NAME
from facerec.pipeline.worker_pool import spread
from facerec.stores.folder import write_list
from facerec.stores.store import LIST, Store, UnreadableFace

logger = logging.getLogger(__name__)

BLOCK = 32
"""Photographs that a process aligns before it notes what it found."""

NOTES = ".progress"
"""The folder of these notes, below the folder of crops; an interrupted run goes on from them."""

Choice = Literal["largest", "centre", "all"]
LONGEST_ENDING = ".000.png"
"""What the name of a crop has behind that of its photograph."""

NO_FACE, NOT_LISTED = "no face found", "not in the list"
POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
HEADER = (
    "crop", "photograph", "found", "score", "left", "top", "right", "bottom",
    *(f"{point}_{axis}" for point in POINTS for axis in "xy"),
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """What every process that aligns photographs needs to know.

    Attributes:
        store: The photographs.
        names: Name of each photograph's crops, its path without suffix; empty where `known` names the crops.
        out: The folder of crops.
        detector: The detector's .onnx file; None where all landmarks are known.
        faces: Which face to keep of a photograph with several.
        threshold: Lowest score of a face.
        sizes: Sides of the squares that photographs are fitted into, None for the detector's own.
        size: Side of a crop.
        jpeg_quality: Quality of the crops as JPEG, or None for PNG.
        known: The faces of each photograph where they are known beforehand, or None.
    """

    store: Store
    names: list[str]
    out: Path
    detector: Path | None
    faces: Choice
    threshold: float
    sizes: list[int] | None
    size: int
    jpeg_quality: int | None
    known: Known | None = None

    def crop_file(self, row: int, face: int) -> str:
        """The name of a crop, from the number of the photograph and that of the face in it."""
        number = f".{face:03d}" if self.faces == "all" else ""
        return self.with_suffix(f"{self.names[row]}{number}")

    def with_suffix(self, name: str) -> str:
        """The file of a crop, from its name."""
        return f"{name}.{'png' if self.jpeg_quality is None else 'jpg'}"


def align_photographs(job: Job, workers: int) -> Mapping[str, int]:
    """Aligns all photographs of a job, except those that an interrupted run noted as finished, and writes the tables.

    Raises:
        InputError: A detector that cannot be used, or no face in any photograph.
    """
    blocks = range(-(-len(job.store) // BLOCK))
    notes = [_note_file(job.out, block) for block in blocks]
    with ExitStack() as afterwards:
        afterwards.callback(cv2.setNumThreads, cv2.getNumThreads())  # `Aligner` sets one
        aligner = Aligner(job)
        pending = [block for block in blocks if not notes[block].exists()]
        done_before = len(job.store) - sum(len(block_rows(job.store, block)) for block in pending)
        with progress(None, "align", "photographs", len(job.store), done_before) as bar:
            for done in spread(aligner, pending, workers):
                bar.update(done)
    results = _collect(job.store, job.out, notes)
    shutil.rmtree(job.out / NOTES)
    _say(job, results)
    return results


def _say(job: Job, results: Mapping[str, int]) -> None:
    """Warns of faces that were left out and of photographs without a face."""
    if results["faces_left_out"] and job.known is None:
        logger.warning(
            "%s: %d of %d photographs show several faces; of each one was kept (--faces %s) and %d faces were left "
            "out. --faces all keeps them", job.store.path, results["several_faces"], results["photographs"], job.faces,
            results["faces_left_out"],
        )  # fmt: skip
    if results["no_face"] or results["unreadable"]:
        logger.warning(
            "%s: no face in %d, %d cannot be read; see missing.csv", job.store.path, results["no_face"],
            results["unreadable"],
        )  # fmt: skip


def crop_names(store: Store) -> list[str]:
    """Of each photograph its relative path without suffix; with it where two would have the same name.

    Raises:
        InputError: Two photographs with one name, a crop with the name of a folder, or names too long for the files of
            their crops.
    """

    def complaint(name: str, times: int) -> str:
        return f"{store.path}: the crops of {times} photographs would be named {name}; rename some of them"

    names = distinct_stems(store.keys, complaint)
    _refuse_folders(store, names)
    most = MOST_NAME - len(LONGEST_ENDING)
    if long := [name for name in names if len(os.fsencode(name.rpartition("/")[2])) > most]:
        raise InputError(
            f"{store.path}: {counted(len(long), 'name')} of more than {most} bytes, too long for the crops, such as "
            f"{long[0].rpartition('/')[2][:40]!r}...; give the photographs shorter names"
        )
    return names


def _refuse_folders(store: Store, names: Sequence[str]) -> None:
    """Refuses a photograph ``a.jpg`` beside a folder ``a.png`` or ``a.000.png``, which a crop of it would be named."""
    folders = {name.rpartition("/")[0] for name in names}
    folders |= {each.as_posix() for folder in folders for each in PurePosixPath(folder).parents}
    taken: dict[str, str] = {}
    for folder in folders:
        stem, suffix = os.path.splitext(folder)  # noqa: PTH122 (as in stems)
        if suffix in (".png", ".jpg"):
            taken |= {stem: folder, re.sub(r"\.\d{3,}$", "", stem): folder}
    for name in names if taken else []:
        if name in taken:
            raise InputError(
                f"{store.path}: a crop of {name} could be named {taken[name]}, which is a folder; rename one of them"
            )


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
        self.job = job
        self.detector = Detector(job.detector, job.sizes, job.threshold) if job.detector else None

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
                if self.job.known is not None:
                    found, without = self._align_known(row)
                    missing += without
                else:
                    found = self._align_photograph(row)
                    missing += [] if found else [[store.keys[row], NO_FACE]]
                faces += found
            except UnreadableFace as error:
                store.refuse_if_gone()
                missing.append([error.key, error.reason])
        write_json(_note_file(self.job.out, block), {"faces": faces, "missing": missing})
        return len(rows)

    def _align_photograph(self, row: int) -> list[list[Any]]:
        """Writes the crops of a photograph; returns its rows of ``faces.csv``."""
        job = self.job
        image = job.store.read(row)
        height, width = image.shape[:2]
        key = job.store.keys[row]
        assert self.detector is not None
        try:
            scores, boxes, landmarks = self.detector(image)
            every = job.faces == "all" or not scores.size
            chosen = range(len(scores)) if every else [choose_face(boxes, height, width, job.faces)]
            crops = [cut_out(image, landmarks[face], job.size) for face in chosen]
        except cv2.error:
            raise UnreadableFace(key, f"{width}x{height} pixels, a shape that cannot be worked on") from None
        lines = []
        for face, crop in zip(chosen, crops, strict=True):
            file = job.crop_file(row, face)
            _write(job.out / file, crop, job.jpeg_quality)
            lines.append([file, key, len(scores), *_places(scores[face], boxes[face], landmarks[face])])
        return lines

    def _align_known(self, row: int) -> tuple[list[list[Any]], list[list[str]]]:
        """Writes the crops of a photograph's known faces; its rows of ``faces.csv`` and of ``missing.csv``."""
        job, key = self.job, self.job.store.keys[row]
        assert job.known is not None
        listed = job.known.get(plain_key(key), [])
        if not listed:
            return [], [[key, NOT_LISTED]]
        image = job.store.read(row)
        lines, missing = [], []
        for face in listed:
            found = self._find(image, face)
            if found is None:
                place = ": its landmarks lie outside of the photograph"
                if face.box is not None:
                    place = f" in the box {','.join(map(str, face.box))}"
                missing.append([key, f"{NO_FACE}{place}"])
                continue
            file = job.with_suffix(face.name)
            _write(job.out / file, cut_out(image, found[2], job.size), job.jpeg_quality)
            lines.append([file, key, len(listed), *_places(*found)])
        return lines, missing

    def _find(self, image: np.ndarray, face: KnownFace) -> tuple[float, np.ndarray, np.ndarray] | None:
        """Score, box (left, top, right, bottom) and landmarks of a known face; None if it is not found in its box."""
        if face.landmarks is not None:
            if lies_outside(face.landmarks, image):
                return None  # landmarks of another photograph or another size of it
            box = np.concatenate([face.landmarks.min(axis=0), face.landmarks.max(axis=0)])
            return face.score, box, face.landmarks
        assert face.box is not None
        assert self.detector is not None
        rows, columns = window(face.box, *image.shape[:2])
        part = np.ascontiguousarray(image[rows, columns])
        try:
            scores, boxes, landmarks = self.detector(part) if part.size else (np.empty(0), np.empty((0, 4)), None)
        except cv2.error:  # a box so flat that nothing is left of it when it is fitted
            return None
        shift = np.array([columns.start, rows.start], np.float32)
        best = best_overlap(boxes + np.tile(shift, 2), face.box)
        if best is None or landmarks is None:
            return None
        return float(scores[best]), boxes[best] + np.tile(shift, 2), landmarks[best] + shift


def _places(score: float, box: np.ndarray, landmarks: np.ndarray) -> list[float]:
    """Score, box and landmarks as ``faces.csv`` has them."""
    return [round(float(score), 4), *(round(float(x), 2) for x in (*box, *landmarks.ravel()))]


def _write(path: Path, crop: np.ndarray, quality: int | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [] if quality is None else [cv2.IMWRITE_JPEG_QUALITY, quality]
    path.write_bytes(cv2.imencode(path.suffix, crop[..., ::-1], options)[1].tobytes())


def _collect(store: Store, out: Path, notes: Sequence[Path]) -> Mapping[str, int]:
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
    no_face = sum(count for reason, count in reasons.items() if reason.startswith(NO_FACE))
    several = {face[1]: face[2] for face in _noted(notes, "faces") if face[2] > 1}
    return {
        "photographs": len(store),
        "faces": faces,
        "several_faces": len(several),
        "faces_left_out": sum(several.values()) - sum(face[1] in several for face in _noted(notes, "faces")),
        "no_face": no_face,
        "unreadable": reasons.total() - no_face - reasons[NOT_LISTED],
        **({"not_listed": reasons[NOT_LISTED]} if reasons[NOT_LISTED] else {}),
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
