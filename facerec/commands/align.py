"""The command ``align``: photographs to aligned face crops."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

from jsonargparse.typing import NonNegativeInt, OpenUnitInterval, PositiveInt

from facerec.alignment.known_faces import Known, read_boxes, read_landmarks
from facerec.alignment.photographs import Choice, Job, align_photographs, crop_names
from facerec.pipeline.counts import counted, told
from facerec.pipeline.files import InputError, refuse_inside
from facerec.pipeline.keys import plain_key
from facerec.pipeline.stage import Results, stage
from facerec.pipeline.values import as_path
from facerec.stores.open import open_store
from facerec.stores.pixels import MOST_PIXELS
from facerec.stores.store import Store

logger = logging.getLogger(__name__)
P = ParamSpec("P")
THRESHOLD = 0.5


def _by_name(function: Callable[P, Path]) -> Callable[P, Path]:
    """Replaces the name of a detector by its file, before the stage hashes its inputs."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Path:
        from facerec.alignment.detector import find_detector  # slow to import

        bound = inspect.signature(function).bind(*args, **kwargs)
        if bound.arguments.get("detector") is not None:
            bound.arguments["detector"] = find_detector(as_path("detector", bound.arguments["detector"]))
        return function(*bound.args, **bound.kwargs)

    return wrapper


@_by_name
@stage(
    "facerec align",
    resumable=True,
    incidental=["workers"],
    found=told("{faces:face} of {photographs:photograph}; {no_face:,} without a face (missing.csv)"),
    then="python -m facerec embed --model MODEL --faces {out} --out EMBEDDINGS",
)
def align(
    photographs: Path,
    out: Path,
    detector: Path | None = None,
    landmarks: Path | None = None,
    boxes: Path | None = None,
    faces: Choice = "largest",
    threshold: OpenUnitInterval = THRESHOLD,
    detection_size: int | list[int] | None = None,
    size: int = 112,
    jpeg_quality: int | None = None,
    workers: NonNegativeInt = 2,
    max_pixels: PositiveInt = MOST_PIXELS,
) -> Results:
    """Finds the faces in photographs and makes a face store of aligned crops, under the photographs' relative paths.

    With --landmarks or --boxes, faces are cut out and named as the list says. Photographs that are not in the list are
    left out.

    ``faces.tsv`` is the store. Row i of ``faces.csv`` has crop, photograph, score, box and landmarks of its face i.
    ``missing.csv`` lists photographs without a face or that cannot be read, and why. What was done before an
    interruption is kept. The files are the same whatever the number of workers.

    Args:
        photographs: A folder of photographs, or any face store.
        out: Folder for the crops.
        detector: A detector with five landmarks in ONNX (SCRFD, RetinaFace), or the name of one in
            ``~/.insightface/models``, e.g. buffalo_l. It is needed unless --landmarks is given.
        landmarks: Insightface's list for IJB-B and IJB-C, *_name_5pts_score.txt: a picture (of loose_crop), five
            landmarks and a score a line.
        boxes: A NIST protocol, a folder or a CSV file with columns TEMPLATE_ID, FILENAME, FACE_X, FACE_Y, FACE_WIDTH,
            FACE_HEIGHT. The detector looks for landmarks in each box.
        faces: Which of several faces in a photograph to take: largest; centre (area less twice the squared distance
            from the centre); or all, numbered ``.000``, ``.001`` from the highest score down.
        threshold: Lowest detection score of a face.
        detection_size: Side of the square that a photograph is fitted into for detection, in pixels, a multiple of 32;
            several as [128,640]. Without it [128,640] as in insightface: 640 finds small faces, 128 those that fill
            their photograph. Less is faster.
        size: Side of a crop in pixels, a multiple of 112, or of 128 (the same face with a wider border, for recognisers
            that take 128 pixels).
        jpeg_quality: 1 to 100 for JPEG; without it PNG, whose pixels are those that were cut out.
        workers: Processes, each with one thread; 0 and 1 work in this process.
        max_pixels: Height times width; a larger photograph is skipped before it is decoded.
    """
    sizes = [detection_size] if isinstance(detection_size, int) else detection_size
    _check(sizes, size, jpeg_quality)
    refuse_inside(out, "--photographs", photographs, "crops would count as photographs")
    if landmarks is not None:
        _refuse_detection(detector is not None, threshold != THRESHOLD, sizes is not None)
    known = _known(detector, landmarks, boxes)
    if known is not None and faces != "largest":
        raise InputError(f"--faces {faces} with --landmarks or --boxes; the list says which faces are cut out")
    store = open_store(photographs, max_pixels)
    if known is not None:
        _check_listed(landmarks or boxes, known, store)
    names = crop_names(store) if known is None else []
    job = Job(store, names, out, detector, faces, threshold, sizes, size, jpeg_quality, known)
    return align_photographs(job, workers)


def _known(detector: Path | None, landmarks: Path | None, boxes: Path | None) -> Known | None:
    """The faces of a list, if there is one."""
    if landmarks is not None and boxes is not None:
        raise InputError("--landmarks and --boxes; give one of them")
    if landmarks is not None:
        return read_landmarks(landmarks)
    if detector is None:
        raise InputError("no --detector; give one, e.g. buffalo_l, or the landmarks of all faces by --landmarks")
    return read_boxes(boxes) if boxes is not None else None


def _refuse_detection(*given: bool) -> None:
    """Refuses the options of detection that are given."""
    for option, there in zip(("--detector", "--threshold", "--detection-size"), given, strict=True):
        if there:
            raise InputError(f"{option} with --landmarks; nothing is detected where landmarks are given, so give one")


def _check_listed(file: Path | None, known: Known, store: Store) -> None:
    """Refuses a list of other photographs, and says how many of a list are not there."""
    there = {plain_key(key) for key in store.keys}
    absent = [name for name in known if name not in there]
    if len(absent) == len(known):
        raise InputError(f"{file}: none of its {len(known)} pictures, e.g. {absent[0]}, is in {store.path}")
    if absent:
        logger.warning(
            "%s: %d of its %s are not in %s, such as %s", file, len(absent), counted(len(known), "picture"), store.path,
            absent[0],
        )  # fmt: skip


def _check(sizes: list[int] | None, size: int, quality: int | None) -> None:
    if sizes is not None and (not sizes or not all(32 <= side <= 4096 and side % 32 == 0 for side in sizes)):
        raise InputError(f"--detection-size {sizes}; multiples of 32 between 32 and 4096, e.g. 640 or [128,640]")
    if not 112 <= size <= 1024 or (size % 112 and size % 128):
        raise InputError(f"--size {size}; a multiple of 112 or 128 up to 1024")
    if quality is not None and not 1 <= quality <= 100:
        raise InputError(f"--jpeg-quality {quality}; between 1 and 100")
