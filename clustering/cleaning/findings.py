"""What was found in labels, as a table and as decisions that a person can look through on the review page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clustering.cleaning.clean import Cleaned
from facerec.pipeline.files import write_table

COLUMNS = ("kind", "probability", "found", "label", "other", "faces", "row", "key")
LISTED = 0.1
"""Least probability of what is listed."""


def write_findings(path: Path, found: Cleaned, keys: Sequence[str] | None) -> None:
    """Writes a CSV file of all that is likelier than `LISTED`, kind by kind, the likeliest first.

    ``stray``: face ``row`` is not of its ``label``; ``other`` is the label that it is of, or nothing. ``merged``:
    ``faces`` faces of ``label`` are somebody else, who is called ``other``. ``split``: ``label`` and ``other`` are one
    person; ``faces`` is how many ``other`` has.
    """
    write_table(path, COLUMNS, [*_mixtures(found), *_twins(found), *_strays(found, keys)])


def _row(kind: str, probability: float, found: Cleaned, *rest: Any) -> list[Any]:
    return [kind, f"{probability:.4f}", "yes" if probability >= found.least else "", *rest]


def _mixtures(found: Cleaned) -> list[list[Any]]:
    new, first, faces = np.unique(found.parted, return_index=True, return_counts=True)
    left = new >= len(found.names)
    new, first, faces = new[left], first[left], faces[left]
    chance = found.mixed[first]
    order: np.ndarray = np.argsort(-chance, kind="stable")
    label, other = found.names[found.given[first]], found.name_of(new)
    return [_row("merged", chance[i], found, label[i], other[i], faces[i], "", "") for i in order.tolist()]


def _twins(found: Cleaned) -> list[list[Any]]:
    sizes = np.bincount(found.parted[found.parted >= 0], minlength=1)
    chance = found.twins.probability
    order = np.argsort(-chance, kind="stable")
    order = order[chance[order] >= LISTED]
    left, right = found.name_of(found.twins.left), found.name_of(found.twins.right)
    return [_row("split", chance[i], found, left[i], right[i], sizes[found.twins.right[i]], "", "") for i in order]


def _strays(found: Cleaned, keys: Sequence[str] | None) -> list[list[Any]]:
    chance = found.strays.probability
    rows: np.ndarray = np.flatnonzero(chance >= LISTED)
    rows = rows[np.argsort(-chance[rows], kind="stable")]
    label, other = found.names[found.given[rows]], found.name_of(found.strays.other[rows])
    known = found.strays.elsewhere[rows] >= chance[rows] / 2
    return [
        _row("stray", chance[row], found, label[i], other[i] if known[i] else "", "", row, keys[row] if keys else "")
        for i, row in enumerate(rows.tolist())
    ]


def proposals(found: Cleaned) -> list[dict[str, Any]]:
    """Decisions about the given labels, as `clustering.review.decision_files` reads them.

    A merge of a label that is split is left out: a person has to look at the parts first.
    """
    split = found.mixed_labels
    decisions: list[dict[str, Any]] = []
    rows = np.flatnonzero(found.parted >= len(found.names))
    parts = _grouped(rows, found.parted[rows])
    owner = [int(found.given[part[0]]) for part in parts]
    for label in split.tolist():
        of_label = [part.tolist() for part, own in zip(parts, owner, strict=True) if own == label]
        decisions.append({"action": "split", "cluster": int(found.names[label]), "parts": of_label})
    rows = np.flatnonzero(found.is_stray & (found.parted == found.given))
    for faces in _grouped(rows, found.given[rows]):
        cluster = int(found.names[found.given[faces[0]]])
        decisions.append({"action": "exclude_faces", "cluster": cluster, "faces": faces.tolist()})
    whole = found.joined & (found.twins.right < len(found.names))
    whole &= ~np.isin(found.twins.left, split) & ~np.isin(found.twins.right, split)
    pairs = np.stack([found.name_of(found.twins.left[whole]), found.name_of(found.twins.right[whole])], axis=1)
    return decisions + [{"action": "merge", "clusters": sorted(pair)} for pair in pairs.tolist()]


def _grouped(rows: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """The rows of each label."""
    order = np.argsort(labels, kind="stable")
    places = np.flatnonzero(np.diff(labels[order])) + 1
    return np.split(rows[order], places) if len(rows) else []
