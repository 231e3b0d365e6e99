from __future__ import annotations

import re

import numpy as np
import pytest

from clustering.commands.cluster import cluster
from clustering.graph.knn_graph import KnnGraph
from clustering.similarity.doubts import doubts
from facerec.pipeline.embeddings import normalize


@pytest.fixture(scope="module")
def people() -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of 60 people with 20 faces each."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(60), 20)
    centres = normalize(random.normal(size=(60, 64)))
    return normalize(centres[labels] + 0.7 / 8 * random.normal(size=(len(labels), 64))), labels


@pytest.mark.parametrize(
    ("clusters", "said"),
    [
        (lambda labels: labels, "^$"),
        (lambda labels: np.zeros_like(labels), "one cluster holds 1,200 of 1,200 faces: unless one person"),
        (lambda labels: np.arange(len(labels)), "100% of the faces are alone or unassigned"),
        (lambda labels: np.full_like(labels, -1), "100% of the faces are alone or unassigned"),
        (lambda labels: np.where(labels < 20, 0, labels - 19), "the largest clusters are mixtures of people"),
        (lambda labels: labels - (labels > 20), "the largest clusters are mixtures"),  # 40 of 1,200 faces
    ],
)
def test_what_is_doubtful(people, clusters, said):
    embeddings, labels = people
    assert re.search(said, doubts(KnnGraph.build(embeddings, 10), clusters(labels)))


def test_mixtures_are_told_whatever_the_number_of_neighbours(people):
    """Long lists hold all faces of a mixture, so that its edges are as alike as its pairs."""
    embeddings, labels = (part[:200] for part in people)
    clusters = np.maximum(labels - 3, 0)
    for k in (10, 199):
        assert re.search("the largest clusters are mixtures", doubts(KnnGraph.build(embeddings, k), clusters))
        assert doubts(KnnGraph.build(embeddings, k), labels) == ""


def test_one_person_and_very_few_faces(people):
    random = np.random.default_rng(0)
    person = normalize(random.normal(size=(1, 64)) + 0.8 * random.normal(size=(200, 64)))
    said = doubts(KnnGraph.build(person, 10), np.zeros(200, np.int64))
    assert "right for one person; if they are of many people, tune" in said
    said = doubts(KnnGraph.build(person[:49], 10), np.zeros(49, np.int64))  # no tuning helps
    assert "if they are of many people, cluster 50 faces or more at once" in said
    assert doubts(KnnGraph.build(people[0][:9], 5), np.zeros(9, np.int64)) == ""


def test_the_command_says_it_of_any_backend(people, tmp_path, caplog):
    np.save(tmp_path / "faces.npy", people[0])
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.yaml").write_text("backend: dbscan\nmin_similarity: -1.0\nk: 100\n")
    cluster("dbscan", tmp_path / "faces.npy", tmp_path / "heap", tmp_path / "model")
    assert caplog.text.count("one cluster holds 1,200 of 1,200 faces") == 1
    caplog.clear()
    cluster("dbscan", tmp_path / "faces.npy", tmp_path / "clusters")
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


@pytest.mark.parametrize(("faces", "largest", "said"), [
    (20, 11, "one cluster holds 11 of 20 faces: unless"),
    (20, 5, "^$"),  # three quarters are alone
    (20, 4, "80% of the faces are alone or unassigned"),
    (10, 6, "one cluster holds 6 of 10 faces: unless"),
    (10, 5, "^$"),  # half
    (9, 9, "^$"),  # too few faces
])  # fmt: skip
def test_bounds_of_doubt_count_readable_faces(faces, largest, said):
    embeddings = np.zeros((faces + 20, 64), np.float32)
    embeddings[:faces] = normalize(np.random.default_rng(0).normal(size=(faces, 64)))
    labels = np.maximum(np.arange(faces + 20) - largest + 1, 0)
    labels[faces:] = -1
    assert re.match(said, doubts(KnnGraph.build(embeddings, 4), labels))
