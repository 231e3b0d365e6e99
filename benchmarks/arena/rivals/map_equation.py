"""Infomap on weighted links, by its authors' library."""

from __future__ import annotations

import numpy as np

from facerec.pipeline.files import InputError


def modules(nodes: int, sources: np.ndarray, targets: np.ndarray, weights: np.ndarray, directed: bool) -> np.ndarray:
    """Int64 [nodes]: two-level modules of least description length; a node without a link is a module of its own.

    Args:
        nodes: How many.
        sources: int [links].
        targets: int [links].
        weights: float [links], > 0; those of a link that is named twice are summed.
        directed: Whether a walk follows links in their direction alone.

    Raises:
        InputError: The library is not installed.
    """
    try:
        import infomap
    except ImportError:
        raise InputError("infomap is not installed; pip install 'facerec-pseudolabel[communities]'") from None
    found = np.arange(nodes) + nodes  # apart from all numbers of modules
    if len(sources):
        network = infomap.Infomap(two_level=True, directed=directed, seed=100, num_trials=1)
        network.add_links(np.stack([sources, targets, weights], axis=1))
        numbers = network.run().modules()
        found[list(numbers)] = list(numbers.values())
    return found
