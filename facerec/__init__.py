"""Pixels to embeddings: face stores, alignment, training, recognisers.

    >>> import facerec
    >>> recogniser = facerec.Recogniser.from_pretrained("model.onnx")  # doctest: +SKIP
    >>> X = recogniser.embed(images)  # doctest: +SKIP

The names below are imported when they are first used, as PyTorch and OpenCV take seconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facerec.alignment.crop import align_face
    from facerec.alignment.detector import Detector
    from facerec.pipeline.files import InputError
    from facerec.recognisers.recogniser import Recogniser
    from facerec.stores.open import open_store

__all__ = ["Detector", "InputError", "Recogniser", "align_face", "open_store"]

_MODULES = {
    "Detector": "facerec.alignment.detector",
    "InputError": "facerec.pipeline.files",
    "Recogniser": "facerec.recognisers.recogniser",
    "align_face": "facerec.alignment.crop",
    "open_store": "facerec.stores.open",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
