"""Each backend against an independent implementation, or against slow and obvious code, on small data."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import DBSCAN, HDBSCAN
from sklearn.cluster import KMeans as LloydKMeans

from clustering.backends.aro import Aro, rank_order
from clustering.backends.components import Components
from clustering.backends.dbscan import Dbscan
from clustering.backends.finch import cohesion, cut, partitions
from clustering.backends.graclus import match, multilevel, nearest_clusters, normalized_cut
from clustering.backends.hac import HacAverage, HacSingle
from clustering.backends.hdbscan import Hdbscan
from clustering.backends.kmeans import KMeans, in_proportion, initial_centres
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from facerec.pipeline.embeddings import normalize

# ---------------------------------------------------------------------------------------------- DBSCAN, components


@pytest.mark.parametrize("min_samples", [1, 2, 4])
@pytest.mark.parametrize("min_similarity", [0.6, 0.7])
def test_dbscan_equals_the_exact_one(blobs, min_samples, min_similarity):
    embeddings, _ = blobs(spread=0.9, seed=3)
    n = len(embeddings)
    found = Dbscan(min_similarity, min_samples, k=n).cluster(KnnGraph.build(embeddings, n - 1)).labels
    exact = DBSCAN(eps=1 - min_similarity, min_samples=min_samples, metric="cosine").fit(embeddings)
    core = exact.core_sample_indices_
    assert 1 < found.max() + 1 < len(embeddings)
    np.testing.assert_array_equal(consecutive(found[core]), consecutive(exact.labels_[core]))
    np.testing.assert_array_equal(found < 0, exact.labels_ < 0)  # border points may go to another core's cluster


def test_dbscan_of_real_faces_equals_the_exact_one_with_enough_neighbours(real):
    embeddings, _ = real("celeba299")
    graph = KnnGraph.build(embeddings, 40)
    exact = DBSCAN(eps=0.4, min_samples=2, metric="cosine").fit_predict(embeddings)
    np.testing.assert_array_equal(Dbscan(0.6, 2, k=40).cluster(graph).labels, consecutive(exact))
    assert not np.array_equal(Dbscan(0.5, 2, k=5).cluster(graph).labels, Dbscan(0.5, 2, k=40).cluster(graph).labels)


@pytest.mark.parametrize("mutual", [True, False])
@pytest.mark.parametrize("k", [3, 6])
def test_components_equal_scipys(blobs, mutual, k):
    embeddings, _ = blobs(spread=0.9, seed=1)
    graph = KnnGraph.build(embeddings, k)
    listed = np.zeros((len(graph), len(graph)), bool)
    for i in range(len(graph)):
        listed[i, graph.neighbors[i]] = graph.similarities[i] >= 0.6
    matrix = listed & listed.T if mutual else listed | listed.T
    found = Components(0.6, mutual, k).cluster(graph).labels
    assert 1 < found.max() + 1 < len(graph)
    np.testing.assert_array_equal(found, consecutive(connected_components(matrix)[1]))


# ------------------------------------------------------------------------------------------------------------- HAC


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.2, 0.4, 0.6])
@pytest.mark.parametrize(("backend", "method"), [(HacAverage, "average"), (HacSingle, "single")])
def test_hac_equals_scipys(blobs, backend, method, threshold, seed):
    embeddings, _ = blobs(identities=30, faces=7, spread=0.9, seed=seed)
    tree = linkage(embeddings.astype(float), method, metric="cosine")
    expected = fcluster(tree, 1 - threshold, "distance")
    found = backend(threshold).cluster(KnnGraph.build(embeddings, 2)).labels
    np.testing.assert_array_equal(found, consecutive(expected))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 40), d=st.integers(2, 6), least=st.floats(-0.9, 0.95))
def test_average_linkage_of_any_faces_equals_scipys(seed, n, d, least):
    embeddings = normalize(np.random.default_rng(seed).normal(size=(n, d)))
    tree = linkage(embeddings.astype(float), "average", metric="cosine")
    heights = tree[:, 2]
    if np.abs(heights - (1 - least)).min() < 1e-5 or (len(heights) > 1 and np.diff(np.sort(heights)).min() < 1e-6):
        return  # rounding decides
    found = HacAverage(least).cluster(KnnGraph.build(embeddings, 3)).labels
    np.testing.assert_array_equal(found, consecutive(fcluster(tree, 1 - least, "distance")))


def test_single_linkage_sees_beyond_crowded_lists():
    rng = np.random.default_rng(0)
    crowd = np.array([[1.0, 0, 0]]) + 0.01 * rng.normal(size=(12, 3))
    other = np.array([[1.0, 0.3, 0]]) + 0.01 * rng.normal(size=(12, 3))
    embeddings = normalize(np.vstack([crowd, other]))
    graph = KnnGraph.build(embeddings, 3)
    assert Components(0.93, False, 3).cluster(graph).labels.max() > 0  # lists are full of faces of the same crowd
    np.testing.assert_array_equal(HacSingle(0.93).cluster(graph).labels, 0)


# --------------------------------------------------------------------------------------------------------- HDBSCAN


@pytest.mark.parametrize("min_samples", [1, 2, 4])
def test_hdbscan_equals_scikit_learns(blobs, min_samples):
    embeddings, _ = blobs(identities=10, faces=9, spread=0.8, seed=2)
    graph = KnnGraph.build(embeddings, len(embeddings) - 1)
    found = Hdbscan(min_samples, 3, 0.0, len(embeddings)).cluster(graph)
    distances = np.clip(1 - embeddings.astype(np.float64) @ embeddings.T.astype(np.float64), 0, None)
    np.fill_diagonal(distances, 0)
    exact = HDBSCAN(min_cluster_size=3, min_samples=min_samples, metric="precomputed", copy=True).fit(distances)
    assert found.labels.max() > 1
    np.testing.assert_array_equal(found.labels, consecutive(exact.labels_))
    if min_samples < 4:  # with more, many reachabilities are equal, and either may break ties as it likes
        np.testing.assert_allclose(found.confidence, exact.probabilities_, atol=1e-4)


def test_hdbscan_does_not_split_what_is_near():
    rng = np.random.default_rng(0)
    centres = normalize(np.array([[1, 0.1, 0], [1, -0.1, 0], [0, 0, 1]]))
    truth = np.repeat([0, 1, 2], 10)
    graph = KnnGraph.build(normalize(centres[truth] + 0.01 * rng.normal(size=(30, 3))), 29)
    fine, coarse = (Hdbscan(2, 5, distance).cluster(graph).labels for distance in (0.001, 0.1))
    np.testing.assert_array_equal(coarse, consecutive(truth // 2))
    assert fine.max() >= 2
    np.testing.assert_array_equal(Hdbscan(2, 2, 1.9).cluster(graph).labels, 0)


def test_a_few_faces_without_an_edge_to_the_others_do_not_make_hdbscan_join_these():
    rng = np.random.default_rng(0)
    centres = normalize(rng.normal(size=(40, 24)))
    crowd = np.repeat(centres, 8, axis=0) + 0.12 * rng.normal(size=(320, 24))
    crowd[:, 0] = 0.1
    crowd, apart = normalize(crowd), normalize(0.01 * rng.normal(size=(25, 24)) - np.eye(24)[:1])
    labels = Hdbscan().cluster(KnnGraph.build(crowd, 20)).labels
    graph = KnnGraph.build(np.vstack([crowd, apart]), 20)
    i = np.repeat(np.arange(345), 20)
    assert connected_components(csr_matrix((np.ones(len(i)), (i, graph.neighbors.ravel()))))[0] == 2
    found = Hdbscan().cluster(graph).labels
    assert labels.max() > 20
    np.testing.assert_array_equal(found, np.append(labels, np.full(25, labels.max() + 1)))


# ----------------------------------------------------------------------------------------------------------- FINCH


def test_finch_equals_finch_clust(blobs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an optional dependency that it lacks
        finch = pytest.importorskip("finch")
    for seed in range(5):
        embeddings, _ = blobs(identities=30, faces=12, dimension=64, spread=0.9, seed=seed)
        expected = finch.FINCH(embeddings, verbose=False)[0]
        *found, last = partitions(KnnGraph.build(embeddings, 5))
        assert (len(found) >= 2, last.max()) == (True, 0)  # it leaves out the last one, a single cluster
        for labels, column in zip(found, expected.T, strict=True):
            np.testing.assert_array_equal(labels, consecutive(column))


def slow_cohesion(embeddings: np.ndarray, rows: np.ndarray) -> float:
    cosines = [float(embeddings[a] @ embeddings[b]) for a in rows for b in rows if a != b]
    return float(np.mean(cosines)) if cosines else 1.0


def test_the_cut_through_finchs_partitions_equals_slow_code(blobs):
    embeddings, _ = blobs(identities=10, faces=8, spread=0.9)
    embeddings[5] = 0
    levels = partitions(KnnGraph.build(embeddings, 5))
    assert len(levels) >= 2
    slow = {tuple(np.flatnonzero(labels == c)): 0.0 for labels in levels for c in set(labels) - {-1}}
    slow = {rows: slow_cohesion(embeddings, np.array(rows)) for rows in slow}
    for least in (0.3, 0.5, 0.7):
        expected = np.arange(len(embeddings))
        for labels in levels:
            for c in set(labels) - {-1}:
                rows = np.flatnonzero(labels == c)
                if slow[tuple(rows)] >= least:
                    expected[rows] = 1000 * len(rows) + rows[0]
        expected[5] = -1
        np.testing.assert_array_equal(cut(embeddings, levels, least), consecutive(expected))


def test_cohesion_is_the_mean_cosine_of_pairs():
    embeddings = np.array([[1, 0], [0, 1], [1, 0], [1, 0]], np.float32)
    np.testing.assert_allclose(cohesion(embeddings, np.array([0, 0, 0, 1])), [1 / 3, 1])


# ------------------------------------------------------------------------------------------------------------- ARO


def slow_rank_order(graph: KnnGraph, a: int, b: int) -> float:
    def asymmetric(x: list[int], y: list[int], end: int) -> float:
        last = min(x.index(end) if end in x else len(x), len(x) - 1)
        return sum(face not in y for face in x[: last + 1])

    lists = [[row, *graph.neighbors[row][graph.neighbors[row] >= 0].tolist()] for row in (a, b)]
    ahead = lists[0].index(b)
    back = lists[1].index(a) if a in lists[1] else graph.k + 1
    return (asymmetric(*lists, b) + asymmetric(*lists[::-1], a)) / min(ahead, back)


def test_rank_order_equals_slow_code(blobs):
    embeddings, _ = blobs(spread=0.9, seed=5)
    graph = KnnGraph.build(embeddings, 6)
    found = rank_order(graph)
    expected = [[slow_rank_order(graph, a, b) for b in row] for a, row in enumerate(graph.neighbors)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(np.unique(found)) > 10


def test_rank_order_by_hand():
    """Lists 0: 1 2, 1: 0 2, 2: 1 3, 3: 2 1. (0, 1): nothing missing. (2, 3): 3 is in place 2 of 2's list."""
    neighbors = np.array([[1, 2], [0, 2], [1, 3], [2, 1]], np.int32)
    similarities = np.full((4, 2), 0.5, np.float32)
    found = rank_order(KnnGraph(np.eye(4, dtype=np.float32), neighbors, similarities))
    assert found[0, 0] == 0
    assert found[2, 1] == 0  # 2 1 3 are all in {3, 2, 1}; 3 2 are in {2, 1, 3}
    assert (
        found[0, 1] == (1 + 1) / 2
    )  # of 0 1 2: 0 is not in {2, 1, 3}; of 2 1 3: 3 is not in {0, 1, 2}; place 2 (or 3)


def test_aro_joins_pairs_at_its_distance(blobs):
    graph = KnnGraph.build(blobs(spread=0.9, seed=5)[0], 6)
    edges = rank_order(graph) <= 0.7
    matrix = np.zeros((len(graph), len(graph)))
    matrix[np.nonzero(edges)[0], graph.neighbors[edges]] = 1
    found = Aro(0.7, 6).cluster(graph).labels
    np.testing.assert_array_equal(found, consecutive(connected_components(matrix, directed=False)[1]))


# --------------------------------------------------------------------------------------------------------- K-means


def test_kmeans_number_of_clusters_and_objective(blobs):
    embeddings, truth = blobs(identities=10, faces=9, spread=0.3)
    kmeans = KMeans.learn(embeddings, truth, seed=0)
    assert kmeans.faces_per_cluster == 9
    labels = kmeans.cluster(KnnGraph.build(embeddings, 3)).labels
    assert labels.max() == 9
    lloyd = LloydKMeans(10, n_init=5, random_state=0).fit_predict(embeddings)
    assert objective(embeddings, labels) > objective(embeddings, lloyd.astype(np.int64)) - 0.05


def test_kmeans_finds_at_least_as_good_a_sum_of_squares_as_scikit_learns(blobs):
    embeddings, truth = blobs(identities=20, faces=9, spread=0.7, seed=4)
    graph = KnnGraph.build(embeddings, 3)
    labels = KMeans(9.0, starts=3).cluster(graph).labels
    lloyd = LloydKMeans(20, n_init=3, random_state=0).fit_predict(embeddings)
    assert squares(embeddings, labels) < squares(embeddings, lloyd.astype(np.int64)) * 1.02
    runs = [squares(embeddings, KMeans(9.0, starts=1, seed=seed).cluster(graph).labels) for seed in range(3)]
    assert squares(embeddings, labels) == pytest.approx(min(runs))  # the best of its three starts
    assert max(runs) > min(runs)
    assert squares(embeddings, labels) < squares(embeddings, np.arange(len(truth)) % 20) * 0.8


def test_kmeans_starts_from_one_face_of_each_of_far_groups(blobs, monkeypatch):
    embeddings, truth = blobs(identities=10, faces=9, spread=0.05)
    for cell in (90, 40):  # at once, and by cells
        monkeypatch.setattr("clustering.backends.kmeans.CELL", cell)
        starts = initial_centres(embeddings, 10, 0)
        assert sorted(truth[(starts @ embeddings.T).argmax(axis=1)]) == list(range(10))


def test_shares_are_in_proportion():
    np.testing.assert_array_equal(in_proportion(7, np.array([10, 0, 20, 40])), [1, 0, 2, 4])
    np.testing.assert_array_equal(in_proportion(3, np.array([1, 1, 1])), [1, 1, 1])
    np.testing.assert_array_equal(in_proportion(4, np.array([3, 3, 1])), [2, 2, 0])


def squares(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """The sum of squared distances to the clusters' means."""
    return float(
        sum(((embeddings[labels == c] - embeddings[labels == c].mean(axis=0)) ** 2).sum() for c in set(labels))
    )


def objective(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """The mean cosine with the cluster's mean."""
    return float(sum(np.linalg.norm(embeddings[labels == c].sum(axis=0)) for c in np.unique(labels)) / len(labels))


# --------------------------------------------------------------------------------------------------------- Graclus


def random_weights(n: int, seed: int) -> csr_matrix:
    dense = np.triu(np.random.default_rng(seed).random((n, n)), 1)
    dense[dense < 0.6] = 0
    return csr_matrix(dense + dense.T)


def slow_cut(dense: np.ndarray, labels: np.ndarray) -> float:
    total = 0.0
    for c in np.unique(labels):
        inside, degree = dense[np.ix_(labels == c, labels == c)].sum(), dense[labels == c].sum()
        total += (degree - inside) / degree
    return total


def test_normalised_cut_equals_slow_code():
    weights, labels = random_weights(20, 0), np.arange(20) % 4
    assert normalized_cut(weights, labels) == pytest.approx(slow_cut(weights.toarray(), labels))


def test_normalised_cut_by_hand():
    """A path of three edges cut in the middle: each half has degree 3, of which 1 goes out."""
    path = csr_matrix(np.diag([1.0, 1, 1], 1) + np.diag([1.0, 1, 1], -1))
    assert normalized_cut(path, np.array([0, 0, 1, 1])) == pytest.approx(2 / 3)
    np.testing.assert_array_equal(multilevel(path, 2, 5), [0, 0, 1, 1])


def test_nodes_go_to_the_nearest_mean_in_the_kernel():
    weights, labels = random_weights(18, 1), np.arange(18) % 3
    dense = weights.toarray()
    degree = dense.sum(axis=1)
    kernel = dense / degree[:, None] / degree
    expected = []
    for i in range(18):
        distances = []
        for c in range(3):
            share = np.where(labels == c, degree, 0) / degree[labels == c].sum()
            distances.append(kernel[i, i] - 2 * kernel[i] @ share + share @ kernel @ share)
        expected.append(int(np.argmin(distances)))
    np.testing.assert_array_equal(nearest_clusters(weights, labels)[0], expected)


def test_matching_takes_mutual_best_pairs():
    dense = np.zeros((5, 5))
    for i, j, weight in [(0, 1, 1.0), (1, 2, 5.0), (2, 3, 1.0), (3, 4, 5.0)]:
        dense[i, j] = dense[j, i] = weight
    np.testing.assert_array_equal(match(csr_matrix(dense), 5), [0, 1, 1, 2, 2])
    assert match(csr_matrix(dense), 1).max() == 3


def test_refinement_lowers_the_cut_and_keeps_the_number():
    for seed in range(5):
        weights = random_weights(60, seed)
        coarse, refined = multilevel(weights, 6, 0), multilevel(weights, 6, 10)
        assert len(np.unique(coarse)) == 6
        assert len(np.unique(refined)) == 6
        assert normalized_cut(weights, refined) < normalized_cut(weights, coarse)
