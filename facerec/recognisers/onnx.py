"""Recognisers in ONNX: running and writing them."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from facerec.pipeline.counts import counted
from facerec.pipeline.files import InputError, readable
from facerec.recognisers.onnx_graph import InputSettings

logger = logging.getLogger(__name__)

TOLERANCE = 1e-3
ANY_SIZE = 112
"""Height and width of the faces for a graph that takes any: those of insightface's."""
KINDS: dict[str, type] = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class OnnxRecogniser:
    """A face recogniser in ONNX.

    A graph made for one face at a time is opened up to batches, where that leaves its embeddings as they were. Faces
    are float32 [n, 3, size, size], or [n, size, size, 3] where the graph says so; a network for float16 or uint8 gets
    these, uint8 without mean and std. One that takes any size gets that of the settings, or 112.

    Args:
        path: The .onnx file.
        device: ``"cuda"``, or ``"cuda:1"`` of several, to run there where onnxruntime can.
        settings: What pixels become, and which output is the embedding.

    Attributes:
        path: The file.
        input_size: Height and width of the faces it takes, in pixels.
        embedding_size: Length of an embedding.
        mean: Subtracted from pixels.
        std: By which they are divided then.

    Raises:
        InputError: Not a readable ONNX file, not a network from a square face to an embedding, or mean or std for one
            that takes uint8.
    """

    def __init__(self, path: Path, device: str = "cpu", settings: InputSettings | None = None):
        self.path, self._made_with = path, (path.absolute(), device, settings)
        settings = settings or InputSettings()
        with readable(path, "an ONNX network"):
            graph = onnx.load(path)
            self.mean, self.std = settings.decided(graph.graph)
            together = _open_batch(graph)
            self.session = open_session(graph, device)
            self.input_size, self.kind, self.channels_last = _input_of(path, self.session, settings.size)
            if self.kind is np.uint8 and (settings.mean or 0, settings.std or 1) != (0, 1):
                raise InputError(f"{path}: takes pixels as they are, uint8; leave --mean and --std out")
            self.backwards = settings.channels == "bgr"
            self.output = _output_of(path, self.session, settings.output)
        self.batched = True
        probe = np.random.default_rng(0).integers(0, 256, (2, self.input_size, self.input_size, 3), dtype=np.uint8)
        kind = f"a network for faces of {self.input_size} pixels"
        remedy = "it may be truncated, or made for another --input-size"
        if together > 1:
            remedy = f"it is made for {together} faces at once; export it for any number of faces, or for one"
        with readable(path, kind, remedy):
            single = np.concatenate([self(face[None]) for face in probe])
            self.embedding_size = single.shape[1]
            self.batched = self._batches(probe, single)

    def __reduce__(self) -> tuple[type[OnnxRecogniser], tuple[Path, str, InputSettings | None]]:
        """In another process, it is read from its file again."""
        return type(self), self._made_with

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        """Embeds uint8 RGB [n, size, size, 3] as float32 [n, d], not normalised."""
        if not self.batched and len(faces) > 1:
            return np.concatenate([self(face[None]) for face in faces])
        faces = faces[..., ::-1] if self.backwards else faces
        images = np.ascontiguousarray(faces if self.channels_last else faces.transpose(0, 3, 1, 2), dtype=np.uint8)
        if self.kind != np.uint8:
            images = ((images.astype(np.float32) - self.mean) / self.std).astype(self.kind, copy=False)
        found = np.asarray(self.session.run([self.output], {self.session.get_inputs()[0].name: images})[0])
        if sum(side != 1 for side in found.shape[1:]) > 1:
            raise InputError(
                f"{self.path}: output {self.output} is of shape {list(found.shape)} for {counted(len(faces), 'face')}, "
                "which is no embedding of a row a face; choose another as --output"
            )
        return found.astype(np.float32, copy=False).reshape(len(faces), -1)

    def _batches(self, probe: np.ndarray, single: np.ndarray) -> bool:
        """Whether faces that are embedded together come out as one by one."""
        try:
            together = self(probe)
        except Exception:  # whatever onnxruntime raises for a graph that holds its batch size inside
            return False
        slack = TOLERANCE * np.linalg.norm(single.astype(np.float64), axis=1, keepdims=True)
        return together.shape == single.shape and bool(np.all(np.abs(together - single) <= slack))


def _open_batch(model: onnx.ModelProto) -> int:
    """Lets a graph declare any number of faces, and returns how many it declared, or 0 for any."""
    weights = {tensor.name for tensor in model.graph.initializer}  # which older exporters list as inputs, too
    inputs = [value for value in model.graph.input if value.name not in weights]
    sides = inputs[0].type.tensor_type.shape.dim if inputs else []
    declared = sides[0].dim_value if sides else 0
    for value in (*inputs, *model.graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "faces"
    del model.graph.value_info[:]
    return declared


def open_session(graph: onnx.ModelProto, device: str, threads: int = 0) -> onnxruntime.InferenceSession:
    """A session of onnxruntime; on CUDA where that is asked for, with a warning if it cannot be; 0 threads are all."""
    providers: list[Any] = ["CPUExecutionProvider"]
    kind, _, number = device.partition(":")
    if kind == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": number or "0"}))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=providers)
    if kind == "cuda" and session.get_providers()[0] != "CUDAExecutionProvider":
        logger.warning("onnxruntime cannot use CUDA here, so the network runs on the CPU; see onnxruntime-gpu")
    return session


def _input_of(path: Path, session: onnxruntime.InferenceSession, size: int | None) -> tuple[int, type, bool]:
    """Size and type of the faces that a network takes, and whether their channels come last."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    channels_last = len(shape) == 4 and shape[3] == 3
    if len(shape) != 4 or not (channels_last or shape[1] == 3 or not isinstance(shape[1], int)):
        shapes = [value.shape for value in inputs], [value.shape for value in outputs]
        raise InputError(
            f"{path}: inputs {shapes[0]}, outputs {shapes[1]}; a recogniser takes faces [n, 3, size, size] or "
            "[n, size, size, 3] and gives embeddings"
        )
    if inputs[0].type not in KINDS:
        raise InputError(f"{path}: takes {inputs[0].type}; a recogniser takes {', '.join(KINDS)}")
    return _size_of(path, shape[1:3] if channels_last else shape[2:], size), KINDS[inputs[0].type], channels_last


def _size_of(path: Path, sides: list[int | str | None], size: int | None) -> int:
    """Height and width of the faces: the graph's, or those wanted where it takes any."""
    fixed = {side for side in sides if isinstance(side, int) and side > 0}
    if len(fixed) > 1:
        raise InputError(f"{path}: takes images of {sides[0]}x{sides[1]}; a recogniser takes square faces")
    if fixed:
        if size not in (None, *fixed):
            raise InputError(f"{path}: takes faces of {min(fixed)} pixels, not of {size}; leave --input-size out")
        return min(fixed)
    if size is None:
        logger.info("%s: takes faces of any size; they are given as %dx%d", path, ANY_SIZE, ANY_SIZE)
    return size or ANY_SIZE


def _output_of(path: Path, session: onnxruntime.InferenceSession, name: str | None) -> str:
    """The output that is the embedding: the one that is named, or the only one that can be."""
    outputs = {value.name: value.shape for value in session.get_outputs()}
    if name is not None and name not in outputs:
        raise InputError(f"{path}: no output {name!r}; it has {', '.join(outputs)}")
    wide = [each for each, shape in outputs.items() if any(side != 1 for side in shape[1:] or shape)]
    if name is None and len(outputs) > 1 and len(wide) != 1:
        raise InputError(f"{path}: inputs and outputs {outputs}; a recogniser gives embeddings: choose one as --output")
    return name or (wide[0] if len(wide) == 1 else next(iter(outputs)))


OPSET = 17


def write_onnx(network: nn.Module, input_size: int, path: Path) -> None:
    """Writes a backbone as an ONNX graph from ``faces`` to ``embeddings``, for any number of faces at once.

    Weights keep their names, so that training can begin with the file. The graph takes (value - 127.5) / 127.5, and
    nothing before its first layer subtracts or multiplies. By such nodes insightface recognises networks that take
    values from 0 to 255.

    Args:
        network: In evaluation mode, on the CPU.
        input_size: Height and width of its faces, in pixels.
        path: The file.
    """
    with warnings.catch_warnings():
        # The exporter that traces is deprecated; its successor needs the package onnxscript.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network, (torch.zeros(2, 3, input_size, input_size),), path, dynamo=False, opset_version=OPSET,
            input_names=["faces"], output_names=["embeddings"], do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,  # no weight is merged into another; onnxruntime merges them
            dynamic_axes={"faces": {0: "n"}, "embeddings": {0: "n"}},
        )  # fmt: skip
    model = onnx.load(path)
    _store_each_weight(model.graph)
    onnx.save(model, path)


def _store_each_weight(graph: onnx.GraphProto) -> None:
    """Gives each weight its own place: the exporter stores equal ones once, and leads from there to the others."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Identity"]:
        if node.input[0] in stored:
            copy = graph.initializer.add()
            copy.CopyFrom(stored[node.input[0]])
            copy.name = node.output[0]
            stored[copy.name] = copy
            graph.node.remove(node)
