"""How alike people are: thresholds and probabilities, by hand and on drawn cosines."""

from __future__ import annotations

import numpy as np
import pytest

from clustering.similarity.likeness import Likeness


def test_threshold_is_the_smallest_that_few_enough_reach():
    likeness = Likeness(np.array([0.9]), np.arange(10) / 10, 20)
    assert np.count_nonzero(likeness.impostor >= likeness.threshold(0.2)) == 2
    assert likeness.threshold(0.2) == pytest.approx(0.7, abs=1e-6)
    assert likeness.threshold(0) > 0.9
    assert likeness.threshold(1) == pytest.approx(0, abs=1e-6)
    assert likeness.threshold(0.2, 40) == likeness.threshold(0.1)  # twice as many people
    assert likeness.threshold(0.2, 10) == likeness.threshold(0.2)
    assert Likeness(np.zeros(0), np.zeros(0), 0).threshold(0.05) == -1


def test_symmetrising_forgets_the_upper_half():
    likeness = Likeness(np.zeros(1), np.array([0.1, 0.2, 0.3, 0.9, 0.95]), 5).symmetrised()
    np.testing.assert_allclose(np.sort(likeness.impostor), [0.1, 0.2, 0.3, 0.3, 0.4, 0.5])


def test_quantile_of_genuine_cosines_by_hand():
    assert Likeness(np.array([0.1, 0.2, 0.3]), np.zeros(0), 0).genuine_quantile(0.5) == pytest.approx(0.2)
    assert Likeness(np.zeros(0), np.zeros(0), 0).genuine_quantile(0.5) == 1


def test_probability_is_calibrated_whatever_the_share():
    random = np.random.default_rng(0)
    likeness = Likeness(random.normal(0.7, 0.1, 500), random.normal(0.4, 0.1, 900), 9)
    for share in (0.2, 0.9):
        own = random.random(4000) < share
        found = likeness.probability(np.where(own, random.normal(0.7, 0.1, 4000), random.normal(0.4, 0.1, 4000)))
        assert found.mean() == pytest.approx(share, abs=0.03)
        assert found[(found > 0.6) & (found < 0.9)].mean() == pytest.approx(own[(found > 0.6) & (found < 0.9)].mean(),
                                                                           abs=0.1)  # fmt: skip
    np.testing.assert_array_equal(Likeness(np.zeros(0), np.zeros(3), 1).probability(np.zeros(2)), [1, 1])
    assert len(likeness.probability(np.zeros(0))) == 0


FACES = np.array([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]], np.float32)


def test_likeness_of_people_by_hand():
    found = Likeness.of_people(FACES, np.array([0, 0, 1, -1]))
    np.testing.assert_allclose(found.genuine, [0.8, 0.8], atol=1e-6)  # who is alone has no other face
    np.testing.assert_allclose(found.impostor, [0, 0.6, 0.1**0.5], atol=1e-6)
    assert found.identities == 2
    one = Likeness.of_people(FACES, np.array([0, 0, -1, -1]))
    assert (len(one.genuine), len(one.impostor), one.identities) == (0, 0, 0)


def test_likeness_of_clusters_leaves_single_faces_out_and_is_symmetrised():
    faces = np.vstack([FACES, [[0.6, -0.8]]]).astype(np.float32)
    found = Likeness.of_clusters(faces, np.array([0, 0, 1, 1, 2]))
    expected = Likeness.of_people(faces, np.array([0, 0, 1, 1, -1])).symmetrised()
    np.testing.assert_array_equal(found.impostor, expected.impostor)
    assert found.identities == 2
    np.testing.assert_allclose(np.sort(found.impostor) + np.sort(found.impostor)[::-1], 2 * np.median(found.impostor))
