"""Whether files of a run have what tables and the page show, each of its type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SAME_TEST = ("faces", "templates", "genuine_pairs", "impostor_pairs", "probes")
ERRORS = ("false_non_matches", "false_matches", "threshold")
SEARCHES = ("subjects", "mated_probes", "nonmated_probes", "rank1_hits")
WITHOUT_FACE = ("unreadable_faces", "empty_templates")
FPIRS = ("1e-1", "1e-2")


def lacks_search(metrics: Mapping[str, Any]) -> bool:
    """Whether this is ``metrics.json`` of a protocol of 1:1 alone, or of a closed set."""
    return "fnmr_at_fmr" in metrics and not metrics.get("fnir_at_fpir")


def is_report(metrics: Mapping[str, Any], counts: Mapping[str, Any]) -> bool:
    """Whether this is ``metrics.json`` of ``eval ijb`` and its counts."""
    points: Any = counts.get("verification")
    galleries: Any = counts.get("identification")
    rates: list[Any] = [metrics.get(name) for name in ("fnmr_at_fmr", "fnir_at_fpir")]
    few = metrics.get("few_errors", [])
    if not all(isinstance(part, dict) for part in (points, galleries, *rates, metrics.get("intervals", {}))):
        return False
    searches = [
        gallery.get(fpir) if isinstance(gallery, dict) else None for gallery in galleries.values() for fpir in FPIRS
    ]
    return (
        _all_have(points.values(), ERRORS)
        and _all_have(galleries.values(), SEARCHES)
        and _all_have(searches, ["misses"])
        and all(map(is_number, map(counts.get, SAME_TEST + WITHOUT_FACE)))
        and all(map(is_share, (metrics.get("rank1"), *_numbers(rates))))
        and all(map(_is_rate, (*rates[0], *rates[1])))
        and rates[0].keys() <= points.keys()
        and isinstance(few, list)
        and all(isinstance(name, str) for name in few)
    )


def is_meta(meta: Any) -> bool:
    """Whether this is a ``meta.json``."""
    if not isinstance(meta, dict):
        return False
    parts = [meta.get(name, {}) for name in ("inputs", "config", "versions")]
    if not all(isinstance(part, dict) for part in parts):
        return False
    inputs = [item for value in parts[0].values() for item in (value if isinstance(value, list) else [value])]
    return (
        all(isinstance(item, dict) and "path" in item for item in inputs)
        and all(isinstance(version, str) for version in parts[2].values())
        and all(is_number(meta.get(name)) for name in ("seconds", "peak_memory_bytes"))
    )


def is_number(value: Any) -> bool:
    """Whether this is a number of JSON."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_share(value: Any) -> bool:
    """Whether this is a number of JSON from 0 to 1."""
    return is_number(value) and 0 <= value <= 1


def _all_have(items: Iterable[Any], names: Iterable[str]) -> bool:
    return all(isinstance(item, dict) and all(is_number(item.get(name)) for name in names) for item in items)


def _numbers(rates: Iterable[Mapping[str, Any]]) -> Iterable[Any]:
    return (value for rate in rates for value in rate.values())


def _is_rate(name: str) -> bool:
    try:
        return 0 < float(name) < 1
    except ValueError:
        return False
