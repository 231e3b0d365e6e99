"""The one figure that a command says at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def headline(results: Mapping[str, Any]) -> str:
    """The lowest FMR that the protocol has enough impostor pairs for, and its FNMR, in words."""
    known = [(rate, error) for rate, error in results["fnmr_at_fmr"].items() if error is not None]
    return "FNMR {1:.2%} at FMR {0}".format(*known[-1]) if known else "no FNMR can be given"
