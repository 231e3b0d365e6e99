"""New faces to an existing clustering."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clustering.__main__ import COMMANDS
from clustering.backends.dbscan import Dbscan
from clustering.commands.assign import assign
from clustering.graph.knn_graph import KnnGraph
from clustering.pseudolabels.new_faces import Joining, assign_to_clusters, found_clusters
from eval.clusters import scores
from facerec.pipeline.command_line import run
from facerec.pipeline.embeddings import normalize, save_embeddings


@pytest.fixture
def corpus(tmp_path, blobs) -> tuple[Path, np.ndarray, np.ndarray]:
    """Twenty people clustered rightly, 14 old ones; of these the last two faces are new, and so are the other six."""
    embeddings, person = blobs(identities=20, faces=10, dimension=32, spread=0.5)
    new = (person >= 14) | (np.arange(200) % 10 >= 8)
    for name, rows in [("old", ~new), ("new", new)]:
        (tmp_path / name).mkdir()
        save_embeddings(tmp_path / name, embeddings[rows])
    np.save(tmp_path / "clusters.npy", person[~new] * 3 + 7)
    return tmp_path, person[~new], person[new]


def run_assign(folder: Path, name: str = "out", **options: object) -> tuple[np.ndarray, np.ndarray, dict]:
    out = assign(folder / "clusters.npy", folder / "old", folder / "new", folder / name, **options)
    read = json.loads((out / "summary.json").read_text())
    return np.load(out / "labels.npy"), np.load(out / "confidence.npy"), read


def test_new_faces_join_or_found(corpus):
    folder, old, new = corpus
    labels, confidence, summary = run_assign(folder, similarity=0.5)
    assert (labels.dtype, confidence.dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(labels[new < 14], new[new < 14] * 3 + 7)
    assert labels[new >= 14].min() > old.max() * 3 + 7
    assert scores(new[new >= 14], labels[new >= 14])["bcubed_f"] > 0.95
    assert summary["joined"] == 28
    assert summary["new_clusters"] == 6
    assert summary["agreement_of_old_faces"] is None
    assert np.all((confidence > 0) == (labels >= 0))


def test_everything_is_joined_where_no_old_face_is_alone(corpus):
    folder, _, _ = corpus
    labels, _, summary = run_assign(folder)
    assert summary["agreement_of_old_faces"] == 1
    joined = np.isin(labels, np.load(folder / "clusters.npy"))
    assert joined.sum() == summary["joined"]


def test_threshold_by_hand():
    # Two pairs at cosine .8 and two faces alone at most .6 from any centre: from just above .6 on all is right.
    embeddings = normalize(np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1], [0.1, -0.995, 0]]))
    found = Joining.measured(embeddings, np.array([0, 0, 1, -1]))
    assert found.agreement == 1
    assert found.similarity == pytest.approx(0.8, abs=1e-6)


def test_threshold_keeps_lookalikes_out():
    # A face alone is nearer (.95) to a cluster's centre than one of its own members (.6): one of both is lost.
    embeddings = normalize(np.array([[1, 0, 0], [1, 0.02, 0], [1, 0, 0.02], [0.6, 0.8, 0], [0.95, 0, 0.31]]))
    found = Joining.measured(embeddings, np.array([0, 0, 0, 0, -1]))
    assert found.agreement == pytest.approx(4 / 5)


def slow_agreement(embeddings: np.ndarray, labels: np.ndarray, threshold: float) -> float:
    right = 0
    for i, label in enumerate(labels):
        others = {c: embeddings[(labels == c) & (np.arange(len(labels)) != i)] for c in set(labels) - {-1}}
        cosines = {c: float(embeddings[i] @ normalize(x.sum(axis=0)[None])[0]) for c, x in others.items() if len(x)}
        best = max(cosines, key=lambda c: cosines[c], default=-1)
        expected = label if np.count_nonzero(labels == label) > 1 else -1
        right += (best if cosines and cosines[best] >= threshold else -1) == expected
    return right / len(labels)


def test_agreement_is_that_of_taking_each_face_out(blobs):
    embeddings, person = blobs(identities=8, faces=5, dimension=6, spread=0.9)
    labels = np.where(np.arange(40) % 7 == 0, -1, person)
    labels = np.unique(labels, return_inverse=True)[1] - 1
    found = Joining.measured(embeddings, labels)
    assert found.agreement == pytest.approx(slow_agreement(embeddings, labels, found.similarity - 1e-6))
    for threshold in np.linspace(-1, 1, 41):
        assert slow_agreement(embeddings, labels, threshold) <= found.agreement + 1e-9


def test_founding_by_hand():
    new = normalize(np.array([[1, 0], [1, 0.1], [0, 1], [1, 0.05], [0, 0]]))
    new[4] = 0
    free = np.array([True, True, True, False, True])
    np.testing.assert_array_equal(found_clusters(new, free, 0.9, 2), [0, 0, -1, -1, -1])
    np.testing.assert_array_equal(found_clusters(new, free, 0.9, 3), [-1] * 5)
    np.testing.assert_array_equal(found_clusters(new, np.zeros(5, bool), 0.9, 2), [-1] * 5)


def test_joining_nothing_that_is_there():
    found, cosines = assign_to_clusters(
        np.eye(2, dtype=np.float32), np.array([-1, -1]), np.eye(2, dtype=np.float32), 0.1
    )
    assert found.tolist() == [-1, -1]
    assert cosines.tolist() == [-1, -1]


def test_unreadable_new_faces_stay_unassigned(corpus):
    folder, _, _ = corpus
    faces = np.load(folder / "new" / "embeddings.npy")
    faces[5] = 0
    np.save(folder / "new" / "embeddings.npy", faces)
    labels, confidence, _ = run_assign(folder, similarity=-1.0)
    assert (labels[5], confidence[5]) == (-1, 0)


def test_close_to_a_full_run_on_lfw(real):
    embeddings, _ = real("lfw112")
    embeddings = embeddings[:4000]
    new = np.zeros(len(embeddings), bool)
    new[np.random.default_rng(0).permutation(len(embeddings))[:400]] = True
    old, fresh = np.ascontiguousarray(embeddings[~new]), np.ascontiguousarray(embeddings[new])
    clusterer = Dbscan(min_similarity=0.55)
    before, whole = (clusterer.cluster(KnnGraph.build(faces, 10)).labels for faces in (old, embeddings))
    similarity = Joining.measured(old, before).similarity
    joined, _ = assign_to_clusters(old, before, fresh, similarity)
    both = np.empty(len(new), np.int64)
    both[~new], both[new] = before, joined
    alone = whole.max() + 1 + np.arange(len(whole))
    assert scores(np.where(whole < 0, alone, whole), both)["bcubed_f"] > 0.95


BAD = [
    ("--clusters {t}/short.npy --embeddings {t}/old --new {t}/new", "3 labels for 112 rows"),
    ("--clusters {t}/clusters.npy --embeddings {t}/old --new {t}/none", "none: no such file"),
    ("--clusters {t}/clusters.npy --embeddings {t}/old --new {t}/narrow.npy", "length 4, those of"),
    ("--clusters {t}/clusters.npy --embeddings {t}/old --new {t}/new --similarity 2", "similarity is 2.0"),
    ("--clusters {t}/clusters.npy --embeddings {t}/old --new {t}/new --min-size 0", "min_size is 0"),
    ("--clusters {t}/clusters.npy --embeddings {t}/old --new {t}/cut.npy", "not a readable .npy array"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_bad_input_is_one_line_and_leaves_nothing(line, message, corpus, capsys):
    folder, _, _ = corpus
    np.save(folder / "short.npy", np.arange(3))
    np.save(folder / "narrow.npy", np.eye(4, dtype=np.float32))
    np.save(folder / "cut.npy", np.ones((50, 8), np.float32))
    (folder / "cut.npy").write_bytes((folder / "cut.npy").read_bytes()[:-100])
    words = ["assign", *line.format(t=folder).split(), "--out", str(folder / "bad")]
    assert run("clustering", COMMANDS, words) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (folder / "bad").exists()
    assert not (folder / "bad.partial").exists()
