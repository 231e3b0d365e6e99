"""Recognisers and detectors in ONNX, and alignment; the only module that imports insightface."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from insightface.model_zoo.arcface_onnx import ArcFaceONNX
from insightface.model_zoo.scrfd import SCRFD
from insightface.utils.face_align import norm_crop

from facerec.artifacts import InputError

TOLERANCE = 1e-3
MODELS = Path("~/.insightface/models")
DETECTION_SIZES = (128, 640)
WITH_LANDMARKS, WITHOUT_LANDMARKS = (9, 15), (6, 10)


class Recogniser:
    """A face recogniser in ONNX, as insightface runs them.

    A graph made for one face at a time is opened up to batches, where that leaves its embeddings as they were.

    Args:
        path: The .onnx file.
        device: ``"cuda"`` to run there where onnxruntime can.

    Attributes:
        input_size: Height and width of the faces it takes, in pixels.
        embedding_size: Length of an embedding.

    Raises:
        InputError: Not a readable ONNX file, or not a network from a square face to an embedding.
    """

    def __init__(self, path: Path, device: str = "cpu"):
        with _readable(path):
            graph = onnx.load(path)
            fixed = graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value
            _open_batch(graph)
            session = _session(graph, device)
            _check(path, session)
            self.model = ArcFaceONNX(str(path), session)
        self.input_size = int(self.model.input_size[0])
        self.batched = True
        probe = np.random.default_rng(0).integers(0, 256, (2, self.input_size, self.input_size, 3), dtype=np.uint8)
        self.embedding_size = self(probe[:1]).shape[1]
        self.batched = not fixed or self._batches(probe)
        if not self.batched:
            self.model.session = _session(onnx.load(path), device)

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        """Embeds uint8 RGB [n, size, size, 3] as float32 [n, d], not normalised."""
        if not self.batched and len(faces) > 1:
            return np.concatenate([self(face[None]) for face in faces])
        images = np.ascontiguousarray(faces.transpose(0, 3, 1, 2), dtype=np.float32)
        return self.model.forward(images).reshape(len(faces), -1)

    def _batches(self, probe: np.ndarray) -> bool:
        single = np.concatenate([self(face[None]) for face in probe])
        try:
            together = self(probe)
        except Exception:  # whatever onnxruntime raises for a graph that holds its batch size inside
            return False
        return together.shape == single.shape and bool(np.allclose(together, single, rtol=TOLERANCE, atol=TOLERANCE))


class Detector:
    """A face detector in ONNX that gives five landmarks a face (SCRFD, RetinaFace), as insightface runs them.

    It uses one thread, so that several processes may each have one, and what it finds does not depend on the machine's
    number of cores.

    Args:
        path: The .onnx file.
        sizes: Sides of the squares that a photograph is fitted into, in pixels, multiples of 32; what is found at
            either counts. Without them the size that the detector is made for, or else `DETECTION_SIZES`.
        threshold: Lowest score of a face.

    Raises:
        InputError: Not a readable ONNX file, not such a detector, or one made for photographs of another size.
    """

    def __init__(self, path: Path, sizes: Sequence[int] | None = None, threshold: float = 0.5):
        with _readable(path):
            session = _session(onnx.load(path), "cpu", threads=1)
            _check_detector(path, session)
            self.model = SCRFD(str(path), session)
            made_for = self.model.static_input_size
            self.sizes = [(size, size) for size in sizes or DETECTION_SIZES] if sizes or not made_for else [made_for]
            self.threshold = threshold
            if made_for and self.sizes != [made_for]:
                width, height = made_for
                raise InputError(f"{path}: made for {width}x{height} pixels; leave --detection-size out")
            self(np.zeros((32, 32, 3), np.uint8))

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Finds faces in a photograph.

        Args:
            image: uint8 RGB [height, width, 3].

        Returns:
            Scores float32 [n], highest first; boxes float32 [n, 4] (left, top, right, bottom); landmarks float32
            [n, 5, 2] (x, y of the eyes, the nose and the corners of the mouth, the left of the picture first).

        Raises:
            cv2.error: A photograph whose smaller side vanishes when it is fitted.
        """
        found, landmarks = self.model.detect(
            cv2.cvtColor(image, cv2.COLOR_RGB2BGR), self.sizes, det_thresh=self.threshold
        )
        return found[:, 4], found[:, :4], landmarks


def find_detector(name: Path) -> Path:
    """The file of a detector given by path or by a name from insightface's model zoo.

    Args:
        name: An .onnx file; a folder with one that is a detector; or the name of such a file or folder in
            ``~/.insightface/models``, where insightface keeps what it has downloaded.

    Raises:
        InputError: No such file or name, or a folder without a detector.
    """
    models = MODELS.expanduser()
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
        with _readable(file):
            if len(onnx.load(file, load_external_data=False).graph.output) in WITH_LANDMARKS:
                return file
    raise InputError(f"{found}: no detector with landmarks among the .onnx files in this folder; give one by its path")


def align_face(image: np.ndarray, landmarks: np.ndarray, size: int = 112) -> np.ndarray:
    """Cuts out a face in ArcFace alignment: the similarity that brings its landmarks closest to fixed points.

    Args:
        image: uint8 [height, width, 3].
        landmarks: float32 [5, 2], as `Detector` gives them.
        size: Side of the crop, a multiple of 112, or of 128 (the same face with a wider border).

    Returns:
        uint8 [size, size, 3], black where the photograph ends; insightface's ``norm_crop``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of scikit-image, about how insightface calls it
        return norm_crop(image, landmarks, size)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # protobuf and onnxruntime raise many kinds, none with a common ancestor
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: not a readable ONNX network ({reason})") from None


def _open_batch(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "faces"
    del model.graph.value_info[:]


def _session(graph: onnx.ModelProto, device: str, threads: int = 0) -> onnxruntime.InferenceSession:
    providers = ["CPUExecutionProvider"]
    if device == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers.insert(0, "CUDAExecutionProvider")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=providers)


def _check(path: Path, session: onnxruntime.InferenceSession) -> None:
    inputs = [value.shape for value in session.get_inputs()]
    outputs = [value.shape for value in session.get_outputs()]
    if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0]) != 4 or inputs[0][1] != 3:
        raise InputError(f"{path}: inputs {inputs}, outputs {outputs}; a recogniser takes faces and gives embeddings")
    height, width = inputs[0][2:]
    if not isinstance(height, int) or height != width:
        raise InputError(f"{path}: takes images of {height}x{width}; a recogniser takes square faces of a fixed size")


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
