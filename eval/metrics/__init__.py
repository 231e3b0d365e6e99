"""The figures of face recognition, on arrays.

| what | where |
|---|---|
| threshold at an error rate | `operating_point` |
| `verification`: FNMR at FMR, EER, AUC, DET curve | `fnmr` |
| `identification`: FNIR at FPIR, ranks, IET and CMC curves | `fnir` |
| cosines of pairs | `pair_scores` |
| faces to templates | `templates` |
| the figures of widely used scripts | `compatibility` |

Example:
    >>> from eval.metrics import verification
    >>> verification([.9, .8, .3], [.5, .1, .2, .4], fmrs=(.25,)).fnmr
    {0.25: 0.3333333333333333}
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eval.metrics.fnir import Identification, identification
    from eval.metrics.fnmr import Verification, verification

__all__ = ["Identification", "Verification", "identification", "verification"]


def __getattr__(name: str) -> Any:
    """Imports what is asked for, and nothing before."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'fnmr' if name.lower() == 'verification' else 'fnir'}"), name)


def __dir__() -> list[str]:
    return __all__
