"""Networks from faces to embeddings."""

from __future__ import annotations

from torch import nn

from facerec.backbones.iresnet import BLOCKS, IResNet
from facerec.backbones.mobilefacenet import MobileFaceNet
from facerec.backbones.vit import PATCH, SIZES, ViT
from facerec.pipeline.files import InputError

NAMES = ("mobilefacenet", *BLOCKS, *SIZES)
PUBLISHED_INPUT = 112
SMALLEST_INPUT = 32


def build(name: str, embedding_size: int = 128, input_size: int = 112, width: float = 1.0) -> nn.Module:
    """A backbone with fresh weights, drawn from PyTorch's global generator.

    Args:
        name: One of `NAMES`.
        embedding_size: Length of an embedding.
        input_size: Height and width of the faces, in pixels.
        width: Multiplies the channels of MobileFaceNet.

    Returns:
        A module from faces [n, 3, input_size, input_size] (RGB, (value - 127.5) / 127.5) to [n, embedding_size].

    Raises:
        InputError: Unknown name, or sizes that the network cannot have.
    """
    if name not in NAMES:
        raise InputError(f"backbone {name!r} is unknown; choose one of {', '.join(NAMES)}")
    if input_size < SMALLEST_INPUT:
        raise InputError(f"input size {input_size} is too small; faces need {SMALLEST_INPUT} pixels or more")
    if embedding_size < 1:
        raise InputError(f"embedding size {embedding_size}; an embedding has at least one component")
    if name == "mobilefacenet":
        if not 0 < width <= 8:
            raise InputError(f"width {width}; the multiplier of MobileFaceNet's channels lies between 0 and 8")
        return MobileFaceNet(embedding_size, input_size, width)
    if width != 1:
        raise InputError(f"width {width} with {name}; only mobilefacenet has a width option")
    if name in BLOCKS:
        return IResNet(BLOCKS[name], embedding_size, input_size)
    if input_size % PATCH and input_size != PUBLISHED_INPUT:
        raise InputError(
            f"input size {input_size} with {name}; its patches need a multiple of {PATCH}, or {PUBLISHED_INPUT}, "
            f"of which the last {PUBLISHED_INPUT % PATCH} rows and columns are not used"
        )
    return ViT(*SIZES[name], embedding_size, input_size)
