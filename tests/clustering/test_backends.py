"""The simple backends against independent implementations."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import DBSCAN
from sklearn.cluster import KMeans as LloydKMeans

from clustering.base import consecutive
from clustering.dbscan import Dbscan
from clustering.finch import Finch, partitions, tightness
from clustering.kmeans import KMeans
from clustering.knn import KnnGraph
from facerec.artifacts import InputError


@pytest.mark.parametrize("min_samples", [1, 2, 4])
@pytest.mark.parametrize("min_similarity", [0.6, 0.7])
def test_dbscan_equals_the_exact_one(blobs, min_samples, min_similarity):
    embeddings, _ = blobs(spread=0.9, seed=3)
    found = Dbscan(min_similarity, min_samples).cluster(KnnGraph.build(embeddings, len(embeddings) - 1)).labels
    exact = DBSCAN(eps=1 - min_similarity, min_samples=min_samples, metric="cosine").fit(embeddings)
    core = exact.core_sample_indices_
    assert 1 < found.max() + 1 < len(embeddings)
    np.testing.assert_array_equal(consecutive(found[core]), consecutive(exact.labels_[core]))
    np.testing.assert_array_equal(found < 0, exact.labels_ < 0)  # border points may go to another core's cluster


def test_dbscan_with_one_sample_is_components_at_a_threshold(blobs):
    embeddings, _ = blobs(spread=0.9)
    found = Dbscan(0.7, 1).cluster(KnnGraph.build(embeddings, len(embeddings) - 1)).labels
    np.testing.assert_array_equal(found, consecutive(connected_components(embeddings @ embeddings.T >= 0.7)[1]))


def test_dbscan_border_goes_to_its_most_similar_core():
    angles = np.deg2rad([0, 10, 20, 45, 75, 85, 95])  # the face at 45 is 25 from one core, 30 from another
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    labels = Dbscan(float(np.cos(np.deg2rad(31))), 4).cluster(KnnGraph.build(embeddings, 6)).labels
    assert labels[3] == labels[2]


def test_finch_equals_finch_clust(blobs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an optional dependency that it lacks
        finch = pytest.importorskip("finch")
    for seed in range(5):
        embeddings, _ = blobs(identities=30, faces=12, dimension=64, spread=0.9, seed=seed)
        expected = finch.FINCH(embeddings, verbose=False)[0]
        found = partitions(KnnGraph.build(embeddings, 5))
        assert len(found) >= 2
        for labels, column in zip(found, expected.T, strict=True):
            np.testing.assert_array_equal(labels, consecutive(column))


def test_finch_takes_the_coarsest_partition_that_is_tight_enough(blobs):
    embeddings, _ = blobs(identities=15, faces=12, spread=0.7)
    graph = KnnGraph.build(embeddings, 5)
    found = partitions(graph)
    values = [tightness(embeddings, labels) for labels in found]
    assert values == sorted(values, reverse=True)
    for labels, value in zip(found, values, strict=True):
        np.testing.assert_array_equal(Finch(value - 1e-4).cluster(graph).labels, labels)
    np.testing.assert_array_equal(Finch(1.0).cluster(graph).labels, found[0])


def test_tightness_is_the_mean_cosine_with_the_mean():
    embeddings = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    assert tightness(embeddings, np.array([0, 0, -1])) == pytest.approx(np.sqrt(0.5))


def test_kmeans_number_of_clusters_and_objective(blobs):
    embeddings, truth = blobs(identities=10, faces=9, spread=0.3)
    kmeans = KMeans.fit(embeddings, truth, seed=0)
    assert kmeans.faces_per_cluster == 9
    labels = kmeans.cluster(KnnGraph.build(embeddings, 3)).labels
    assert labels.max() == 9
    lloyd = LloydKMeans(10, n_init=5, random_state=0).fit_predict(embeddings)
    assert tightness(embeddings, labels) > tightness(embeddings, lloyd.astype(np.int64)) - 0.05


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dbscan(min_similarity=2.0), "min_similarity is 2.0; it must be a number from -1 to 1"),
        (lambda: Dbscan(min_samples=0), "min_samples is 0"),
        (lambda: KMeans(faces_per_cluster=0), "faces_per_cluster is 0"),
        (lambda: Finch(min_similarity="x"), "min_similarity is 'x'"),
    ],
)
def test_refused_settings(make, message):
    with pytest.raises(InputError, match=message):
        make()
