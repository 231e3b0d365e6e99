"""Figures of face verification and identification, on arrays.

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

from typing import TYPE_CHECKING

from facerec.pipeline.lazy import lazy_names

if TYPE_CHECKING:
    from eval.metrics.fnir import Identification as Identification
    from eval.metrics.fnir import identification as identification
    from eval.metrics.fnmr import Verification as Verification
    from eval.metrics.fnmr import verification as verification

_HOMES = {"Identification": "fnir", "Verification": "fnmr", "identification": "fnir", "verification": "fnmr"}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
