from __future__ import annotations

import numpy as np
import pytest

from clustering.graph.blocks_on_disk import Lists
from clustering.graph.builder import GraphBuilder
from clustering.graph.chance import Chance
from clustering.graph.second_search import estimate_recall
from facerec.pipeline.embeddings import normalize


def test_recalls_of_all_and_of_those_above_chance_by_hand(tmp_path):
    angles = np.radians([0.0, 5, 60, 170])  # nearest two of each: 1 2, 0 2, 1 0, 2 1
    faces = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    builder, other = (GraphBuilder(faces, np.arange(4), tmp_path, tmp_path / name, 2) for name in ("one", "other"))
    lists = Lists(np.array([[1, 3], [2, 3], [1, 0], [0, 2]]), np.zeros((4, 2), np.float32))
    chance = Chance(4, 0, 0.25)  # cosines of .5 (two of 60 and 55 degrees) are exceeded by one stranger in 60
    found = estimate_recall(builder, lists, chance)
    assert found.all == pytest.approx((1 / 2 + 1 / 2 + 1 + 1 / 2) / 4)
    assert found.above_chance == pytest.approx(4 / 6)  # all but the two of the last, which has none: 1, 2, 1 and 0 of 6
    assert estimate_recall(other, lists, Chance(4, 0.999, 0.25)).above_chance == found.all  # none stands out


def test_recall_is_measured_on_rows_that_the_second_search_was_not_planned_on(tmp_path, monkeypatch):
    monkeypatch.setattr("clustering.graph.builder.SAMPLED_ROWS", 1)
    builder = GraphBuilder(np.eye(4, dtype=np.float32)[[0, 0, 1, 1]], np.arange(4), tmp_path, tmp_path / "steps", 1)
    assert (builder.sample(0).tolist(), builder.sample(1).tolist()) == ([2], [0])
    only_the_first = Lists(np.array([[1], [3], [1], [1]]), np.ones((4, 1), np.float32))
    assert estimate_recall(builder, only_the_first, Chance(4, 0, 0.25)).all == 1


def test_strangers_are_expected_as_often_as_random_directions_are_as_alike():
    random = np.random.default_rng(0)
    rows = normalize(random.normal(size=(3000, 64)))
    cosines = rows @ rows[0]
    for least in (0.1, 0.2, 0.3):
        expected = Chance(3000, 0, 1 / 8).expected(np.array([least]))[0]
        assert abs(np.sum(cosines[1:] >= least) - expected) < 3 * expected**0.5 + 1
    measured = Chance.of(rows[:1000], 3000)
    assert measured.location == pytest.approx(0, abs=0.005)
    assert measured.spread == pytest.approx(1 / 8, rel=0.05)


def test_where_all_faces_are_one_nothing_is_divided_by_zero():
    same = Chance.of(np.eye(4, dtype=np.float32)[[0] * 5], 5)
    assert same.expected(np.array([0.9, 1])).tolist() == [2.5, 0]  # of random directions half would be as near


def test_a_direction_that_all_faces_share_is_taken_off():
    plain, shared = Chance(10**6, 0, 0.1), Chance(10**6, 0.8, 0.02)
    cosines = np.array([-0.3, 0, 0.3, 0.45, 0.6, 1])
    np.testing.assert_allclose(shared.expected(0.8 + 0.2 * cosines), plain.expected(cosines), rtol=1e-9)
    np.testing.assert_array_equal(plain.stands_out(cosines), [False, False, False, False, True, True])


def test_shares_of_a_circle_and_of_a_sphere():
    """Of directions in two dimensions arccos(c) / pi have the cosine c or more, in three (1 - c) / 2."""
    cosines = np.array([0, 0.5, 0.9])
    np.testing.assert_allclose(Chance(100, 0, 2**-0.5).expected(cosines), 100 * np.arccos(cosines) / np.pi)
    np.testing.assert_allclose(Chance(100, 0, 3**-0.5).expected(cosines), 50 * (1 - cosines))
