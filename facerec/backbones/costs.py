"""What the backbones cost: parameters, and multiply-adds for a face."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from facerec.backbones import build


def costs(name: str, embedding_size: int = 512, input_size: int = 112) -> tuple[int, int]:
    """The size of a backbone, without memory for its weights.

    Args:
        name: One of `facerec.backbones.NAMES`.
        embedding_size: Length of an embedding.
        input_size: Height and width of the face, in pixels.

    Returns:
        The number of trained parameters, and of multiply-adds that the convolutions, full connections and attentions
        take for one face.

    Raises:
        InputError: As `facerec.backbones.build`.
    """
    with torch.device("meta"), torch.no_grad():
        network = build(name, embedding_size, input_size).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, input_size, input_size))
    parameters = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    return parameters, counter.get_total_flops() // 2  # the counter takes a multiply-add for two
