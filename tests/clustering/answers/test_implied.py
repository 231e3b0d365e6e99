"""What follows from answers about faces that are gone, against a slow search through all pairs."""

from itertools import combinations

import numpy as np
import pytest

from clustering.answers.implied import implied
from clustering.graph.constraints import Constraints


@pytest.mark.parametrize("seed", range(20))
def test_with_what_follows_the_faces_that_are_left_are_as_if_none_were_gone(seed):
    random = np.random.default_rng(seed)
    person, rows = random.integers(5, size=14), 8
    pairs = np.array([pair for pair in combinations(range(14), 2) if random.random() < 0.2]).reshape(-1, 2)
    everything = Constraints(14, pairs, person[pairs[:, 0]] == person[pairs[:, 1]])
    left = (pairs < rows).all(axis=1)
    alone = Constraints(rows, pairs[left], everything.same[left])
    found = alone.and_these(implied(everything, rows))

    def known(answers: Constraints, one: int, other: int) -> str:
        group = answers.person
        if group[one] == group[other]:
            return "same"
        ends = {frozenset(group[pair]) for pair in answers.apart.tolist()}
        return "different" if frozenset((group[one], group[other])) in ends else ""

    for one, other in combinations(range(rows), 2):
        assert known(found, one, other) == known(everything, one, other)
    assert not found.contradictions()


def test_nothing_follows_where_nothing_is_gone():
    answers = Constraints(3, np.array([[0, 1], [1, 2]]), np.array([True, False]))
    assert len(implied(answers, 3)) == 0
