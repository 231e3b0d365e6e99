"""New faces added to an existing clustering."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from clustering.backends.dbscan import Dbscan
from clustering.graph.knn_graph import KnnGraph
from clustering.pseudolabels.new_faces import JoiningThreshold, assign_new_faces, assign_to_clusters, found_clusters
from eval.clusters import scores
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import InputError


@pytest.fixture
def corpus(blobs) -> SimpleNamespace:
    """Twenty people clustered rightly, 14 old ones; of these the last two faces are new, and so are the other six."""
    embeddings, person = blobs(identities=20, faces=10, dimension=32, spread=0.5)
    new = (person >= 14) | (np.arange(200) % 10 >= 8)
    return SimpleNamespace(
        old=embeddings[~new], labels=person[~new] * 3 + 7, new=embeddings[new], person=person[new]
    )  # fmt: skip


def test_new_faces_join_or_found(corpus):
    labels, confidence, summary = assign_new_faces(corpus.old, corpus.labels, corpus.new, similarity=0.5)
    assert (labels.dtype, confidence.dtype) == (np.int64, np.float32)
    known = corpus.person < 14
    np.testing.assert_array_equal(labels[known], corpus.person[known] * 3 + 7)
    assert labels[~known].min() > corpus.labels.max()
    assert scores(corpus.person[~known], labels[~known])["bcubed_f"] > 0.95
    assert summary["joined"] == 28
    assert summary["new_clusters"] == 6
    assert summary["agreement_of_old_faces"] is None
    assert np.all((confidence > 0) == (labels >= 0))


def test_strangers_stay_out_where_no_old_face_is_alone(corpus):
    labels, _, summary = assign_new_faces(corpus.old, corpus.labels, corpus.new)
    known = corpus.person < 14
    np.testing.assert_array_equal(labels[known], corpus.person[known] * 3 + 7)
    assert not np.isin(labels[~known], corpus.labels).any()
    assert summary["agreement_of_old_faces"] == 1


@pytest.mark.parametrize("count", [1, 2])
def test_only_copies_join_where_no_cluster_has_two_faces(count, caplog):
    old = np.eye(3, dtype=np.float32)[:count]
    new = normalize(np.array([[1, 0.001, 0], [1, 0.3, 0], [0.1, 0.1, 1]]))
    labels, _, _ = assign_new_faces(old, np.arange(count), new)
    assert labels.tolist() == [0, -1, -1]
    assert "no cluster has two faces" in caplog.text


@pytest.mark.parametrize("people", [1, 150])
def test_copies_join_where_clusters_are_of_copies(people):
    pictures = normalize(np.random.default_rng(0).normal(size=(people, 128)))
    labels, _, _ = assign_new_faces(np.repeat(pictures, 3, axis=0), np.repeat(np.arange(people), 3), pictures)
    np.testing.assert_array_equal(labels, np.arange(people))


@pytest.mark.parametrize(("cohesion", "faces", "says"), [(1, 40, True), (0, 40, False), (1, 10, True), (1, 9, False)])
def test_new_faces_by_another_recogniser_are_doubted(corpus, caplog, cohesion, faces, says):
    """Those of one that gives all faces a common direction become one person. A few may well be one."""
    new = normalize(cohesion * np.eye(32)[0] + 0.05 * np.random.default_rng(0).normal(size=(faces, 32)))
    assign_new_faces(corpus.old, corpus.labels, new)
    assert (f"one new cluster has {faces} of {faces} new faces: unless one new person has most" in caplog.text) is says


def test_labels_by_hand():
    old = normalize(np.array([[1, 0, 0], [1, 0.1, 0], [0, 1, 0], [0, 1, 0.1], [0, 0.5, 1]]))
    new = normalize(np.array([[1, 0.05, 0], [0, 0, 1], [0, 0.02, 1], [-1, 0, 0], [0, 0, 0]]))
    # The first joins cluster 4; two found a cluster, numbered after the largest old one; one is alone; one unreadable.
    labels, confidence, summary = assign_new_faces(old, np.array([4, 4, 8, 8, -1]), new, similarity=0.9)
    assert labels.tolist() == [4, 9, 9, -1, -1]
    assert confidence[3:].tolist() == [0, 0]
    assert summary == {"faces": 5, "joined": 1, "founding": 2, "unassigned": 2, "new_clusters": 1, "similarity": 0.9,
                       "agreement_of_old_faces": None}  # fmt: skip
    assert assign_new_faces(old, np.array([4, 4, 8, 8, -1]), new, 0.9, min_size=3)[0].tolist() == [4, -1, -1, -1, -1]


def test_no_clusters_to_join():
    faces = normalize(np.array([[1, 0], [1, 0.1], [0, 1]]))
    labels, _, _ = assign_new_faces(faces, np.full(3, -1), faces, similarity=0.9)
    assert labels.tolist() == [0, 0, -1]


def test_threshold_by_hand():
    # A pair at cosine .8; no face has more than .6 with a centre of others: from just above .6 on all is right.
    embeddings = normalize(np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1], [0.1, -0.995, 0]]))
    found = JoiningThreshold.measured(embeddings, np.array([0, 0, 1, -1]))
    assert found.agreement == 1
    assert found.similarity == pytest.approx(0.8, abs=1e-6)


def test_threshold_keeps_lookalikes_out():
    # A face alone is nearer (.95) to a cluster's centre than one of its own members (.6): one of both is lost.
    embeddings = normalize(np.array([[1, 0, 0], [1, 0.02, 0], [1, 0, 0.02], [0.6, 0.8, 0], [0.95, 0, 0.31]]))
    found = JoiningThreshold.measured(embeddings, np.array([0, 0, 0, 0, -1]))
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


def slow_right(embeddings: np.ndarray, labels: np.ndarray, threshold: float) -> int:
    """How many faces of several are put back, and how many faces join nothing once their own cluster is gone."""
    right = 0
    for i, label in enumerate(labels):
        rest = {c: embeddings[(labels == c) & (np.arange(len(labels)) != i)] for c in set(labels) - {-1}}
        cosines = {c: float(embeddings[i] @ normalize(x.sum(axis=0)[None])[0]) for c, x in rest.items() if len(x)}
        other = max((cosine for c, cosine in cosines.items() if c != label), default=-1)
        right += int(other < threshold) + int(label >= 0 and cosines.get(label, -1) >= max(threshold, other))
    return right


def test_the_threshold_puts_faces_back_and_keeps_strangers_out(blobs):
    embeddings, person = blobs(identities=8, faces=5, dimension=6, spread=0.9)
    labels = np.unique(np.where(np.arange(40) % 7 == 0, -1, person), return_inverse=True)[1] - 1
    found = JoiningThreshold.measured(embeddings, labels)
    assert found.agreement == pytest.approx(slow_agreement(embeddings, labels, found.similarity - 1e-6))
    best = slow_right(embeddings, labels, found.similarity - 1e-6)
    assert max(slow_right(embeddings, labels, threshold) for threshold in np.linspace(-1, 1, 41)) <= best < 80


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
    corpus.new[5] = 0
    labels, confidence, _ = assign_new_faces(corpus.old, corpus.labels, corpus.new, similarity=-1.0)
    assert (labels[5], confidence[5]) == (-1, 0)


def test_close_to_a_full_run_on_lfw(real):
    embeddings, _ = real("lfw112")
    embeddings = embeddings[:4000]
    new = np.zeros(len(embeddings), bool)
    new[np.random.default_rng(0).permutation(len(embeddings))[:400]] = True
    old, fresh = np.ascontiguousarray(embeddings[~new]), np.ascontiguousarray(embeddings[new])
    clusterer = Dbscan(min_similarity=0.55)
    before, whole = (clusterer.cluster(KnnGraph.build(faces, 10)).labels for faces in (old, embeddings))
    similarity = JoiningThreshold.measured(old, before).similarity
    joined, _ = assign_to_clusters(old, before, fresh, similarity)
    both = np.empty(len(new), np.int64)
    both[~new], both[new] = before, joined
    alone = whole.max() + 1 + np.arange(len(whole))
    assert scores(np.where(whole < 0, alone, whole), both)["bcubed_f"] > 0.95


def test_the_threshold_by_hand():
    """At cos 50 three faces stay, and one stranger joins. At the highest two stay, and none joins: right as often."""
    angles = np.radians([0, 50, 80, 82])
    old = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    old = np.vstack([old, [[0, 0]]]).astype(np.float32)  # whom nobody could read
    found = JoiningThreshold.measured(old, np.array([0, 0, 1, 1, -1]))
    assert found.similarity == pytest.approx(np.cos(np.radians(2)), abs=1e-6)
    assert found.agreement == 0.5


def test_a_face_at_the_threshold_joins_and_an_unreadable_one_founds_nothing():
    faces = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    assert assign_to_clusters(faces[:2], np.array([0, 1]), faces, 1.0)[0].tolist() == [0, 1, -1]
    assert found_clusters(faces, np.ones(3, bool), 0.5, 1).tolist() == [0, 1, -1]


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"labels are int64 of shape \[1\] for 2 faces"):
        assign_new_faces(np.eye(2, dtype=np.float32), np.array([0]), np.eye(2, dtype=np.float32))
    with pytest.raises(InputError, match=r"embeddings: old \[2, 2\], new \[3, 3\]; expected \[n, d\] and \[m, d\]"):
        assign_new_faces(np.eye(2, dtype=np.float32), np.array([0, 1]), np.eye(3, dtype=np.float32))
