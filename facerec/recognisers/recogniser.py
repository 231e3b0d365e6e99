"""Face recognisers, which compute embeddings from images of faces."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from facerec.devices.device import autocast, choose_device
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import InputError, row_blocks
from facerec.pipeline.values import as_array, as_path, as_picture, shown, whole
from facerec.recognisers.arcface_weights import is_weights
from facerec.recognisers.model_folder import FolderRecogniser
from facerec.recognisers.onnx_graph import InputSettings
from facerec.recognisers.shapes import about_shapes
from facerec.stores.pixels import resized

logger = logging.getLogger(__name__)


class Network(Protocol):
    """What a recogniser does with faces, by PyTorch or by onnxruntime."""

    input_size: int
    embedding_size: int

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        """Embeds uint8 RGB [n, size, size, 3] as float32 [n, d], not normalised."""


class Recogniser:
    """A face recogniser, which computes embeddings from images of faces. Use `from_pretrained` to load one.

    Attributes:
        input_size: Height and width of the faces that the network takes, in pixels.
        embedding_size: Dimension of the embeddings.

    Args:
        network: A network that embeds faces of its `input_size`.
        name: A name for error messages.

    Example:
        >>> recogniser = Recogniser.from_pretrained("model.onnx")  # doctest: +SKIP
        >>> recogniser.embed([face, other]).shape  # doctest: +SKIP
        (2, 512)
    """

    def __init__(self, network: Network, name: str = "recogniser"):
        self.network, self.name = network, name
        self.input_size, self.embedding_size = network.input_size, network.embedding_size
        self._doubted = False

    def __repr__(self) -> str:
        size = self.input_size
        return f"<Recogniser {self.name}: faces of {size} x {size} pixels to {self.embedding_size} numbers>"

    @classmethod
    def from_pretrained(
        cls, model: str | Path, device: str = "auto", precision: str = "auto", settings: InputSettings | None = None
    ) -> Recogniser:
        """Loads a recogniser.

        Args:
            model: A folder that ``facerec train`` made, arcface_torch's ``backbone.pth``, or a recogniser in ONNX (any
                of insightface's).
            device: auto (CUDA if there is one), cpu or cuda; of several GPUs also cuda:1 and so on.
            precision: fp32, bf16 (autocast), or auto: bf16 on CUDA and fp32 elsewhere. An ONNX recogniser has a fixed
                precision.
            settings: For an ONNX recogniser: how pixels are scaled, and which output is the embedding.

        Raises:
            InputError: The model is not of these kinds or is damaged, or the device or precision is not available.
        """
        path, place = as_path("model", model), choose_device(device)
        autocast(place, precision)  # which refuses an unknown one
        if not isinstance(settings, InputSettings | None):
            raise InputError(f"settings is {shown(settings)}; expected InputSettings or None")
        if path.suffix == ".onnx" and path.is_file():
            if precision == "bf16":
                raise InputError(f"{path}: --precision bf16 has no effect on a network in ONNX; leave it out")
            from facerec.recognisers.onnx import OnnxRecogniser  # slow to import, and not needed for our own models

            return cls(OnnxRecogniser(path, str(place), settings), str(path))
        if settings not in (None, InputSettings()):
            raise InputError(f"{path}: mean, std, channels, output and input size are options of recognisers in ONNX")
        if not path.is_dir() and not (is_weights(path) and path.exists()):
            wrong = "no model of a kind that is read" if path.exists() else "no such model"
            raise InputError(
                f"{path}: {wrong}; give a folder made by facerec train, an .onnx file, or arcface_torch's backbone.pth"
            )
        return cls(FolderRecogniser(path, place, precision), str(path))

    def embed(self, images: np.ndarray | Sequence[np.ndarray], flip: bool = True, batch_size: int = 128) -> np.ndarray:
        """Embeds faces that are aligned as by `facerec.align_face`. They are resized to `input_size`.

        Pictures that do not look like aligned faces by their shapes are said once.

        Args:
            images: uint8 RGB [n, height, width, 3], or a list of [height, width, 3] of any sizes.
            flip: Whether to embed the mirrored face, too, and use the sum of both embeddings.
            batch_size: Number of faces per batch.

        Returns:
            float32 [n, embedding_size], rows of unit length.

        Raises:
            InputError: The images have another type or shape, the batch size is not a whole number from 1 on, or the
                network returns NaN.
        """
        faces, batch_size = _checked(images), whole("batch_size", batch_size, 1)
        if not isinstance(flip, bool | np.bool_):
            raise InputError(f"flip is {shown(flip)}; it must be True or False")
        for doubt in () if self._doubted else about_shapes(faces):
            logger.warning("%s: %s", self.name, doubt)
            self._doubted = True
        rows = [np.empty((0, self.embedding_size), np.float32)]
        for some in row_blocks(len(faces), batch_size):
            batch = np.stack([resized(face, self.input_size) for face in faces[some]])
            rows.append(normalize(self.unnormalised(batch, flip)))
        return np.concatenate(rows)

    def unnormalised(self, faces: np.ndarray, flip: bool = True) -> np.ndarray:
        """Embeds faces without normalising. The clearer a face is, the longer its embedding usually is.

        Args:
            faces: uint8 RGB [n, input_size, input_size, 3].
            flip: See `embed`.

        Returns:
            float32 [n, embedding_size].

        Raises:
            InputError: The faces have another type or shape, or the network returns NaN or infinite values.
        """
        embeddings = self.unchecked(faces, flip)
        if not np.all(np.isfinite(embeddings)):
            raise InputError(f"{self.name}: gives NaN or infinite embeddings; its weights are damaged, train it again")
        return embeddings

    def unchecked(self, faces: np.ndarray, flip: bool = True) -> np.ndarray:
        """As `unnormalised`, but NaN and infinite values that the network returns are no error."""
        faces, size = as_array("faces", faces), self.input_size
        if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[1:] != (size, size, 3):
            raise InputError(
                f"faces: {faces.dtype} {list(faces.shape)}; expected uint8 RGB [n, {size}, {size}, 3], 0 to 255; embed "
                "takes other sizes"
            )
        if not len(faces):
            return np.empty((0, self.embedding_size), np.float32)
        embeddings = self.network(faces)
        return embeddings + self.network(faces[:, :, ::-1]) if flip else embeddings


def _checked(images: np.ndarray | Sequence[np.ndarray]) -> list[np.ndarray]:
    """The pictures one by one.

    Raises:
        InputError: No list, or one of them is no uint8 [height, width, 3].
    """
    if isinstance(images, np.ndarray) and images.ndim == 3:
        raise InputError(f"images: one picture of shape {list(images.shape)}; give a list: [picture]")
    if not np.iterable(images) or isinstance(images, str | Mapping):
        raise InputError(f"images: {shown(images)}; give a list of pictures, uint8 RGB [height, width, 3]")
    return [as_picture(f"images: row {row}", image) for row, image in enumerate(images)]
