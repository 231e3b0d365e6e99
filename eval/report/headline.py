"""The one figure that a command says at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def headline(metrics: Mapping[str, Any]) -> str:
    """FNMR at the lowest FMR that has enough errors of both kinds to rely on; without one, at the highest FMR."""
    counts = metrics["counts"]["verification"]
    known = [rate for rate, error in metrics["fnmr_at_fmr"].items() if error is not None]
    if not known:
        return "no FNMR can be given"
    good = [rate for rate in known if counts[rate]["supported"] and not counts[rate]["few_errors"]]
    rate = min(good, key=float) if good else max(known, key=float)
    doubt = "" if good else ", from few pairs"
    return f"FNMR {metrics['fnmr_at_fmr'][rate]:.2%} at FMR {rate}{doubt}"
