"""What single backends promise beyond the conformance suite."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components

from clustering.backends import hac
from clustering.backends.aro import Aro
from clustering.backends.components import Components
from clustering.backends.dbscan import Dbscan
from clustering.backends.finch import Finch
from clustering.backends.graclus import Graclus
from clustering.backends.hac import HacAverage, HacSingle
from clustering.backends.hdbscan import Hdbscan
from clustering.backends.infomap import Infomap
from clustering.backends.kmeans import KMeans
from clustering.backends.leiden import Leiden
from clustering.backends.networks.l2c import L2c, PairNetwork, first_centres, likelihood_loss
from clustering.backends.registry import load_clusterer
from clustering.graph.edges import Edges, reordered, sparse_rows, united, value_order
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from eval.clusters import scores
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import InputError


def test_edges_by_hand():
    neighbors = np.array([[1, 2], [0, -1], [1, 0]], np.int32)
    similarities = np.array([[0.9, 0.5], [0.8, 0], [0.4, 0.5]], np.float32)
    edges = Edges.of(KnnGraph(np.eye(3, dtype=np.float32), neighbors, similarities))
    assert list(zip(edges.i, edges.j, edges.mutual, strict=True)) == [(0, 1, True), (0, 2, True), (1, 2, False)]
    np.testing.assert_allclose(edges.similarity, [0.9, 0.5, 0.4])


def test_edges_in_blocks(blobs, monkeypatch):
    graph = KnnGraph.build(blobs(spread=0.9)[0], 4)
    listed = {
        (i, int(j)): a
        for i in range(len(graph))
        for j, a in zip(graph.neighbors[i], graph.similarities[i], strict=True)
    }
    pairs = sorted({tuple(sorted(pair)) for pair, a in listed.items() if a >= 0.2})
    monkeypatch.setattr("clustering.graph.edges.ENTRIES", 12)  # three rows
    edges = Edges.of(graph, least=0.2)
    assert list(zip(edges.i, edges.j, strict=True)) == pairs
    assert edges.i.dtype == edges.j.dtype == np.int32
    both = [((i, j) in listed, (j, i) in listed) for i, j in pairs]
    np.testing.assert_array_equal(edges.mutual, [all(each) for each in both])
    best = [max(listed.get((i, j), -1), listed.get((j, i), -1)) for i, j in pairs]
    np.testing.assert_array_equal(edges.similarity, np.float32(best))


def test_edges_of_as_many_rows_as_int32_holds():
    most = np.iinfo(np.int32).max
    up = sparse_rows(np.float32([0.5, 0.75]), np.array([most - 2, most - 1]), np.array([0, 1, 2]), most)
    down = sparse_rows(np.float32([0.25]), np.array([most - 1]), np.array([0, 0, 1]), most)
    i, j, similarity, mutual = united(up, down, most - 4)
    assert list(zip(i, j, similarity, mutual, strict=True)) == [
        (most - 4, most - 2, 0.5, False), (most - 3, most - 1, 0.75, True)
    ]  # fmt: skip


def test_a_graph_of_nobody_has_no_edges():
    edges = Edges.of(KnnGraph(np.zeros((0, 2), np.float32), np.zeros((0, 3), np.int32), np.zeros((0, 3), np.float32)))
    assert [len(part) for part in edges] == [0, 0, 0, 0]


def test_a_reordered_graph_is_that_of_reordered_faces(blobs):
    embeddings = blobs(spread=0.9)[0]
    order = value_order(embeddings)
    found, expected = reordered(KnnGraph.build(embeddings, 4), order), KnnGraph.build(embeddings[order], 4)
    np.testing.assert_array_equal(found.neighbors, expected.neighbors)
    shuffled = np.random.default_rng(0).permutation(len(embeddings))
    np.testing.assert_array_equal(embeddings[shuffled][value_order(embeddings[shuffled])], embeddings[order])
    dead = np.hstack([np.zeros((len(embeddings), 9), np.float32), embeddings])
    np.testing.assert_array_equal(dead[shuffled][value_order(dead[shuffled])], dead[value_order(dead)])


def test_dbscan_with_one_sample_is_components_at_a_threshold(blobs):
    embeddings, _ = blobs(spread=0.9)
    n = len(embeddings)
    found = Dbscan(0.7, 1, k=n).cluster(KnnGraph.build(embeddings, n - 1)).labels
    np.testing.assert_array_equal(found, consecutive(connected_components(embeddings @ embeddings.T >= 0.7)[1]))


def test_dbscan_border_goes_to_its_most_similar_core():
    angles = np.deg2rad([0, 10, 20, 45, 75, 85, 95])  # the face at 45 is 25 from one core, 30 from another
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    labels = Dbscan(float(np.cos(np.deg2rad(31))), 4).cluster(KnnGraph.build(embeddings, 6)).labels
    assert labels[3] == labels[2]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_dbscan_of_fewer_faces_than_a_core_point_needs_is_noise(n):
    embeddings = [[1, 0.1 * i] for i in range(n)]
    assert Dbscan(0.5, n + 1).fit_predict(embeddings).tolist() == [-1] * n
    assert Dbscan(0.5, n).fit_predict(embeddings).tolist() == [0] * n


def test_a_short_list_of_near_faces_alone_makes_a_core_point():
    graph = KnnGraph.build(np.repeat([[1.0, 0]], 6, axis=0), 2)
    assert Dbscan(0.5, 5, k=2).cluster(graph).labels.tolist() == [0] * 6


@pytest.mark.parametrize("distance", [0, 0.4, 2])
def test_hdbscan_of_opposite_faces(distance):
    found = Hdbscan(1, 2, max_distance=distance).fit_predict([[0, 1], [0, -1]])
    assert found.tolist() == ([0, 0] if distance == 2 else [-1, -1])


def test_average_linkage_says_before_it_starts_that_faces_are_too_many(blobs, monkeypatch):
    monkeypatch.setattr(hac, "AVERAGE_LIMIT", 50)
    with pytest.raises(InputError, match="96 faces have a neighbour at 0.2; it takes 50 at most"):
        HacAverage(0.2).cluster(KnnGraph.build(blobs()[0], 3))


def test_single_linkage_of_too_many_crowded_faces_is_that_of_the_graph(blobs, monkeypatch):
    monkeypatch.setattr(hac, "SINGLE_LIMIT", 0)
    graph = KnnGraph.build(blobs(spread=0.9)[0], 2)
    expected = Components(0.3, False, 2).cluster(graph).labels
    found = HacSingle(0.3).cluster(graph)
    np.testing.assert_array_equal(found.labels, expected)
    assert "faces have more than 2 near neighbours, too many to compare" in found.warning
    assert HacSingle(1).cluster(graph).warning == ""


def test_finch_cuts_each_branch_where_its_faces_stop_to_be_alike():
    rng = np.random.default_rng(0)
    tight = normalize(np.array([[1.0, 0, 0, 0]]) + 0.02 * rng.normal(size=(6, 4)))
    loose = normalize(rng.normal(size=(6, 4)) * [0, 1, 1, 1])
    labels = Finch(0.95).cluster(KnnGraph.build(np.vstack([tight, loose]), 5)).labels
    np.testing.assert_array_equal(labels[:6], 0)
    assert len(np.unique(labels[6:])) >= 4


def test_faces_of_one_person_are_one_cluster_of_finch(blobs):
    """All first neighbours together are no one component."""
    embeddings, _ = blobs(identities=1, faces=12, spread=0.5)
    found = Finch(0.5).fit(embeddings)
    assert found.hierarchy_.cut(0).max() > 0
    np.testing.assert_array_equal(found.labels_, 0)
    assert Finch(0.99).fit_predict(embeddings).max() > 0


@pytest.mark.parametrize("name", ["finch", "graclus"])
def test_faces_that_cannot_be_read_change_nothing(name, blobs):
    """Of Graclus they took clusters away from the others."""
    embeddings, _ = blobs(identities=6, faces=10, spread=0.9)
    expected = load_clusterer(name).with_settings(**{"faces_per_cluster": 10} if name == "graclus" else {})
    with_unreadable = np.insert(embeddings, [0, 7, 7, 30, 60], 0, axis=0)
    found = expected.fit_predict(with_unreadable)
    readable = with_unreadable.any(axis=1)
    assert found[~readable].tolist() == [-1] * 5
    np.testing.assert_array_equal(found[readable], expected.fit_predict(embeddings))


@pytest.mark.parametrize("backend", [Infomap, Leiden])
def test_an_optional_library_that_is_missing_is_named(backend, blobs, monkeypatch):
    monkeypatch.setitem(sys.modules, {"infomap": "infomap", "leiden": "igraph"}[backend.name], None)
    with pytest.raises(InputError, match=r"is not installed; pip install 'facerec-pseudolabel\[communities\]'"):
        backend().cluster(KnnGraph.build(blobs()[0], 3))


def test_infomap_separates_cliques():
    pytest.importorskip("infomap")
    graph = two_cliques()
    np.testing.assert_array_equal(Infomap(0.1).cluster(graph).labels, [0] * 5 + [1] * 5)
    np.testing.assert_array_equal(Infomap(0.95).cluster(graph).labels, np.arange(10))


def test_leidens_resolution_is_a_density():
    """Two cliques of weight 0.9 and one edge of 0.3 between them, 25 pairs: joined below 0.3 / 25."""
    pytest.importorskip("igraph")
    graph = two_cliques()
    np.testing.assert_array_equal(Leiden(0.013, 0.1).cluster(graph).labels, [0] * 5 + [1] * 5)
    np.testing.assert_array_equal(Leiden(0.011, 0.1).cluster(graph).labels, 0)
    np.testing.assert_array_equal(Leiden(0.91, 0.1).cluster(graph).labels, np.arange(10))


def two_cliques() -> KnnGraph:
    neighbors = np.array([[j for j in range(10) if j != i and j // 5 == i // 5] + [-1] for i in range(10)], np.int32)
    similarities = np.where(neighbors >= 0, 0.9, 0).astype(np.float32)
    neighbors[0, 4], similarities[0, 4] = 5, 0.3
    return KnnGraph(np.eye(10, dtype=np.float32), neighbors, similarities)


def test_k_means_takes_any_seed(blobs):
    faces = blobs(identities=3, faces=8)[0]
    assert KMeans(faces_per_cluster=8, seed=2**63 - 1).fit_predict(faces).max() == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dbscan(min_similarity=2.0), "min_similarity is 2.0; it must be a number from -1 to 1"),
        (lambda: Dbscan(min_samples=0), "min_samples is 0"),
        (lambda: KMeans(faces_per_cluster=0), "faces_per_cluster is 0"),
        (lambda: Finch(min_similarity="x"), "min_similarity is 'x'"),
        (lambda: Components(mutual=1), "mutual is 1; it must be one of True, False"),
        (lambda: Components(k=2.5), "k is 2.5; it must be a whole number"),
        (lambda: HacAverage(min_similarity=-2), "min_similarity is -2"),
        (lambda: HacSingle(min_similarity=None), "min_similarity is None"),
        (lambda: Hdbscan(min_cluster_size=1), "min_cluster_size is 1; it must be a whole number from 2"),
        (lambda: Hdbscan(max_distance=3), "max_distance is 3"),
        (lambda: Aro(max_distance=-1), "max_distance is -1"),
        (lambda: Graclus(sweeps=-1), "sweeps is -1"),
        (lambda: Infomap(seed=0), "seed is 0"),
        (lambda: Leiden(resolution="high"), "resolution is 'high'"),
    ],
)
def test_refused_settings(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_l2cs_loss_by_hand():
    p, q = torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([[0.5, 0.5], [0.25, 0.75]])
    expected = -(np.log(0.5) + 0.2 * np.log(0.25) + 0.8 * np.log(0.75)) / 2
    assert likelihood_loss(p, q, torch.tensor([1.0, 0.2])).item() == pytest.approx(expected, rel=1e-5)


def test_l2c_takes_any_seed(blobs):
    faces = torch.from_numpy(blobs(identities=3, faces=8)[0])
    assert torch.equal(first_centres(faces, 3, 2**63 - 1), first_centres(faces, 3, 2**31 - 1))


def test_l2c_finds_other_people(blobs):
    embeddings, labels = blobs(identities=10, faces=10, spread=0.7, seed=1)
    trained = L2c.learn(embeddings, labels, 0, epochs=20, learning_rate=0.01)
    assert trained.faces_per_cluster == 10
    others, truth = blobs(identities=12, faces=10, spread=0.7, seed=2)
    found = trained.cluster(KnnGraph.build(others, 8))
    assert found.labels.max() < 12
    assert scores(truth, found.labels)["bcubed_f"] > 0.7


def test_l2c_says_before_it_starts_that_clusters_are_too_many():
    faces = normalize(np.random.default_rng(0).normal(size=(2003, 4)))
    graph = KnnGraph(faces, np.full((2003, 1), -1, np.int32), np.zeros((2003, 1), np.float32))
    with pytest.raises(InputError, match="up to 1,000 clusters; 2,003 faces at 2 a cluster are 1,002"):
        L2c(PairNetwork(4, 8), faces_per_cluster=2.0).cluster(graph)
