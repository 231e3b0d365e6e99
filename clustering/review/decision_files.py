"""The file of decisions about clusters that ``review``'s page saves.

The file is JSON, ``{"clustering": HASH, "decisions": [...]}``, with `labels_hash` of the labels that were reviewed.
Each decision is one of `ACTIONS`. It is about these labels, whatever others change, and their order means nothing::

    {"action": "keep", "cluster": 3}                              it is one person as it is
    {"action": "drop", "cluster": 4}                              none of it is to be used
    {"action": "merge", "clusters": [5, 6]}                       they are the same person
    {"action": "apart", "clusters": [5, 7]}                       they are not; changes nothing, forbids their merge
    {"action": "split", "cluster": 8, "parts": [[90, 91], [95]]}  each part (rows) is somebody else, the rest stays
    {"action": "exclude_faces", "cluster": 3, "faces": [17]}      these rows do not belong to it, nor anywhere else
    {"action": "name", "cluster": 3, "name": "Anna"}              who it is; one name is one person

Beside them the page saves ``faces``, the hash of the faces' keys, and ``answers``, the same about pairs of faces. The
answers outlive the clustering, see `clustering.answers.file`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from clustering.answers.file import keys_hash
from clustering.review.decisions import Decisions, joined_by_name, labels_hash, merged
from facerec.pipeline.files import InputError, read_json

ACTIONS = {
    "keep": {"cluster"},
    "drop": {"cluster"},
    "merge": {"clusters"},
    "apart": {"clusters"},
    "split": {"cluster", "parts"},
    "exclude_faces": {"cluster", "faces"},
    "name": {"cluster", "name"},
}
CONTRADICTIONS = (
    {"keep", "drop"}, {"keep", "split"}, {"drop", "split"}, {"drop", "merge"}, {"split", "merge"},
    {"drop", "exclude_faces"},
)  # fmt: skip
"""Decisions that no cluster may have at once."""
LONGEST_NAME = 100


def load_decisions(path: Path, labels: np.ndarray, keys: Sequence[str] | None = None) -> Decisions:
    """Reads decisions and checks them against the labels that they are to be applied to.

    Args:
        path: A file as ``review``'s page saves it.
        labels: int64 [n].
        keys: Of the n faces, or None. Other faces, or another order, may have the same labels.

    Raises:
        InputError: Not such a file; decisions about other labels or faces; unknown actions, keys or clusters; faces
            that are not in the cluster; decisions that contradict each other.
    """
    content = read_json(path)
    if not isinstance(content, dict) or set(content) - {"faces", "answers"} != {"clustering", "decisions"}:
        raise InputError(f"{path}: not a file of decisions; expected 'clustering' and 'decisions', see review")
    if content["clustering"] != labels_hash(labels):
        raise InputError(
            f"{path}: decisions about the clustering {str(content['clustering'])[:12]!r}, but this one is "
            f"{labels_hash(labels)[:12]!r}; give the clustering that was reviewed, or cluster with --answers FILE"
        )
    if keys is not None and content.get("faces", keys_hash(keys)) != keys_hash(keys):
        raise InputError(
            f"{path}: decisions about other faces, or about these in another order, whose labels are the same; give "
            "the faces that were reviewed, as they were then"
        )
    if not isinstance(content["decisions"], list):
        raise InputError(f"{path}: 'decisions' is {type(content['decisions']).__name__}; expected a list")
    decisions = Decisions()
    sizes = dict(zip(*(each.tolist() for each in np.unique(labels[labels >= 0], return_counts=True)), strict=True))
    for number, item in enumerate(content["decisions"]):
        try:
            _add(decisions, item, labels, sizes)
        except InputError as error:
            raise InputError(f"{path}: decision {number}: {error}") from None
    _check(path, decisions)
    return decisions


def _add(decisions: Decisions, item: Any, labels: np.ndarray, sizes: Mapping[int, int]) -> None:
    """Reads one decision into the others."""
    action = item.get("action") if isinstance(item, dict) else None
    if not isinstance(action, str) or action not in ACTIONS:
        raise InputError(f"action {action!r}; there are {', '.join(ACTIONS)}")
    if set(item) != {"action", *ACTIONS[action]}:
        has = ", ".join(sorted(set(item) - {"action"})) or "nothing"
        raise InputError(f"{action} has {has}; expected {', '.join(sorted(ACTIONS[action]))}")
    if action in ("merge", "apart"):
        group = _whole(item["clusters"], "clusters", 2)
        getattr(decisions, action).append([_cluster(cluster, sizes) for cluster in group.tolist()])
        return
    cluster = _cluster(item["cluster"], sizes)
    if cluster in getattr(decisions, action.removesuffix("_faces")):
        raise InputError(f"a second {action} of cluster {cluster}; one is enough")
    if action == "split":
        decisions.split[cluster] = _parts(item["parts"], cluster, labels, sizes)
    elif action == "exclude_faces":
        decisions.exclude[cluster] = _rows(item["faces"], cluster, labels)
    elif action == "name":
        decisions.name[cluster] = checked_name(item["name"])
    else:
        getattr(decisions, action).add(cluster)


def checked_name(name: Any) -> str:
    """A name that can be one of a folder.

    Raises:
        InputError: No text, too long, not printable, with a slash, a dot at its beginning, or blanks around it.
    """
    fits = isinstance(name, str) and name.isprintable() and 1 <= len(name) <= LONGEST_NAME and name == name.strip()
    if not fits or name.startswith(".") or set(name) & set("/\\"):
        raise InputError(
            f"a name is {str(name)[:40]!r}; expected up to {LONGEST_NAME} printable characters without slashes, "
            "that do not begin with a dot, and no blanks around them"
        )
    return str(name)


def _parts(parts: Any, cluster: int, labels: np.ndarray, sizes: Mapping[int, int]) -> list[np.ndarray]:
    if not isinstance(parts, list) or not parts:
        raise InputError(f"parts of cluster {cluster} are {str(parts)[:40]}; expected lists of rows")
    rows = [_rows(part, cluster, labels) for part in parts]
    everything = np.concatenate(rows)
    if len(np.unique(everything)) < len(everything):
        raise InputError(f"parts of cluster {cluster} share faces; a face goes into one part")
    if len(everything) == sizes[cluster]:
        raise InputError(f"parts of cluster {cluster} are all its faces; leave the largest part out, it stays")
    return rows


def _rows(faces: Any, cluster: int, labels: np.ndarray) -> np.ndarray:
    rows = _whole(faces, "faces", 1)
    if rows.min() < 0 or rows.max() >= len(labels):
        raise InputError(f"faces {rows.min()} to {rows.max()}; there are rows 0 to {len(labels) - 1}")
    strangers = rows[labels[rows] != cluster]
    if len(strangers):
        raise InputError(f"face {strangers[0]} is in cluster {labels[strangers[0]]}, not in {cluster}")
    return rows


def _whole(values: Any, name: str, least: int) -> np.ndarray:
    """Whole numbers, no two alike, as int64."""
    if not isinstance(values, list) or any(type(value) is not int or abs(value) >= 2**63 for value in values):
        raise InputError(f"{name} is {str(values)[:40]}; expected a list of whole numbers")
    if len(values) < least or len(set(values)) < len(values):
        raise InputError(f"{name} is {str(values)[:40]}; expected at least {least}, no two alike")
    return np.array(values, np.int64)


def _cluster(cluster: Any, sizes: Mapping[int, int]) -> int:
    if type(cluster) is not int or cluster not in sizes:
        raise InputError(f"cluster {str(cluster)[:40]} is unknown; there are {len(sizes)}")
    return cluster


def _check(path: Path, decisions: Decisions) -> None:
    """Refuses decisions that contradict each other."""
    joined = {cluster for group in decisions.merge for cluster in group}
    claims: Mapping[str, set[int]] = {
        "keep": decisions.keep, "drop": decisions.drop, "split": set(decisions.split), "merge": joined,
        "exclude_faces": set(decisions.exclude),
    }  # fmt: skip
    for one, other in combinations(claims, 2):
        both = claims[one] & claims[other]
        if both and {one, other} in CONTRADICTIONS:
            raise InputError(f"{path}: {one} and {other} of cluster {min(both)}; decide for one of them")
    groups = merged(decisions.merge)
    named: dict[int, str] = {}
    for cluster, name in decisions.name.items():
        if (other := named.setdefault(groups.get(cluster, cluster), name)) != name:
            raise InputError(f"{path}: merged clusters have two names, {other!r} and {name!r}; take one back")
    for whole, why in ((groups, "merged"), (merged(joined_by_name(decisions).merge), "of one name")):
        for a, b in (pair for apart in decisions.apart for pair in combinations(apart, 2)):
            if whole.get(a, a) == whole.get(b, b):
                raise InputError(
                    f"{path}: clusters {a} and {b} are apart, but {why}, maybe through others; take one back"
                )
    for cluster in sorted(set(decisions.split) & set(decisions.exclude)):
        rows = np.intersect1d(np.concatenate(decisions.split[cluster]), decisions.exclude[cluster])
        if len(rows):
            raise InputError(f"{path}: face {rows[0]} is excluded and in a part of cluster {cluster}; decide for one")
