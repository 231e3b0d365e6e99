"""Scores of a clustering, on arrays.

| what | where |
|---|---|
| `scores`: pairwise F, BCubed F, NMI, purity | `agreement` |
| `details`: sizes, splits, merges, worst clusters | `identities` |
| `in_majority`, `reliability`, `calibration_error` of a confidence | `calibration` |

Example:
    >>> import numpy as np
    >>> from eval.clusters import scores
    >>> scores(np.array([0, 0, 1, 1]), np.array([0, 0, 1, -1]))["pairwise_precision"]
    1.0
"""

from typing import TYPE_CHECKING

from facerec.pipeline.lazy import lazy_names

if TYPE_CHECKING:
    from eval.clusters.agreement import scores as scores
    from eval.clusters.calibration import calibration_error as calibration_error
    from eval.clusters.calibration import in_majority as in_majority
    from eval.clusters.calibration import reliability as reliability
    from eval.clusters.identities import details as details

_HOMES = {
    "scores": "agreement",
    "details": "identities",
    "in_majority": "calibration",
    "reliability": "calibration",
    "calibration_error": "calibration",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
