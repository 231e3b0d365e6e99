"""Pixels to embeddings: face stores, alignment, training, recognisers.

    >>> import facerec
    >>> recogniser = facerec.Recogniser.from_pretrained("model.onnx")  # doctest: +SKIP
    >>> X = recogniser.embed(images)  # doctest: +SKIP

The public names are imported when they are first used, because importing PyTorch and OpenCV takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from facerec.pipeline.lazy import lazy_names

if TYPE_CHECKING:
    from facerec.alignment.crop import align_face as align_face
    from facerec.alignment.detector import Detector as Detector
    from facerec.pipeline.files import InputError as InputError
    from facerec.recognisers.onnx_graph import InputSettings as InputSettings
    from facerec.recognisers.recogniser import Recogniser as Recogniser
    from facerec.stores.open import open_store as open_store

_HOMES = {
    "Detector": "alignment.detector",
    "InputError": "pipeline.files",
    "InputSettings": "recognisers.onnx_graph",
    "Recogniser": "recognisers.recogniser",
    "align_face": "alignment.crop",
    "open_store": "stores.open",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
