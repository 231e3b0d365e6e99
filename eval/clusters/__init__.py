"""How good a clustering is, on arrays.

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

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eval.clusters.agreement import scores
    from eval.clusters.calibration import calibration_error, in_majority, reliability
    from eval.clusters.identities import details

__all__ = ["calibration_error", "details", "in_majority", "reliability", "scores"]
_MODULES = {
    "scores": "agreement",
    "details": "identities",
    "in_majority": "calibration",
    "reliability": "calibration",
    "calibration_error": "calibration",
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for, and nothing before."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
