"""What a person decided about clusters, and its effect on labels; `decision_files` reads the file of decisions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise

import numpy as np

from clustering.graph.constraints import Constraints
from clustering.partition import components


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
    numbers = sorted((merged(decisions.merge) | dict.fromkeys(decisions.drop, -1)).items())
    before, after = np.array(numbers, np.int64).reshape(-1, 2).T
    changed = np.isin(labels, before)
    result = labels.copy()
    result[changed] = after[np.searchsorted(before, labels[changed])]
    parts = [part for cluster in sorted(decisions.split) for part in decisions.split[cluster]]
    for number, part in enumerate(parts, int(labels.max(initial=-1)) + 1):
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
    order: np.ndarray = stay[np.lexsort((stay, -likeness[stay], labels[stay]))]
    clusters, first = np.unique(labels[order], return_index=True)
    face = dict(np.stack([clusters, order[first]], axis=1).tolist())
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


def merged(groups: Sequence[Sequence[int]]) -> dict[int, int]:
    """For each cluster of a group the lowest one of those that it is merged with, directly or through others."""
    clusters = sorted({each for group in groups for each in group})
    pairs = np.array([pair for group in groups for pair in pairwise(group)], np.int64).reshape(-1, 2)
    component = components(len(clusters), *np.searchsorted(clusters, pairs).T)
    first = np.unique(component, return_index=True)[1]
    return {each: clusters[first[of]] for each, of in zip(clusters, component, strict=True)}


def names_of(decisions: Decisions) -> dict[int, str]:
    """The names of clusters as `apply_decisions` numbers them; dropped clusters have none."""
    numbers = merged(decisions.merge)
    return {numbers.get(each, each): name for each, name in decisions.name.items() if each not in decisions.drop}
