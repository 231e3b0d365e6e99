"""What ``metrics.json`` says under ``compatibility``: the figures of widely used scripts, by their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np

from eval.metrics.compatibility import flattened_recall, nearest_tar, script_flags
from eval.metrics.pair_scores import double_cosines
from eval.metrics.templates import Templates
from eval.protocols.protocol import Protocol, positions


def script_figures(
    files: Protocol, templates: Templates, pairs: tuple[np.ndarray, np.ndarray], options: dict[str, Any]
) -> dict[str, Any]:
    """The figures of ijb_11.py and ijb_1n.py.

    Args:
        files: The protocol.
        templates: Its templates.
        pairs: int [p] each, positions of both templates of every pair.
        options: How the templates were made, `template_options`.
    """
    scores, genuine = double_cosines(templates.features, *pairs), files.pairs.genuine
    entry = {
        "note": "figures of widely used scripts, by their definitions; see docs/reference/published-figures.md",
        "insightface_ijb_11": {"tar_at_nearest_far": nearest_tar(scores[genuine], scores[~genuine])},
        "test_mode": script_flags(options["norm"], options["detector_scores"], options["flip"]),
    }
    if files.probes is None:
        return entry
    galleries = list(files.galleries.values())
    enrolled = positions(templates.ids, np.concatenate([part.template for part in galleries]))
    probes = positions(templates.ids, files.probes.template)
    recall = flattened_recall(
        templates.features[probes],
        files.probes.subject,
        templates.features[enrolled],
        np.concatenate([part.subject for part in galleries]),
    )
    return {**entry, "insightface_ijb_1n": recall}
