"""Whose face each is: clusters with the names that a person gave them, today and in an earlier export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, hstack, identity
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from clustering.partition import consecutive, own_cluster_size

UNNAMED = "person_"
NOWHERE = 1e-6
"""Shared faces that count if a name goes to no cluster: fewer than one, so that a name takes a cluster if it can."""


@dataclass(frozen=True)
class People:
    """The people of a clustering.

    Attributes:
        person: int64 [n], -1 for faces of nobody; numbers from 0, the person with most faces first.
        names: Name of each person, unique: the one that somebody gave, or `UNNAMED` and a number.
        given: Bool [people]: whether somebody gave the name.
    """

    person: np.ndarray
    names: list[str]
    given: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, names: Mapping[int, str], min_size: int = 2) -> People:
        """Makes people of clusters.

        Args:
            labels: int64 [n], clusters; -1 for unassigned.
            names: Of clusters. Clusters of one name are one person.
            min_size: Least faces of a cluster without a name; faces of smaller ones are nobody's.
        """
        named = np.isin(labels, list(names))
        kept = np.where(named | (own_cluster_size(consecutive(labels)) >= min_size), labels, -1)
        clusters = np.unique(kept[kept >= 0])
        first = {name: cluster for cluster, name in sorted(names.items(), reverse=True)}
        owner = np.array([first[names[each]] if each in names else each for each in clusters.tolist()], np.int64)
        owners, group = np.unique(owner, return_inverse=True)
        person = np.append(group, -1)[np.where(kept < 0, -1, np.searchsorted(clusters, kept))]
        sizes = np.bincount(person[person >= 0], minlength=len(owners))
        order = np.argsort(-sizes, kind="stable")
        place = np.append(np.argsort(order), -1)
        return cls(place[person], *_named([names.get(int(each)) for each in owners[order]]))

    def owners(self) -> list[str]:
        """The name of each face's person, or nothing."""
        names = np.array([*self.names, ""], dtype=object)
        return list(names[self.person])


def _named(given: Sequence[str | None]) -> tuple[list[str], np.ndarray]:
    """Names for all, and which of them were given."""
    taken, width = set(given), max(len(str(len(given))), 4)
    names, number = [], 0
    for name in given:
        if name is None:
            number += 1
            while f"{UNNAMED}{number:0{width}d}" in taken:
                number += 1
        names.append(f"{UNNAMED}{number:0{width}d}" if name is None else name)
    return names, np.array([name is not None for name in given], bool)


@dataclass(frozen=True)
class Earlier:
    """What an earlier export said.

    Attributes:
        owner: The name of each face's person by key; faces of people without a given name have none.
    """

    owner: Mapping[str, str]

    def carried(self, keys: Sequence[str], labels: np.ndarray, names: Mapping[int, str]) -> dict[int, str]:
        """The names of clusters, those of the earlier export among them.

        Each earlier name goes to one cluster, so that the names' clusters share as many faces as possible with their
        earlier people (an assignment problem). A cluster that has a name keeps it, and so does a name its cluster.

        Args:
            keys: Of the n faces.
            labels: int64 [n], clusters; -1 for unassigned.
            names: Given today, by cluster.
        """
        free = sorted(set(self.owner.values()) - set(names.values()))
        number = {name: place for place, name in enumerate(free)}
        old = np.array([number.get(self.owner.get(key, ""), -1) for key in keys], np.int64)
        both = (old >= 0) & (labels >= 0) & ~np.isin(labels, list(names))
        if not both.any():
            return dict(names)
        clusters, column = np.unique(labels[both], return_inverse=True)
        shape = (len(free), len(clusters))
        shared = csr_matrix((np.ones(len(column)), (old[both], column)), shape)
        nowhere = identity(len(free)) * NOWHERE
        rows, columns = min_weight_full_bipartite_matching(hstack([shared, nowhere]).tocsr(), maximize=True)
        found = columns < len(clusters)
        kept = {int(clusters[c]): free[r] for r, c in zip(rows[found], columns[found], strict=True)}
        return {**kept, **names}

    def changes(self, keys: Sequence[str], people: People) -> list[tuple[str, str, str]]:
        """Faces whose owner is another than before, if either has a given name: key, before, after."""
        now = people.owners()
        given = np.append(people.given, False)[people.person].tolist()
        before = [self.owner.get(key, "") for key in keys]
        return [
            (key, old, new)
            for key, old, new, named in zip(keys, before, now, given, strict=True)
            if old != new and (old or named)
        ]

    def lost(self, people: People) -> list[str]:
        """The given names of the earlier export that nobody has now."""
        return sorted(set(self.owner.values()) - set(people.names))
