"""Settings of a backend from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import yaml

from clustering.backends.describe import settings_of
from clustering.clusterer import Clusterer
from clustering.settings import check_names
from facerec.pipeline.files import InputError


def with_changes(clusterer: Clusterer, changes: Sequence[str]) -> Clusterer:
    """Returns a clusterer with other settings. A given threshold is not adapted, unless ``adaptive`` is given, too.

    Args:
        clusterer: Any backend.
        changes: ``NAME=VALUE`` with the value in YAML. If a name occurs twice, the last one counts.

    Raises:
        InputError: A change has another form, an unknown name, or a value that the backend refuses.
    """
    found = dict(map(_parsed, changes))
    check_names("--set", clusterer.name, found, [each.name for each in settings_of(clusterer.name)])
    if (clusterer.search_space.keys() - {"k"}) & found.keys() and "adaptive" in clusterer.get_params():
        found = {"adaptive": False, **found}
    return clusterer.with_settings(**found) if found else clusterer


def _parsed(change: str) -> tuple[str, Any]:
    name, equals, value = change.partition("=")
    with suppress(yaml.YAMLError, ValueError):  # a date that is none, as 2001-99-99, is a ValueError
        if equals:
            return name.strip().replace("-", "_"), yaml.safe_load(value)
    raise InputError(f"--set {change[:60]!r}: not a setting; expected NAME=VALUE, e.g. min_similarity=0.5")
