"""What is doubtful about a clustering, against pair-by-pair oracles."""

from __future__ import annotations

import numpy as np
import pytest

from clustering.review.doubt import NearestClusters, arrange, duplicates, merges, nearest_clusters, parts
from facerec.pipeline.embeddings import normalize


@pytest.fixture
def case():
    random = np.random.default_rng(3)
    labels = random.integers(-1, 9, 120) * 2  # gaps between the numbers; -2 becomes -1
    labels[labels < 0] = -1
    embeddings = normalize(random.normal(size=(120, 6)))
    return embeddings, labels, random.random(120).astype(np.float32)


def mean_cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean([[x @ y for y in b] for x in a]))


def test_clusters_by_faces_expected_wrong_and_faces_by_fit(case):
    embeddings, labels, confidence = case
    found = arrange(embeddings, labels, confidence)
    assert sorted(found.names.tolist()) == sorted(set(labels.tolist()) - {-1})
    assert np.all(np.diff(found.sizes * (1 - found.confidence)) <= 1e-9)  # most faces expected wrong first
    assert sorted(found.rows.tolist()) == np.flatnonzero(labels >= 0).tolist()
    np.testing.assert_array_equal(labels[found.rows], np.repeat(found.names, found.sizes))
    start = 0
    for place, name in enumerate(found.names):
        rows = found.rows[start : start + found.sizes[place]]
        start += found.sizes[place]
        x = embeddings[rows]
        np.testing.assert_allclose(found.confidence[place], confidence[rows].mean(), atol=1e-6)
        np.testing.assert_allclose(found.sums[place], x.sum(axis=0), atol=1e-5)
        others = [normalize((x.sum(axis=0) - face)[None])[0] for face in x]
        fit = [face @ other for face, other in zip(x, others, strict=True)]
        np.testing.assert_allclose(found.fit[start - len(rows) : start], fit, atol=1e-4)
        assert np.all(np.diff(fit) >= -1e-4), name
        cosines = (x @ x.T)[~np.eye(len(x), dtype=bool)]
        np.testing.assert_allclose(found.cohesion[place], cosines.mean(), atol=1e-5)


def test_equal_confidence_is_ordered_by_cohesion_and_a_face_alone_is_whole():
    embeddings = normalize(np.array([[1, 0], [0.8, 0.6], [1, 0], [0.9, 0.1], [0, 1]]))
    found = arrange(embeddings, np.array([0, 0, 1, 1, 2]), np.ones(5, np.float32))
    assert found.names.tolist() == [0, 1, 2]
    assert found.cohesion[2] == found.fit[4] == 1


def test_candidates_and_duplicates_are_mean_cosines(case):
    embeddings, labels, confidence = case
    found = arrange(embeddings, labels, confidence)
    near = nearest_clusters(found, 3)
    assert near.places.shape == (len(found.names), 3)
    assert np.all(np.diff(near.similarity, axis=1) <= 0)
    for place, name in enumerate(found.names):
        assert place not in near.places[place]
        for other, similarity in zip(near.places[place], near.similarity[place], strict=True):
            wanted = mean_cosine(embeddings[labels == name], embeddings[labels == found.names[other]])
            assert similarity == pytest.approx(wanted, abs=1e-5)
    pairs, similarity = duplicates(near, found.sizes)
    assert np.all(np.diff(similarity) <= 0)
    wanted = {tuple(sorted((place, other))) for place, row in enumerate(near.places.tolist()) for other in row}
    assert set(map(tuple, pairs.tolist())) == wanted
    assert len(pairs) == len(wanted)


def test_one_cluster_has_no_candidates():
    found = arrange(np.eye(3, dtype=np.float32), np.zeros(3, np.int64), np.ones(3, np.float32))
    near = nearest_clusters(found)
    assert near.places.shape == (1, 0)
    assert len(duplicates(near, found.sizes)[0]) == 0
    missing = NearestClusters(np.array([[1, -1], [0, -1]]), np.array([[0.5, 0], [0.5, 0]]))
    assert duplicates(missing, np.array([1, 2]))[0].tolist() == [[0, 1]]


def test_two_clusters_are_the_nearest_of_each_other():
    found = arrange(np.eye(3, dtype=np.float32), np.array([0, 0, 1]), np.ones(3, np.float32))
    near = nearest_clusters(found)
    assert near.places.tolist() == [[1], [0]]
    assert duplicates(near, found.sizes)[0].tolist() == [[0, 1]]


def test_a_duplicate_that_only_one_of_the_two_is_nearest_to():
    near = NearestClusters(np.array([[1], [2], [0]]), np.array([[0.9], [0.5], [0.4]]))
    pairs, similarity = duplicates(near, np.array([1, 1, 2]))
    assert (pairs.tolist(), similarity.tolist()) == ([[1, 2], [0, 2]], [0.5, 0.4])


def test_two_faces_alone_are_no_duplicates():
    near = NearestClusters(np.array([[1, 2], [0, 2], [1, 0]]), np.array([[0.9, 0.5], [0.9, 0.4], [0.4, 0.5]]))
    pairs, similarity = duplicates(near, np.array([1, 1, 3]))
    assert pairs.tolist() == [[0, 2], [1, 2]]
    assert similarity.tolist() == [0.5, 0.4]


def test_parts_the_largest_first():
    embeddings = normalize(np.random.default_rng(0).normal(size=(8, 3)))
    labels = np.array([0, 0, 0, 1, 1, -1, 2, 2])
    found = arrange(embeddings, labels, np.array([0.1] * 3 + [0.2] * 2 + [0] + [0.3] * 2, np.float32))
    part, count = parts(found, np.array([4, 7, 7, 2, 2, -1, 3, 5]))
    assert count.tolist() == [2, 1, 2]
    by_row = dict(zip(found.rows.tolist(), part.tolist(), strict=True))
    assert [by_row[row] for row in (0, 1, 2, 3, 4)] == [1, 0, 0, 0, 0]
    assert {by_row[6], by_row[7]} == {0, 1}
    part, count = parts(found, np.array([-1, 0, 0, 0, -1, 0, -1, -1]))  # a level that takes fewer faces
    assert count.tolist() == [2, 2, 1]
    assert dict(zip(found.rows.tolist(), part.tolist(), strict=True)) == {0: 1, 1: 0, 2: 0, 3: 1, 4: 0, 6: 0, 7: 0}


def test_merges_compare_a_part_with_the_rest_on_the_coarsest_level_that_divides(case):
    embeddings, _, _ = case
    labels = np.repeat([0, 1, 2], 40)
    fine, middle = np.arange(120) // 10, np.where(labels == 0, np.arange(120) // 15, 9 + labels)
    found = arrange(embeddings, labels, np.ones(120, np.float32))
    divisions = [parts(found, level) for level in (fine, middle, labels)]
    doubtful = merges(embeddings, found, divisions)
    assert np.all(np.diff(doubtful.similarity) >= 0)
    levels = {int(found.names[place]): level for place, level in zip(doubtful.places, doubtful.level, strict=True)}
    assert levels == {0: 1, 1: 0, 2: 0}
    assert len(doubtful.places) == (3 - 1) + (4 - 1) * 2
    for place, level, part, size, similarity in zip(*doubtful, strict=True):
        rows = found.rows[found.places == place]
        own = divisions[level][0][found.places == place] == part
        assert size == own.sum()
        wanted = mean_cosine(embeddings[rows[own]], embeddings[rows[~own]])
        assert similarity == pytest.approx(wanted, abs=1e-5)


def test_a_cluster_in_two_parts_is_not_compared_on_a_finer_level():
    embeddings, labels = normalize(np.random.default_rng(0).normal(size=(8, 3))), np.zeros(8, np.int64)
    found = arrange(embeddings, labels, np.ones(8, np.float32))
    doubtful = merges(embeddings, found, [parts(found, np.arange(8) // 2), parts(found, np.arange(8) // 5)])
    assert (doubtful.level.tolist(), doubtful.sizes.tolist()) == ([1], [3])


def test_no_levels_no_merges(case):
    found = arrange(*case)
    assert all(len(column) == 0 for column in merges(case[0], found, []))
    assert all(len(column) == 0 for column in merges(case[0], found, [parts(found, case[1])]))
