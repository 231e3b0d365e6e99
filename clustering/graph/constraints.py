"""Answers to "the same person?" about pairs of faces: must-links and cannot-links that a clustering has to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from clustering.partition import components
from facerec.pipeline.files import InputError
from facerec.pipeline.values import as_array

MOST_SHOWN = 40
"""Letters of a key that a message shows."""


@dataclass(frozen=True)
class Constraints:
    """What is known about pairs of n faces.

    Attributes:
        rows: n.
        pairs: int64 [m, 2], rows.
        same: Bool [m]: True for one person (must-link), False for two (cannot-link).
        names: The faces' keys, for messages; or nothing.

    Raises:
        InputError: The shapes or types do not fit, or a row is not there.
    """

    rows: int
    pairs: np.ndarray
    same: np.ndarray
    names: Sequence[str] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        pairs, same = as_array("pairs", self.pairs), as_array("same", self.same)
        if pairs.shape != (*same.shape, 2) or same.ndim != 1:
            raise InputError(f"pairs, same: {list(pairs.shape)}, {list(same.shape)}; expected shapes [m, 2], [m]")
        if pairs.dtype.kind not in "iu" or same.dtype != bool:  # 0 and 1 would be taken for rows
            raise InputError(f"pairs, same: {pairs.dtype}, {same.dtype}; expected integers, bool")
        wrong = np.flatnonzero((pairs < 0) | (pairs >= self.rows))
        if wrong.size:
            place, row = wrong[0] // 2, pairs.flat[wrong[0]]
            raise InputError(f"pair {place} has row {row}; expected rows from 0 to {self.rows - 1}")
        object.__setattr__(self, "pairs", pairs)
        object.__setattr__(self, "same", same)

    def __len__(self) -> int:
        return len(self.pairs)

    @cached_property
    def person(self) -> np.ndarray:
        """Int64 [n]: faces that must be together, directly or through others, have one number."""
        return components(self.rows, *self.together.T)

    @cached_property
    def linked(self) -> np.ndarray:
        """Int64: the rows that must be with another one."""
        return np.unique(self.together)

    @property
    def together(self) -> np.ndarray:
        """Int64 [t, 2]: the pairs that must be together."""
        return self.pairs[self.same]

    @property
    def apart(self) -> np.ndarray:
        """Int64 [a, 2]: the pairs that must not be together."""
        return self.pairs[~self.same]

    def contradictions(self) -> list[str]:
        """A line for each pair that must be apart and, through others, together."""
        torn = self.apart[self.person[self.apart[:, 0]] == self.person[self.apart[:, 1]]]
        return [
            f"{self._name(a)} and {self._name(b)} are different people, but the same through other answers; "
            "take one back" for a, b in torn.tolist()
        ]  # fmt: skip

    def of_nodes(self, node: np.ndarray) -> Constraints:
        """The same about nodes that stand for several faces each, int64 [n]; pairs within a node are left out."""
        pairs = node[self.pairs]
        kept = pairs[:, 0] != pairs[:, 1]
        return Constraints(int(node.max(initial=-1)) + 1, pairs[kept], self.same[kept])

    def torn(self, node: np.ndarray) -> np.ndarray:
        """Int64: faces of which answers contradict each other only if the faces of a node, int64 [n], are one."""
        person = self.of_nodes(node).person[node]
        first = np.unique(self.apart[person[self.apart[:, 0]] == person[self.apart[:, 1]]])
        node = np.array(node)
        node[first] = node.max(initial=-1) + 1 + np.arange(len(first))
        person = self.of_nodes(node).person[node]  # of one person through copies of other faces: all that are named
        one, other = person[self.apart].T
        named = np.unique(self.pairs)
        return np.union1d(first, named[np.isin(person[named], one[one == other])])

    def checked(self, origin: str) -> Constraints:
        """Itself, if no answers contradict each other.

        Args:
            origin: Where the answers come from, for the message.

        Raises:
            InputError: Answers that contradict each other.
        """
        if torn := self.contradictions():
            raise InputError(f"{origin}: {len(torn)} contradiction{'s'[: len(torn) > 1]}: {torn[0]}")
        return self

    def among(self, rows: np.ndarray) -> Constraints:
        """The same without pairs of which a face is not among these, bool [n]."""
        kept = rows[self.pairs].all(axis=1)
        return Constraints(self.rows, self.pairs[kept], self.same[kept], self.names)

    def and_these(self, others: Constraints) -> Constraints:
        """These, and others about the same faces."""
        pairs = np.concatenate([self.pairs, others.pairs])
        return Constraints(self.rows, pairs, np.concatenate([self.same, others.same]), self.names)

    def violated(self, labels: np.ndarray) -> np.ndarray:
        """Int64 [v, 2]: the pairs that must be apart and share a cluster."""
        a, b = labels[self.apart].T
        return self.apart[(a == b) & (a >= 0)]

    def _name(self, row: int) -> str:
        return repr(self.names[row][-MOST_SHOWN:]) if len(self.names) else f"row {row}"
