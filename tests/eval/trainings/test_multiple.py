"""Holm's correction and letters, against hand-computed values and every subset."""

from itertools import combinations

import numpy as np
import pytest

from eval.trainings.multiple import groups, holm, holm_of_pairs, letter, letters


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.5, 0.6])).tolist() == [1, 1]
    assert holm(np.array([0.4, 0.9, 0.9])).tolist() == [1, 1, 1]
    assert holm(np.empty(0)).tolist() == []
    pairs = holm_of_pairs(np.array([[1, 0.01, 0.04], [0.01, 1, 0.03], [0.04, 0.03, 1]]))
    assert pairs == pytest.approx(np.array([[1, 0.03, 0.06], [0.03, 1, 0.06], [0.06, 0.06, 1]]))


def every_largest_set(differs):
    """By trying every subset."""
    rows = range(len(differs))
    alike = [set(some) for size in range(1, len(differs) + 1) for some in combinations(rows, size)
             if not any(differs[pair] for pair in combinations(some, 2))]  # fmt: skip
    return [some for some in alike if not any(some < other for other in alike)]


@pytest.mark.parametrize("seed", range(12))
def test_groups_are_the_largest_sets_without_a_difference(seed):
    rng = np.random.default_rng(seed)
    differs = np.triu(rng.random((6, 6)) < rng.random(), 1)
    differs |= differs.T
    order = rng.permutation(6).tolist()
    found = groups(order, differs)
    assert sorted(map(sorted, found)) == sorted(map(sorted, every_largest_set(differs)))
    assert all(each == [row for row in order if row in each] for each in found)


def test_letters_by_hand():
    differs = np.zeros((4, 4), dtype=bool)
    differs[0, 1] = differs[1, 0] = differs[0, 3] = differs[3, 0] = True
    assert letters(np.array([0.3, 0.1, 0.2, 0.15]), differs) == ["b", "a", "ab", "a"]
    assert [letter(number) for number in (0, 25, 26)] == ["a", "z", "a2"]
