"""What answers about faces that are gone say about the faces that are left."""

from __future__ import annotations

import numpy as np

from clustering.graph.constraints import Constraints


def implied(everything: Constraints, rows: int) -> Constraints:
    """What follows about the first `rows` faces from answers that also name later ones, and not from the others alone.

    If two faces were each the same as a third one, they are the same. If one was the same as the third one, and another
    was not, they are different.

    Args:
        everything: About the faces that are left, which come first, and those that are gone.
        rows: How many are left.
    """
    left = (everything.pairs < rows).all(axis=1)
    alone = Constraints(rows, everything.pairs[left], everything.same[left])
    linked = everything.linked[everything.linked < rows]
    parts, first = np.unique(
        np.stack([everything.person[linked], alone.person[linked]]), axis=1, return_index=True
    )  # of a person the parts that are linked without the faces that are gone, side by side
    one = linked[first]
    same = np.stack([one[:-1], one[1:]], axis=1)[parts[0, :-1] == parts[0, 1:]]
    known = np.full(everything.rows, -1)
    known[:rows] = np.arange(rows)
    shown = np.full(everything.rows, -1)  # of each person, by number, a face that is left
    shown[everything.person[linked[::-1]]] = linked[::-1]
    known[rows:] = shown[everything.person[rows:]]
    apart = known[everything.pairs[~left & ~everything.same]]
    apart = np.unique(np.sort(apart[(apart >= 0).all(axis=1)], axis=1), axis=0)
    pairs = np.concatenate([same, apart])
    return Constraints(rows, pairs, np.arange(len(pairs)) < len(same))
