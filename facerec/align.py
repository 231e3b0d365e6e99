"""From photographs to faces: detection, and a crop in ArcFace alignment of each face."""

from __future__ import annotations

import functools
import inspect
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec

import cv2
import numpy as np
from tqdm import tqdm

from facerec.artifacts import InputError, read_json, write_json, write_table
from facerec.stages import Results, stage
from facerec.store import LIST, Store, UnreadableFace, open_store, write_list
from facerec.workers import spread

P = ParamSpec("P")
BLOCK = 32
NOTES = ".progress"
CHOICES = ("largest", "centre", "all")
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
        faces: One of `CHOICES`.
        threshold: Lowest score of a face.
        sizes: Sides of the squares that photographs are fitted into, None for the detector's own.
        size: Side of a crop.
        jpeg_quality: Of the crops, or None for PNG.
    """

    store: Store
    names: list[str]
    out: Path
    detector: Path
    faces: str
    threshold: float
    sizes: list[int] | None
    size: int
    jpeg_quality: int | None


def _by_name(function: Callable[P, Path]) -> Callable[P, Path]:
    """Finds the detector's file before the stage looks at its inputs: the file's contents are what counts."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Path:
        from facerec.detect import find_detector  # slow to import

        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.arguments["detector"] = find_detector(bound.arguments["detector"])
        return function(*bound.args, **bound.kwargs)

    return wrapper


@_by_name
@stage("facerec align", resumable=True, incidental=["workers"])
def align(
    photographs: Path,
    detector: Path,
    out: Path,
    faces: str = "largest",
    threshold: float = 0.5,
    detection_size: int | list[int] | None = None,
    size: int = 112,
    jpeg_quality: int | None = None,
    workers: int = 2,
) -> Results:
    """Finds the faces in photographs and makes a face store of aligned crops, under the photographs' relative paths.

    Writes ``faces.tsv`` (the store), ``faces.csv`` (for each face its crop, photograph, score, box and landmarks; row i
    is row i of the store) and ``missing.csv`` (photographs without a face or that cannot be read, and why).
    What was done before an interruption is kept. The files are the same whatever the number of workers.

    Args:
        photographs: A folder of photographs, or any face store.
        detector: A detector with five landmarks in ONNX (SCRFD, RetinaFace), or the name of one in
            ``~/.insightface/models``, e.g. buffalo_l.
        out: Folder for the crops.
        faces: Of several faces in a photograph: largest; centre (area less twice the squared distance from the centre);
            or all, numbered ``.000``, ``.001`` from the highest score down.
        threshold: Lowest detection score of a face.
        detection_size: Side of the square that a photograph is fitted into for detection, in pixels, a multiple of 32;
            several as [128,640]. Without it [128,640] as in insightface: 640 finds small faces, 128 those that fill
            their photograph. Less is faster.
        size: Side of a crop in pixels, a multiple of 112 or of 128 (the same face with a wider border).
        jpeg_quality: 1 to 100 for JPEG; without it PNG, whose pixels are those that were cut out.
        workers: Processes, each with one thread.
    """
    sizes = [detection_size] if isinstance(detection_size, int) else detection_size
    _check(faces, threshold, sizes, size, jpeg_quality, workers)
    if photographs.resolve() in out.resolve().parents:
        raise InputError(f"{out.parent}: --out lies in --photographs {photographs}; crops would count as photographs")
    store = open_store(photographs)
    job = Job(store, _crop_names(store), out, detector, faces, threshold, sizes, size, jpeg_quality)
    _begin(job)
    blocks = range(-(-len(store) // BLOCK))
    pending = [block for block in blocks if not _note(out, block).exists()]
    with tqdm(total=len(store), desc="align", unit=" photographs", disable=None) as bar:
        bar.update(len(store) - sum(len(_rows(store, block)) for block in pending))
        for done in spread(_align_block, pending, workers, _begin, job):
            bar.update(done)
    results = _collect(store, out, [_note(out, block) for block in blocks])
    shutil.rmtree(out / NOTES)
    return results


def choose_face(boxes: np.ndarray, height: int, width: int, rule: str) -> int:
    """Which of several faces is the photograph's.

    Args:
        boxes: float [n, 4], left, top, right, bottom.
        height: Of the photograph.
        width: Of the photograph.
        rule: ``"largest"``; or ``"centre"``, insightface's own: area less twice the squared distance from the centre.
    """
    left, top, right, bottom = boxes.T
    value = (right - left) * (bottom - top)
    if rule == "centre":
        value = value - 2 * (((left + right) / 2 - width // 2) ** 2 + ((top + bottom) / 2 - height // 2) ** 2)
    return int(np.argmax(value))


def _check(faces: str, threshold: float, sizes: list[int] | None, size: int, quality: int | None, workers: int) -> None:
    if faces not in CHOICES:
        raise InputError(f"--faces {faces}; choose one of {', '.join(CHOICES)}")
    if not 0 < threshold < 1:
        raise InputError(f"--threshold {threshold}; scores lie between 0 and 1, choose e.g. 0.5")
    if sizes is not None and (not sizes or not all(32 <= side <= 4096 and side % 32 == 0 for side in sizes)):
        raise InputError(f"--detection-size {sizes}; multiples of 32 between 32 and 4096, e.g. 640 or [128,640]")
    if not 112 <= size <= 1024 or (size % 112 and size % 128):
        raise InputError(f"--size {size}; a multiple of 112 or 128 up to 1024")
    if quality is not None and not 1 <= quality <= 100:
        raise InputError(f"--jpeg-quality {quality}; between 1 and 100")
    if not 1 <= workers <= 1024:
        raise InputError(f"--workers {workers}; between 1 and 1024")


def _crop_names(store: Store) -> list[str]:
    """Of each photograph its relative path without suffix; with it where two would have the same name."""
    paths = ["/".join(part for part in key.split("/") if part not in ("", ".", "..")) for key in store.keys]
    stems = [os.path.splitext(path)[0] for path in paths]  # noqa: PTH122 (of many)
    counts = Counter(stems)
    names = [stem if counts[stem] == 1 else path for stem, path in zip(stems, paths, strict=True)]
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(f"{store.path}: the crops of {times} photographs would be named {name}; rename some of them")
    return names


_process: dict[str, Any] = {}


def _begin(job: Job) -> None:
    """Prepares this process: its detector, and OpenCV without further threads."""
    from facerec.detect import Detector

    cv2.setNumThreads(1)
    _process.update(job=job, detector=Detector(job.detector, job.sizes, job.threshold))


def _align_block(block: int) -> int:
    job: Job = _process["job"]
    faces: list[list[Any]] = []
    missing: list[list[str]] = []
    rows = _rows(job.store, block)
    for row in rows:
        try:
            found = _align_photograph(job, row)
            if not found:
                missing.append([job.store.keys[row], NO_FACE])
            faces += found
        except UnreadableFace as error:
            missing.append([error.key, error.reason])
    write_json(_note(job.out, block), {"faces": faces, "missing": missing})
    return len(rows)


def _align_photograph(job: Job, row: int) -> list[list[Any]]:
    """Writes the crops of a photograph; returns its rows of ``faces.csv``."""
    from facerec.detect import align_face

    image = job.store.read(row)
    height, width = image.shape[:2]
    key, name = job.store.keys[row], job.names[row]
    try:
        scores, boxes, landmarks = _process["detector"](image)
        several = range(len(scores))
        chosen = several if job.faces == "all" or not scores.size else [choose_face(boxes, height, width, job.faces)]
        crops = [align_face(image, landmarks[face], job.size) for face in chosen]
    except cv2.error:
        raise UnreadableFace(key, f"{width}x{height} pixels, a shape that cannot be worked on") from None
    lines = []
    for face, crop in zip(chosen, crops, strict=True):
        file = (f"{name}.{face:03d}" if job.faces == "all" else name) + _suffix(job)
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


def _note(out: Path, block: int) -> Path:
    return out / NOTES / f"{block:07d}.json"


def _rows(store: Store, block: int) -> range:
    return range(block * BLOCK, min((block + 1) * BLOCK, len(store)))


def _suffix(job: Job) -> str:
    return ".png" if job.jpeg_quality is None else ".jpg"
