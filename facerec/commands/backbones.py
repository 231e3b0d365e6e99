"""The command ``backbones``: parameters and FLOPs of every backbone."""

from __future__ import annotations

from facerec.backbones import NAMES
from facerec.backbones.costs import costs

HEADER = ("backbone", "parameters (10^6)", "multiply-adds (10^9)")


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
