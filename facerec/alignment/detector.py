"""Face detectors in ONNX, as insightface runs them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from insightface.model_zoo.scrfd import SCRFD

from facerec.alignment.crop import lies_outside
from facerec.pipeline.files import InputError, check_file, readable
from facerec.pipeline.values import as_path, as_picture, at_home, shown, whole
from facerec.recognisers.onnx import open_session

MODELS = Path("~/.insightface/models")
DETECTION_SIZES = (128, 640)
MOST_SIZE = 4096
WITH_LANDMARKS, WITHOUT_LANDMARKS = (9, 15), (6, 10)
"""Numbers of outputs of insightface's detectors: three or five sizes of faces, and for each scores, boxes and, in the
first kind, landmarks."""


class Detector:
    """A face detector in ONNX with five landmarks per face (SCRFD, RetinaFace), run as by insightface.

    It uses one thread. So several processes can each have a detector, and the result does not depend on the number of
    cores.

    Args:
        path: The .onnx file.
        sizes: Sides of the squares into which a photograph is fitted, in pixels, multiples of 32. Faces that are found
            at any of these sizes count. By default the size that the detector is made for, or else `DETECTION_SIZES`.
        threshold: Lowest score of a face.

    Raises:
        InputError: The file is not a readable ONNX file or not such a detector; the detector is made for another size;
            sizes are not multiples of 32; or the threshold is not in [0, 1].
    """

    def __init__(self, path: str | Path, sizes: Sequence[int] | None = None, threshold: float = 0.5):
        sides = _checked(() if sizes is None else sizes, threshold)
        path = as_path("path", path)
        self._made_with = path.absolute(), sides or None, threshold
        check_file(path)
        with readable(path, "an ONNX network"):
            session = open_session(onnx.load(path), "cpu", threads=1)
            _check_detector(path, session)
            self.model = SCRFD(str(path), session)
            made_for = self.model.static_input_size
            self.sizes = [(side, side) for side in sides or DETECTION_SIZES] if sides or not made_for else [made_for]
            self.threshold = threshold
            if made_for and self.sizes != [made_for]:
                width, height = made_for
                raise InputError(f"{path}: made for {width}x{height} pixels; leave --detection-size out")
            self(np.zeros((32, 32, 3), np.uint8))

    def __reduce__(self) -> tuple[type[Detector], tuple[Path, list[int] | None, float]]:
        """In another process, it is read from its file again."""
        return type(self), self._made_with

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Finds faces in a photograph, except those whose landmarks all lie beyond one of its edges.

        Args:
            image: uint8 RGB [height, width, 3].

        Returns:
            Scores float32 [n], highest first; boxes float32 [n, 4] (left, top, right, bottom); landmarks float32
            [n, 5, 2] (x, y of the eyes, the nose and the corners of the mouth, the left of the picture first).

        Raises:
            InputError: Not such a picture.
            cv2.error: A photograph whose smaller side vanishes when it is fitted.
        """
        image = as_picture("photograph", image)
        found, landmarks = self.model.detect(
            cv2.cvtColor(image, cv2.COLOR_RGB2BGR), self.sizes, det_thresh=self.threshold
        )
        seen = ~lies_outside(landmarks, image)
        return found[seen, 4], found[seen, :4], landmarks[seen]


def find_detector(name: Path) -> Path:
    """Finds the file of a detector by its path, or by its name in insightface's model zoo.

    Args:
        name: An .onnx file; a folder with a detector in it; or the name of such a file or folder in
            ``~/.insightface/models``, where insightface keeps its downloads.

    Raises:
        InputError: There is no such file or name, or the folder has no detector.
    """
    models = at_home(MODELS)
    places = (name, models / name, models / f"{name}.onnx")
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise InputError(
            f"{name}: no such detector, neither here nor in {MODELS}; give an .onnx file, or download a pack of "
            "insightface's, e.g. buffalo_l, with: insightface-cli model.download buffalo_l"
        )
    if found.is_file():
        return found
    for file in sorted(found.glob("*.onnx")):
        with readable(file, "an ONNX network"):
            if len(onnx.load(file, load_external_data=False).graph.output) in WITH_LANDMARKS:
                return file
    raise InputError(f"{found}: no detector with landmarks among the .onnx files in this folder; give one by its path")


def _checked(sizes: Sequence[int], threshold: float) -> list[int]:
    if not np.iterable(sizes):
        raise InputError(f"sizes is {shown(sizes)}; give a list, as [640]")
    sides = [whole("a detection size", size, 32, MOST_SIZE) for size in sizes]
    for side in sides:
        if side % 32:
            raise InputError(f"a detection size is {side}; it must be a multiple of 32")
    if not isinstance(threshold, Real) or not 0 <= threshold <= 1:
        raise InputError(f"threshold is {shown(threshold)}; a score is a number from 0 to 1")
    return sides


def _check_detector(path: Path, session: onnxruntime.InferenceSession) -> None:
    inputs = [value.shape for value in session.get_inputs()]
    outputs = len(session.get_outputs())
    if outputs in WITHOUT_LANDMARKS:
        raise InputError(f"{path}: a detector without landmarks; alignment needs one with them, e.g. *_bnkps.onnx")
    if len(inputs) != 1 or len(inputs[0]) != 4 or inputs[0][1] != 3 or outputs not in WITH_LANDMARKS:
        raise InputError(
            f"{path}: inputs {inputs} and {outputs} output(s); no detector of insightface's (those have 9 or 15 "
            "outputs), perhaps a recogniser"
        )
