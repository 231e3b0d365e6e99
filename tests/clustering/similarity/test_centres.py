"""Cosines with clusters and their centres, by hand and against slow code."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.partition import cluster_sums, consecutive
from clustering.similarity.centres import (
    centres,
    cosine_to_rest_of_cluster,
    evenly_spaced,
    mean_cosine_between,
    mean_pair_cosine,
    nearest,
    other_centre,
)
from facerec.pipeline.embeddings import normalize


def cosine_to_rest_slowly(embeddings: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> list[float]:
    found = []
    for i, label in enumerate(labels):
        others = [weights[j] * embeddings[j] for j in range(len(labels)) if j != i and labels[j] == label >= 0]
        mean = np.sum(others, axis=0) if others else np.zeros(embeddings.shape[1])
        length = np.linalg.norm(mean)
        found.append(float(embeddings[i] @ mean / length) if length > 1e-3 else None)
    return found


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 30), seed=st.integers(0, 999), clusters=st.integers(1, 6))
def test_cosine_to_the_rest_of_the_cluster_equals_the_slow_one(n, seed, clusters):
    random = np.random.default_rng(seed)
    embeddings = normalize(random.normal(size=(n, 4)))
    labels = consecutive(random.integers(-1, clusters, n))
    weights = random.random(n).astype(np.float32) + 0.1
    found = cosine_to_rest_of_cluster(embeddings, labels, weights)
    for value, expected in zip(found, cosine_to_rest_slowly(embeddings, labels, weights), strict=True):
        if expected is not None:
            assert value == pytest.approx(expected, abs=2e-3)


def test_cosine_to_the_rest_of_the_cluster_by_hand():
    embeddings = np.array([[1, 0], [0, 1], [0, 1], [1, 0], [1, 0]], np.float32)
    found = cosine_to_rest_of_cluster(embeddings, np.array([0, 0, 0, 1, -1]))
    r = math.sqrt(0.5)
    np.testing.assert_allclose(found, [0, r, r, 0, 0], atol=1e-6)
    assert found.dtype == np.float32
    assert cosine_to_rest_of_cluster(embeddings, np.full(5, -1)).tolist() == [0] * 5


def test_weights_count_in_the_mean_of_the_others_and_leave_the_face_out():
    embeddings = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    found = cosine_to_rest_of_cluster(embeddings, np.zeros(3, np.int64), np.array([2, 1, 3], np.float32))
    np.testing.assert_allclose(found, [-3 / math.sqrt(10), 0, -2 / math.sqrt(5)], atol=1e-6)
    opposite = np.array([[0, 1], [1, 0], [-1, 1e-5]], np.float32)  # the mean of the others is as good as nothing
    assert cosine_to_rest_of_cluster(opposite, np.zeros(3, np.int64))[0] == 0


def test_centres_by_hand():
    embeddings = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], np.float32)
    found, tightness, sizes = centres(embeddings, np.array([0, 0, 1, -1]))
    root = np.sqrt(0.5)
    np.testing.assert_allclose(found, [[root, root], [1, 0]], atol=1e-6)
    np.testing.assert_allclose(tightness, [root, 1], atol=1e-6)
    np.testing.assert_array_equal(sizes, [2, 1])
    np.testing.assert_allclose(other_centre(embeddings, np.array([0, 0, 1, -1]), np.arange(4)), [1, 0, root, root],
                               atol=1e-6)  # fmt: skip
    assert other_centre(embeddings, np.zeros(4, np.int64), np.array([2])).tolist() == [-1]


def test_nearest_finds_at_most_all():
    ids, cosines = nearest(np.eye(2, dtype=np.float32), np.array([[0, 1]], np.float32), 3)
    assert ids.tolist() == [[0, -1, -1], [0, -1, -1]]
    assert cosines.tolist() == [[0, -1, -1], [1, -1, -1]]


def test_no_queries_no_clusters_and_cosines_beyond_one():
    ids, cosines = nearest(np.zeros((0, 2), np.float32), np.eye(2, dtype=np.float32), 3)
    assert ids.shape == cosines.shape == (0, 3)
    assert other_centre(np.eye(2, dtype=np.float32), np.full(2, -1), np.arange(2)).tolist() == [-1, -1]
    long = np.array([[1 + 1e-6, 0]], np.float32)
    assert nearest(long, long, 1)[1].tolist() == [[1]]


def test_a_sample_is_as_large_as_it_may_be():
    assert len(evenly_spaced(np.arange(50_000))) == 50_000
    assert evenly_spaced(np.arange(50_001)).tolist() == list(range(0, 50_001, 2))


def test_mean_cosines_of_pairs_by_hand():
    embeddings = np.array([[1, 0], [0.6, 0.8], [0, 1], [0, 1]], np.float32)
    labels = np.array([0, 0, 0, 1])
    sums, sizes = cluster_sums(embeddings, labels), np.bincount(labels)
    np.testing.assert_allclose(mean_pair_cosine(sums, sizes), [(0.6 + 0 + 0.8) / 3, 1], atol=1e-6)
    between = mean_cosine_between(sums[:1], sizes[:1], sums[1:], sizes[1:])
    np.testing.assert_allclose(between, [(0 + 0.8 + 1) / 3], atol=1e-6)
