"""Copies: which faces are one node, and how a clustering of nodes becomes one of faces."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from clustering.answers.clustered import labels_of_faces
from clustering.backends.registry import load_clusterer
from clustering.commands.cluster import cluster
from clustering.commands.knn import knn
from clustering.commands.pseudolabel import pseudolabel
from clustering.graph.constraints import Constraints
from clustering.graph.copies import Copies
from clustering.graph.knn_graph import KnnGraph
from clustering.hierarchy import Hierarchy
from clustering.result import Clustering
from eval.clusters import scores
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import read_json, row_blocks, write_json


@pytest.fixture
def copied(blobs):
    """Faces of 12 people, each with 15 copies, float16 ones and slightly changed ones among them, in mixed order."""
    faces, people = blobs(identities=12, faces=10, dimension=32, spread=0.7)
    random = np.random.default_rng(0)
    embeddings, people = np.repeat(faces, 15, axis=0), np.repeat(people, 15)
    embeddings[1::3] = embeddings[1::3].astype(np.float16)
    embeddings[2::3] += 0.03 * normalize(random.normal(size=embeddings[2::3].shape))
    order = random.permutation(len(people))
    original = np.repeat(np.arange(len(faces)), 15)
    return normalize(embeddings)[order], people[order], original[order]


def test_copies_are_one_node(copied, monkeypatch):
    monkeypatch.setattr("clustering.graph.copies.row_blocks", lambda rows: row_blocks(rows, 700))
    embeddings, _, original = copied
    found = Copies.of(KnnGraph.build(embeddings, 10))
    _, first, inverse = np.unique(original, return_index=True, return_inverse=True)
    np.testing.assert_array_equal(found.first, np.sort(first))
    np.testing.assert_array_equal(found.first[found.node], first[inverse])
    assert found.count == 14 * 120
    assert found.say() == "1,680 of 1,800 faces are copies (nearly the same picture) of 120 others"


def test_other_pictures_and_unreadable_ones_are_no_copies(blobs):
    embeddings, _ = blobs(identities=12, faces=10, spread=0.5)
    embeddings[:4] = 0
    found = Copies.of(KnnGraph.build(embeddings, 10))
    assert found.count == 0
    np.testing.assert_array_equal(found.node, np.arange(120))


def test_where_all_faces_are_alike_only_equal_ones_are_copies():
    random = np.random.default_rng(0)
    embeddings = normalize(np.eye(16)[[0] * 200] + 0.001 * random.normal(size=(200, 16)))
    assert Copies.of(KnnGraph.build(embeddings, 10)).count == 0
    embeddings[100:] = embeddings[:100].astype(np.float16)
    assert Copies.of(KnnGraph.build(normalize(embeddings), 10)).count == 100


@pytest.mark.parametrize("backend", ["components", "hilander", "finch"])
def test_copies_change_no_cluster(backend, copied, tmp_path, caplog):
    embeddings, people, original = copied
    np.save(tmp_path / "faces.npy", embeddings)
    with caplog.at_level(logging.INFO):
        out = cluster(backend, tmp_path / "faces.npy", tmp_path / "clusters")
    assert "1,680 of 1,800 faces are copies (nearly the same picture) of 120 others; they count once" in caplog.text
    assert read_json(out / "meta.json")["results"]["copies"] == 1680
    labels = np.load(out / "labels.npy")
    first = np.unique(original, return_index=True)[1]
    nodes = np.sort(first)
    alone = load_clusterer(backend).cluster(KnnGraph.build(embeddings[nodes], 10)).labels
    np.testing.assert_array_equal(labels[nodes], alone)
    np.testing.assert_array_equal(labels, labels[first[original]])
    np.testing.assert_array_equal(load_clusterer(backend).fit_predict(embeddings), labels)
    assert scores(people, labels)["pairwise_f"] == pytest.approx(scores(people[nodes], alone)["pairwise_f"], abs=0.02)
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) in (["levels"], [])


def test_copies_that_fill_only_the_neighbours_that_the_backend_takes_count_once(copied, tmp_path):
    np.save(tmp_path / "faces.npy", copied[0])
    graph = knn(tmp_path / "faces.npy", tmp_path / "knn", k=80)
    alone = cluster("dbscan", tmp_path / "faces.npy", tmp_path / "alone")
    given = cluster("dbscan", tmp_path / "faces.npy", tmp_path / "given", knn=graph)
    np.testing.assert_array_equal(np.load(given / "labels.npy"), np.load(alone / "labels.npy"))


@pytest.mark.parametrize("backend", ["hilander", "finch"])
def test_answers_about_copies_are_kept(backend, copied, tmp_path):
    embeddings, _, original = copied
    np.save(tmp_path / "faces.npy", embeddings)
    rows = [np.flatnonzero(original == each) for each in (3, 15)]
    (one, two, three), other = rows[0][:3], rows[1][0]
    said = [(one, two, "different"), (three, other, "same")]
    items = [{"faces": [int(a), int(b)], "answer": answer} for a, b, answer in said]
    write_json(tmp_path / "answers.json", {"answers": items})
    out = cluster(backend, tmp_path / "faces.npy", tmp_path / "clusters", answers=tmp_path / "answers.json")
    labels = np.load(out / "labels.npy")
    assert labels[one] != labels[two]
    assert len(set(labels[[three, *rows[0][3:], *rows[1]]])) == 1
    assert read_json(out / "meta.json")["results"]["answers"] == 2
    write_json(tmp_path / "unsure.json", {"answers": [{**item, "answer": "unsure"} for item in items]})
    unsure = cluster(backend, tmp_path / "faces.npy", tmp_path / "unsure", answers=tmp_path / "unsure.json")
    without = cluster(backend, tmp_path / "faces.npy", tmp_path / "without")
    np.testing.assert_array_equal(np.load(unsure / "labels.npy"), np.load(without / "labels.npy"))


@pytest.mark.parametrize("name", ["dbscan", "hdbscan"])
def test_copies_that_are_one_person_make_a_cluster_where_they_would_be_noise(name):
    faces = normalize(np.eye(20)[[0, 0, 0, 0, 1, 2, 3, 4, 5, 6]])
    clusterer = load_clusterer(name).with_settings(k=5, adaptive=False)
    graph = KnnGraph.build(faces, 5)
    nobody = Constraints(10, np.array([[0, 4]]), np.array([False]))
    assert (labels_of_faces(clusterer, graph, nobody) < 0).all()
    one = Constraints(10, np.array([[0, 3]]), np.array([True]))
    assert labels_of_faces(clusterer, graph, one).tolist() == [0] * 4 + [-1] * 6


def test_the_hierarchy_of_copies_can_be_read_and_traced(copied, tmp_path):
    embeddings, _, original = copied
    np.save(tmp_path / "faces.npy", embeddings)
    found = Hierarchy.load(cluster("hilander", tmp_path / "faces.npy", tmp_path / "clusters"))
    first = np.unique(original, return_index=True)[1]
    copy = int(np.flatnonzero(first[original] != np.arange(len(original)))[0])
    way = found.trace(copy)
    assert (way[0]["node"], way[0]["next"], way[0]["linkage"]) == (copy, first[original[copy]], 1.0)
    assert way[1:] == found.trace(int(first[original[copy]]))
    np.testing.assert_array_equal(found.cut(len(found.levels) - 1), np.load(tmp_path / "clusters" / "labels.npy"))


def test_expanded_by_hand():
    copies = Copies(np.array([0, 1, 0, 2]), np.array([0, 1, 3]))
    level = {
        "labels": np.array([0, 0, 1]), "peaks": np.array([1, 2]), "densities": np.array([0.1, 0.2, 0.3], np.float32),
        "parents": np.array([1, 1, 2]), "linkage": np.array([0.9, 0, 0], np.float32),
    }  # fmt: skip
    above = {"labels": np.array([0, 0, 0]), "peaks": np.array([1]), "parents": np.array([1, 1])}
    found = Clustering.of(np.array([0, 0, 1]), np.array([0.5, 0.6, 0.7]), [level, above]).expanded(copies)
    assert found.labels.tolist() == [0, 0, 0, 1]
    np.testing.assert_array_equal(found.confidence, np.array([0.5, 0.6, 0.5, 0.7], np.float32))
    low, high = ({name: array.tolist() for name, array in level.items()} for level in found.levels)
    assert (low["labels"], low["peaks"], low["parents"]) == ([0, 0, 0, 1], [1, 3], [1, 1, 0, 3])
    np.testing.assert_allclose(low["linkage"], [0.9, 0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(low["densities"], [0.1, 0.2, 0.1, 0.3], atol=1e-6)
    assert high == {"labels": [0, 0, 0, 0], "peaks": [1], "parents": [1, 1]}


def test_pseudolabel_counts_them(copied, tmp_path, caplog):
    embeddings, people, _ = copied
    np.save(tmp_path / "faces.npy", embeddings)
    np.save(tmp_path / "labels.npy", people)
    with caplog.at_level(logging.INFO):
        out = pseudolabel(tmp_path / "labels.npy", tmp_path / "out", embeddings=tmp_path / "faces.npy")
    assert read_json(out / "summary.json")["copies"] == 1680
    assert "of 120 others; --duplicates 0.998 keeps one of each" in caplog.text


def test_one_copy_is_told_as_one():
    assert (
        Copies(np.array([0, 0, 1]), np.array([0, 2])).say()
        == "1 of 3 faces is a copy (nearly the same picture) of 1 other"
    )


@pytest.mark.parametrize(("dimension", "count"), [(8, 0), (16, 1)])
def test_in_few_dimensions_near_faces_are_no_copies(dimension, count):
    faces = np.zeros((2, dimension), np.float32)
    faces[:, :2] = [[1, 0], [np.cos(0.05), np.sin(0.05)]]  # a cosine of .99875
    assert Copies.of(KnnGraph.build(faces, 1)).count == count


@pytest.mark.parametrize(("k", "most"), [(3, 2), (10, 2), (15, 3), (40, 10)])
def test_copies_crowd_a_list_of_which_they_fill_more_than_a_quarter(k, most):
    counts = [Copies.named(np.repeat([0, 1], [faces, 1])).where_they_crowd(k).count for faces in (most, most + 1)]
    assert counts == [0, most]
