"""The errors that the benchmark plants are those that it says it plants."""

import label_noise
import numpy as np
import pytest

PEOPLE = np.repeat(np.arange(40), 10)
FACES = np.zeros((400, 2), np.float32)


@pytest.mark.parametrize(("kind", "share"), [("strays of others", 0.2), ("strays of nobody", 0.2), ("strays", 0.2)])
def test_strays(kind, share):
    found = label_noise.plant(FACES, PEOPLE, kind, share, 0)
    assert found.stray.mean() == pytest.approx(share, abs=0.03)
    np.testing.assert_array_equal(found.stray, found.labels != found.truth)
    nobody = set(PEOPLE) - set(found.labels[~found.stray])
    assert len(nobody) == {"strays of others": 0, "strays of nobody": 8, "strays": 4}[kind]
    assert (found.merged, found.split) == (set(), set())


def test_merged_and_split():
    found = label_noise.plant(FACES, PEOPLE, "merged", 0.2, 0)
    assert len(found.merged) == 4
    assert {len(set(found.truth[found.labels == label])) for label in found.merged} == {2}
    assert len(set(found.labels)) == 36
    found = label_noise.plant(FACES, PEOPLE, "split", 0.2, 0)
    assert len(found.split) == 8
    assert all(len({*found.truth[np.isin(found.labels, pair)]}) == 1 for pair in found.split)
    assert len(set(found.labels)) == 48


def test_all_kinds_are_of_other_people():
    found = label_noise.plant(FACES, PEOPLE, "all kinds", 0.3, 0)
    assert (len(found.merged), len(found.split)) == (2, 4)
    assert not found.merged & {label for pair in found.split for label in pair}
    whole = found.labels[~found.stray]
    assert all(np.isin(pair, whole).all() for pair in found.split)


def test_scores_by_hand():
    assert label_noise.scored({1, 2, 3}, {2, 3, 4, 5}) == (pytest.approx(2 / 3), 0.5, pytest.approx(4 / 7))
    assert label_noise.scored(set(), {1}) == (0, 0, 0)
