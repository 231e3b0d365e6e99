"""What the backbones cost: parameters, and multiply-adds for a face."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from facerec.backbones import NAMES, build

HEADER = ("backbone", "parameters (10^6)", "multiply-adds (10^9)")


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


def backbones(embedding_size: int = 512) -> None:
    """Shows what the backbones cost for a face of 112x112 pixels, as a table in Markdown.

    A multiply-add counts as one, as in most tables of networks, which call the figure FLOPs.

    Args:
        embedding_size: Length of an embedding.
    """
    rows = [(name, *costs(name, embedding_size)) for name in NAMES]
    cells = [(name, f"{parameters / 1e6:.2f}", f"{count / 1e9:.2f}") for name, parameters, count in rows]
    widths = [max(map(len, column)) for column in zip(HEADER, *cells, strict=True)]
    rule = (":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:]))
    for first, *others in (HEADER, rule, *cells):
        figures = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print(f"| {' | '.join([first.ljust(widths[0]), *figures])} |")
