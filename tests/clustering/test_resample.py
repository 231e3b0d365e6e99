"""Invented identities: like real ones in mean, spread and lookalikes."""

from __future__ import annotations

import numpy as np
import pytest

from clustering.resample import expected_likeness, invent, likeness
from facerec.artifacts import normalize


def test_likeness_by_hand():
    turns = np.array([0, 60, 180, 210, 0, 90, 180, 270]) * np.pi / 180
    centres = np.stack([np.cos(turns), np.sin(turns)], axis=1) * [[1], [2], [3], [4], [1], [1], [1], [1]]
    # Among the first four 0 and 60 degrees are nearest to each other, 180 and 210; the other four are at right angles.
    assert likeness(centres, 4) == pytest.approx((2 * 0.5 + 2 * np.sqrt(0.75) + 4 * 0) / 8, abs=1e-6)
    assert likeness(centres[:7], 4) == pytest.approx((0.5 + np.sqrt(0.75)) / 2, abs=1e-6)  # a part group is left out


def test_likeness_of_more_is_foreseen():
    random = np.random.default_rng(0)
    spread = np.exp(-np.arange(64) / 20)
    centres = random.normal(size=(4000, 64)) * spread
    truth = likeness(centres, 4000)
    assert expected_likeness(centres[:300], 4000) == pytest.approx(truth, abs=0.04)
    assert likeness(centres[:300], 300) < truth - 0.08
    assert expected_likeness(centres[:4], 40) <= 1
    assert expected_likeness(centres[:1], 10) == -1


def test_likeness_of_everybody_in_lfw_is_foreseen(data):
    with np.load(data / "embeddings_lfw112_mobilefacenet128.npz") as archive:
        embeddings, names = archive["embeddings"], archive["labels"]
    _, first = np.unique(names, return_index=True)
    people = embeddings[np.random.default_rng(0).permutation(first)]
    assert expected_likeness(people[:400], len(people)) == pytest.approx(likeness(people, len(people)), abs=0.02)
    assert likeness(people, 400) < likeness(people, len(people)) - 0.07


@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_invented_centres_have_as_many_lookalikes(spread):
    random = np.random.default_rng(1)
    types = random.normal(size=(40, 48))
    centres = types[random.integers(0, 40, 200)] + spread * random.normal(size=(200, 48))  # the less the more alike
    centres += 0.5
    invented = invent(centres, 2000, np.random.default_rng(2))
    assert invented.shape == (2000, 48)
    assert likeness(invented, 2000) == pytest.approx(expected_likeness(centres, 2000), abs=0.06)
    gaussian = random.multivariate_normal(centres.mean(axis=0), np.cov(centres.T), 2000)
    if spread == 1:
        assert likeness(invented, 2000) > likeness(gaussian, 2000) + 0.1
    np.testing.assert_allclose(invented.mean(axis=0), centres.mean(axis=0), atol=0.3)
    ratio = np.trace(np.cov(invented.T)) / np.trace(np.cov(centres.T))
    assert 0.9 < ratio < 1.1


def test_one_centre_is_enough_to_invent(blobs):
    invented = invent(np.ones((1, 8)), 10, np.random.default_rng(0))
    np.testing.assert_array_equal(normalize(invented), normalize(np.ones((10, 8))))
