"""What a person decided about clusters: the file that ``review``'s page saves, and its effect on labels.

The file is JSON, ``{"clustering": HASH, "decisions": [...]}``, with `labels_hash` of the labels that were reviewed.
Each decision is one of `ACTIONS` and speaks of those labels, whatever the others do; their order means nothing::

    {"action": "keep", "cluster": 3}                              it is one person as it is
    {"action": "drop", "cluster": 4}                              none of it is to be used
    {"action": "merge", "clusters": [5, 6]}                       they are the same person
    {"action": "apart", "clusters": [5, 7]}                       they are not; changes nothing, forbids their merge
    {"action": "split", "cluster": 8, "parts": [[90, 91], [95]]}  each part (rows) is somebody else, the rest stays
    {"action": "exclude_faces", "cluster": 3, "faces": [17]}      these rows do not belong to it, nor anywhere else
    {"action": "name", "cluster": 3, "name": "Anna"}              who it is; one name is one person

Beside them the page saves ``answers``, the same about pairs of faces, and ``faces``, the hash of their keys. These
outlive the clustering, see `clustering.answers.file`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from clustering.answers.constraints import Constraints
from clustering.partition import components
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
LONGEST_NAME = 100


@dataclass(frozen=True)
class Decisions:
    """Decisions that fit their labels and each other.

    Attributes:
        keep: Clusters.
        drop: Clusters.
        merge: Groups of clusters; groups that share one are one.
        apart: Groups of clusters of which no two are one person.
        split: For a cluster the rows of each part that leaves it, int64.
        exclude: For a cluster the rows that are to be in none, int64.
        name: For a cluster who it is. Clusters of one name are one person's, though not merged.
    """

    keep: set[int] = field(default_factory=set)
    drop: set[int] = field(default_factory=set)
    merge: list[list[int]] = field(default_factory=list)
    apart: list[list[int]] = field(default_factory=list)
    split: dict[int, list[np.ndarray]] = field(default_factory=dict)
    exclude: dict[int, np.ndarray] = field(default_factory=dict)
    name: dict[int, str] = field(default_factory=dict)


def labels_hash(labels: np.ndarray) -> str:
    """SHA-256 of labels as little-endian int64, in hexadecimal: what a file of decisions goes with."""
    return hashlib.sha256(np.ascontiguousarray(labels, dtype="<i8").tobytes()).hexdigest()


def apply_decisions(labels: np.ndarray, decisions: Decisions) -> np.ndarray:
    """Labels as the person wants them.

    Args:
        labels: int64 [n], -1 for unassigned; those that the decisions were made for.
        decisions: As `load_decisions` gives them.

    Returns:
        int64 [n]. Merged clusters have the lowest of their numbers. Parts that leave a cluster have new numbers from
        ``labels.max() + 1`` on, in ascending order of cluster. Dropped and excluded faces have -1.
    """
    clusters = int(labels.max(initial=-1)) + 1
    numbers = np.append(merged(clusters, decisions.merge), -1)  # the last is that of label -1
    numbers[sorted(decisions.drop)] = -1
    result = numbers[labels]
    parts = [part for cluster in sorted(decisions.split) for part in decisions.split[cluster]]
    for number, part in enumerate(parts, clusters):
        result[part] = number
    for rows in decisions.exclude.values():
        result[rows] = -1
    return result


def kept_faces(labels: np.ndarray, decisions: Decisions) -> np.ndarray:
    """Bool [n]: faces of clusters that the person kept, less those that they excluded."""
    result = np.isin(labels, sorted(decisions.keep))
    for rows in decisions.exclude.values():
        result[rows] = False
    return result


def split_faces(labels: np.ndarray, decisions: Decisions) -> np.ndarray:
    """Bool [n]: faces of the parts of split clusters."""
    result = np.zeros(len(labels), bool)
    for parts in decisions.split.values():
        result[np.concatenate(parts)] = True
    return result


def joined_by_name(decisions: Decisions) -> Decisions:
    """The same decisions, and that clusters of one name are merged."""
    groups: dict[str, list[int]] = {}
    for cluster, name in sorted(decisions.name.items()):
        if cluster not in decisions.drop:
            groups.setdefault(name, []).append(cluster)
    return replace(decisions, merge=[*decisions.merge, *(group for group in groups.values() if len(group) > 1)])


def as_constraints(labels: np.ndarray, decisions: Decisions, likeness: np.ndarray) -> Constraints:
    """Decisions as answers about pairs of faces, as the page saves them for another clustering.

    Clusters and parts are spoken of by one face each. Those of a part are all the same. Clusters of different names are
    different people. That a cluster is kept is not among them, see `kept_faces`.

    Args:
        labels: int64 [n], those that the decisions were made for.
        decisions: As `load_decisions` gives them.
        likeness: float [n]: how like it is to the others of its cluster. The most alike face that stays in a cluster
            stands for it.
    """
    away = split_faces(labels, decisions)
    for rows in decisions.exclude.values():
        away[rows] = True
    stay = np.flatnonzero(~away & (labels >= 0))
    order = stay[np.lexsort((stay, -likeness[stay], labels[stay]))]
    clusters, first = np.unique(labels[order], return_index=True)
    face = dict(zip(clusters.tolist(), order[first].tolist(), strict=True))
    same: list[tuple[int, int]] = []
    different: list[tuple[int, int]] = []
    for group in decisions.merge:
        same += pairwise(face[each] for each in group if each in face)
    for group in decisions.apart:
        different += combinations([face[each] for each in group if each in face], 2)
    for cluster, parts in decisions.split.items():
        heads = [int(part[0]) for part in parts]
        same += [(int(part[0]), row) for part in parts for row in part[1:].tolist()]
        different += combinations([*heads, *(face[each] for each in (cluster,) if each in face)], 2)
    named = {name: face[each] for each, name in decisions.name.items() if each in face and each not in decisions.drop}
    different += combinations(named.values(), 2)
    pairs = np.array([*same, *different], np.int64).reshape(-1, 2)
    return Constraints(len(labels), pairs, np.arange(len(pairs)) < len(same))


def merged(clusters: int, groups: Sequence[Sequence[int]]) -> np.ndarray:
    """Int64 [clusters]: for each the lowest number of those that it is merged with, directly or through others."""
    edges = np.array([pair for group in groups for pair in pairwise(group)], np.int64).reshape(-1, 2)
    component = components(clusters, edges[:, 0], edges[:, 1])
    return np.unique(component, return_index=True)[1][component] if clusters else component


def load_decisions(path: Path, labels: np.ndarray) -> Decisions:
    """Reads decisions and checks them against the labels that they are to be applied to.

    Args:
        path: A file as ``review``'s page saves it.
        labels: int64 [n].

    Raises:
        InputError: Not such a file; decisions about other labels; unknown actions, keys or clusters; faces that are
            not in the cluster; decisions that contradict each other.
    """
    content = read_json(path)
    if not isinstance(content, dict) or set(content) - {"faces", "answers"} != {"clustering", "decisions"}:
        raise InputError(f"{path}: not a file of decisions; expected 'clustering' and 'decisions', see review")
    if content["clustering"] != labels_hash(labels):
        raise InputError(
            f"{path}: decisions about the clustering {str(content['clustering'])[:12]!r}, but this one is "
            f"{labels_hash(labels)[:12]!r}; give the clustering that was reviewed, or cluster with --answers FILE"
        )
    if not isinstance(content["decisions"], list):
        raise InputError(f"{path}: 'decisions' is {type(content['decisions']).__name__}; expected a list")
    decisions = Decisions()
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    for number, item in enumerate(content["decisions"]):
        try:
            _add(decisions, item, labels, sizes)
        except InputError as error:
            raise InputError(f"{path}: decision {number}: {error}") from None
    _check(path, decisions, len(sizes))
    return decisions


def _add(decisions: Decisions, item: Any, labels: np.ndarray, sizes: np.ndarray) -> None:
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


def names_of(labels: np.ndarray, decisions: Decisions) -> dict[int, str]:
    """The names of clusters as `apply_decisions` numbers them; dropped clusters have none."""
    numbers = merged(int(labels.max(initial=-1)) + 1, decisions.merge)
    return {int(numbers[each]): name for each, name in decisions.name.items() if each not in decisions.drop}


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


def _parts(parts: Any, cluster: int, labels: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
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


def _cluster(cluster: Any, sizes: np.ndarray) -> int:
    if type(cluster) is not int or not 0 <= cluster < len(sizes) or not sizes[cluster]:
        raise InputError(f"cluster {str(cluster)[:40]} is unknown; there are {np.count_nonzero(sizes)}")
    return cluster


def _check(path: Path, decisions: Decisions, clusters: int) -> None:
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
    groups = merged(clusters, decisions.merge)
    named: dict[int, str] = {}
    for cluster, name in decisions.name.items():
        if (other := named.setdefault(int(groups[cluster]), name)) != name:
            raise InputError(f"{path}: merged clusters have two names, {other!r} and {name!r}; take one back")
    for whole, why in ((groups, "merged"), (merged(clusters, joined_by_name(decisions).merge), "of one name")):
        for a, b in (pair for apart in decisions.apart for pair in combinations(apart, 2)):
            if whole[a] == whole[b]:
                raise InputError(
                    f"{path}: clusters {a} and {b} are apart, but {why}, maybe through others; take one back"
                )
    for cluster in sorted(set(decisions.split) & set(decisions.exclude)):
        rows = np.intersect1d(np.concatenate(decisions.split[cluster]), decisions.exclude[cluster])
        if len(rows):
            raise InputError(f"{path}: face {rows[0]} is excluded and in a part of cluster {cluster}; decide for one")


CONTRADICTIONS = (
    {"keep", "drop"}, {"keep", "split"}, {"drop", "split"}, {"drop", "merge"}, {"split", "merge"},
    {"drop", "exclude_faces"},
)  # fmt: skip
"""Decisions that no cluster may have at once."""
