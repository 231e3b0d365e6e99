"""The command ``cluster`` without a graph: which one it makes, and what becomes of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from clustering.__main__ import COMMANDS
from clustering.commands.cluster import cluster
from clustering.commands.estimate import estimate
from clustering.commands.knn import knn
from clustering.graph import costs as plan
from clustering.graph.approximate import approximate
from clustering.graph.build import graph_of
from clustering.graph.knn_graph import KnnGraph
from clustering.result import Clustering
from facerec.pipeline.command_line import run
from facerec.pipeline.embeddings import load_embeddings, save_embeddings
from facerec.pipeline.files import InputError, read_json, read_yaml


@pytest.fixture
def faces(tmp_path, blobs):
    np.save(tmp_path / "faces.npy", blobs(identities=30, faces=6, spread=0.7)[0])
    return tmp_path / "faces.npy"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.npy")}


@pytest.mark.parametrize("backend", ["dbscan", "hilander"])
def test_makes_the_graph_that_knn_makes_and_removes_it(faces, tmp_path, backend):
    alone = cluster(backend, faces, tmp_path / "alone")
    assert contents(alone) == contents(cluster(backend, faces, tmp_path / "given", knn=knn(faces, tmp_path / "knn")))
    assert {"labels.npy", "confidence.npy", "config.yaml", "meta.json"} <= set(names(alone)) <= {
        "labels.npy", "confidence.npy", "cosines.npy", "config.yaml", "meta.json", "levels", "model.safetensors",
    }  # fmt: skip


def test_many_faces_get_the_approximate_graph(tmp_path, blobs, monkeypatch):
    np.save(tmp_path / "faces.npy", blobs(identities=150, faces=8, spread=0.7)[0])
    monkeypatch.setitem(plan.MOST_OPERATIONS, "cpu", 1e6)
    chosen = []
    monkeypatch.setattr("clustering.graph.build.approximate", lambda *a: chosen.append("ivf") or approximate(*a))
    cluster("dbscan", tmp_path / "faces.npy", tmp_path / "clusters")
    assert chosen == ["ivf"]


def test_too_little_memory_is_said_before_it_starts(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "available_memory", lambda: 1 << 20)
    with pytest.raises(InputError, match=r"and 1.00 MiB are available; free some"):
        cluster("dbscan", faces, tmp_path / "clusters")
    assert names(tmp_path) == ["faces.npy"]


def test_a_stopped_run_goes_on_with_its_graph(faces, tmp_path, monkeypatch):
    straight = cluster("hilander", faces, tmp_path / "straight")

    def stopped(clustering, folder):
        save(clustering, folder)
        raise KeyboardInterrupt

    save = Clustering.save
    monkeypatch.setattr(Clustering, "save", stopped)
    with pytest.raises(KeyboardInterrupt):
        cluster("hilander", faces, tmp_path / "clusters")
    assert {"graph", "labels.npy", "levels"} <= set(names(tmp_path / "clusters.partial"))
    monkeypatch.setattr(Clustering, "save", save)
    monkeypatch.setattr("clustering.graph.blocks_on_disk._write", lambda *_: pytest.fail("searched again"))
    assert contents(cluster("hilander", faces, tmp_path / "clusters")) == contents(straight)


def test_half_precision_is_accepted(faces, tmp_path):
    single = np.load(faces)
    np.save(tmp_path / "half.npy", single.astype(np.float16))
    half = cluster("hilander", tmp_path / "half.npy", tmp_path / "clusters")
    expected = np.load(cluster("hilander", faces, tmp_path / "single") / "labels.npy")
    assert np.mean(np.load(half / "labels.npy") == expected) > 0.98
    assert "graph" not in names(half)


def test_zeros_alone_are_refused(tmp_path):
    np.save(tmp_path / "zero.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(InputError, match="zero.npy: all 3 rows are zeros, so no face could be read; embed them again"):
        cluster("components", tmp_path / "zero.npy", tmp_path / "clusters")
    assert names(tmp_path) == ["zero.npy"]


def test_clusters_are_counted_and_told(tmp_path, caplog):
    caplog.set_level("INFO")
    rows = [[4, 1, 0], [4, -1, 0], [4, 0, 1], [-1, 4, 0], [1, 4, 0], [0, 0, 4], [0, 0, 0]]
    np.save(tmp_path / "faces.npy", np.array(rows, np.float32))
    found = cluster("components", tmp_path / "faces.npy", tmp_path / "clusters", set=["min_similarity=0.7"])
    assert np.load(found / "labels.npy").tolist() == [0, 0, 0, 1, 1, 2, -1]
    said = read_json(found / "meta.json")["results"]
    assert [said[name] for name in ("faces", "clusters", "unassigned", "alone", "largest")] == [7, 3, 1, 1, 3]
    assert "7 faces in 3 clusters, 1 of one face, 1 face in none; the largest has 3" in caplog.text
    assert "1 of 7 faces are unreadable (rows of zeros): no cluster has them" in caplog.text


def test_a_graph_of_zeros_is_refused_and_unreadable_faces_are_told(tmp_path, caplog):
    caplog.set_level("INFO")
    np.save(tmp_path / "x.npy", np.eye(5, 4, dtype=np.float32))
    knn(tmp_path / "x.npy", tmp_path / "some", k=2)
    assert "2 neighbours of 4 faces (1 more have rows of zeros), exact" in caplog.text
    np.save(tmp_path / "x.npy", np.zeros((5, 4), np.float32))
    with pytest.raises(InputError, match="x.npy: all 5 rows are zeros, so no face could be read; embed them again"):
        knn(tmp_path / "x.npy", tmp_path / "none", k=2)
    assert not (tmp_path / "none").exists()


def test_other_commands_make_the_same_graph_for_a_while(faces, tmp_path, monkeypatch):
    embeddings, made = load_embeddings(faces), KnnGraph.load(knn(faces, tmp_path / "knn"), np.load(faces))
    (tmp_path / "out").mkdir()
    graph = graph_of(embeddings, None, 10, tmp_path / "out")
    np.testing.assert_array_equal(graph.neighbors, made.neighbors)
    np.testing.assert_array_equal(graph.similarities, made.similarities)
    assert names(tmp_path / "out") == []
    monkeypatch.setattr(plan, "available_memory", lambda: 1 << 20)
    with pytest.raises(InputError, match=r"and 1.00 MiB are available; free some"):
        graph_of(embeddings, None, 10, tmp_path / "out")
    assert names(tmp_path / "out") == []


def test_settings_and_names_go_along(tmp_path, blobs):
    embeddings, labels = blobs(identities=4, faces=6)
    (tmp_path / "emb").mkdir()
    save_embeddings(tmp_path / "emb", embeddings, [f"{row}.jpg" for row in range(24)], labels)
    words = ["cluster", "--backend", "dbscan", "--embeddings", tmp_path / "emb", "--out", tmp_path / "c",
             "--set", "min_similarity=0.4", "--set", "[min_samples=3, k=5]"]  # fmt: skip
    assert run("clustering", COMMANDS, [str(word) for word in words]) == 0
    settings = read_yaml(tmp_path / "c" / "config.yaml")
    assert settings == {"backend": "dbscan", "min_similarity": 0.4, "min_samples": 3, "k": 5, "adaptive": False}
    assert (tmp_path / "c" / "keys.txt").read_bytes() == (tmp_path / "emb" / "keys.txt").read_bytes()


def test_the_quality_of_many_faces_is_left_to_estimate(faces, tmp_path, monkeypatch, caplog):
    cluster("dbscan", faces, tmp_path / "few")
    assert "estimate" in json.loads((tmp_path / "few" / "meta.json").read_text())["results"]
    monkeypatch.setattr("clustering.commands.cluster.MOST_ESTIMATED", 179)
    caplog.set_level("INFO")
    cluster("dbscan", faces, tmp_path / "many")
    assert "estimate" not in json.loads((tmp_path / "many" / "meta.json").read_text())["results"]
    assert "more than 179 faces" in caplog.text


def test_too_few_neighbours_for_an_estimate_are_told(faces, tmp_path, caplog):
    caplog.set_level("INFO")
    out = cluster("dbscan", faces, tmp_path / "out", set=["k=5"])
    assert "5 neighbours a face are too few to estimate how good the clusters are: python -m clustering" in caplog.text
    assert json.loads((estimate(faces, out, tmp_path / "found") / "estimate.json").read_text())["pairwise_f"]
