"""Climbing by pairs: what is seen of them, blending, and what comes out on real embeddings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clustering.backends.hilander import blending, pairs
from clustering.backends.hilander.engines import link
from clustering.backends.hilander.hilander import HiLander, packaged
from clustering.backends.hilander.lander import LinkageModel
from clustering.backends.hilander.level import Level, pair_inputs
from clustering.backends.hilander.pair_training import by_mean_cosine, pairs_while_joining
from clustering.backends.hilander.pairs import FEW_CLUSTERS, MANY_CLUSTERS, Start, climb_by_pairs, least_log_odds
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import labelled
from clustering.learning.versions import large
from eval.clusters import scores
from facerec.pipeline.embeddings import normalize


def test_inputs_by_hand():
    # One cluster of two faces with cosine 0.6, so of length sqrt(0.8); one of a single face at right angles to one.
    faces = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    sums, sizes = np.stack([faces[0] + faces[1], faces[2]]), np.array([2, 1], np.float32)
    found = pair_inputs(sums, sizes, np.array([0, 1]), np.array([1, 0]), CorpusScale(location=0.1, spread=0.2))
    cosine = 0.4 / np.sqrt(0.8)
    np.testing.assert_allclose(found[0], [cosine, 0.4, 0, np.log(2), 0, (cosine - 0.1) * 0.1 / 0.2], atol=1e-6)
    np.testing.assert_array_equal(found[0], found[1])  # whatever the order


def test_the_threshold_decides(blobs):
    graph = KnnGraph.build(blobs(identities=20, faces=6, spread=0.8)[0], 5)
    start = Start.of(graph, packaged().model)
    assert len(list(climb_by_pairs(start, 1.0))) == 1  # nothing is certain
    counts = [len(list(climb_by_pairs(start, p_tau))[-1].peaks) for p_tau in (0.99, 0.8, 0.3)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]
    everything = list(climb_by_pairs(start, 0.0))[-1]
    assert len(everything.peaks) == 1


def test_few_clusters_join_more_easily():
    """Odds of one to n - 1 before a pair is seen, against those of one to `MANY_CLUSTERS` - 1, about n to that."""
    assert least_log_odds(0.6, MANY_CLUSTERS) == least_log_odds(0.6, 10**7) == pytest.approx(np.log(0.6 / 0.4))
    assert least_log_odds(0.6, MANY_CLUSTERS // 5) == pytest.approx(np.log(0.6 / 0.4 / 5))
    assert least_log_odds(0.6, 0) == least_log_odds(0.6, FEW_CLUSTERS) < least_log_odds(0.6, FEW_CLUSTERS + 1)
    assert (least_log_odds(1, 2), least_log_odds(0, 2)) == (np.inf, -np.inf)


def test_faces_that_cannot_be_read_are_no_clusters(blobs):
    """Else a few people among many unreadable faces would count as many."""
    embeddings, _ = blobs(identities=6, faces=12, dimension=24, spread=1.1)
    padded = np.vstack([embeddings, np.zeros((400, embeddings.shape[1]), np.float32)])
    alone, among = (HiLander(k=5).cluster(KnnGraph.build(faces, 5)).labels for faces in (embeddings, padded))
    np.testing.assert_array_equal(among[: len(embeddings)], alone)
    assert (among[len(embeddings) :] == -1).all()
    many = [HiLander(k=5, p_tau=p_tau).cluster(KnnGraph.build(embeddings, 5)).labels.max() for p_tau in (0.6, 0.95)]
    assert many[0] < many[1]  # the threshold matters here


def test_people_with_hundreds_of_faces_stay_whole(data):
    """Also by a recogniser to which all faces look alike."""
    with np.load(data / "embeddings_celeba299_dlib128.npz", allow_pickle=False) as arrays:
        faces = large(labelled(arrays["embeddings"], arrays["labels"]), np.random.default_rng(4))
    found = scores(faces.labels, HiLander().cluster(KnnGraph.build(faces.embeddings, 10)).labels)
    assert found["pairwise_f"] > 0.93
    assert found["bcubed_f"] > 0.94


def test_many_faces_are_linked_again_for_each_climb(blobs, monkeypatch):
    graph = KnnGraph.build(blobs(identities=20, faces=6, spread=0.8)[0], 5)
    linked = []
    monkeypatch.setattr(pairs, "link", lambda *given: linked.append(1) or link(*given))
    few, many = Start.of(graph, packaged().model), Start.of(graph, packaged().model)
    expected = [list(climb_by_pairs(few, p_tau))[-1].clusters for p_tau in (0.6, 0.9)]
    assert len(linked) == 1
    for module in (pairs, blending):
        monkeypatch.setattr(module, "MANY_FACES", 100)
    found = [list(climb_by_pairs(many, p_tau))[-1].clusters for p_tau in (0.6, 0.9)]
    assert len(linked) == 3
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_models_that_see_embeddings_link_edges(blobs):
    torch.manual_seed(0)
    model = LinkageModel("features", 16, width=8, hidden=8)
    assert not HiLander(model).by_pairs
    assert not HiLander(features="both").by_pairs
    assert not HiLander(merging="edges").by_pairs
    assert HiLander().by_pairs
    graph = KnnGraph.build(blobs(identities=5, dimension=16)[0], 3)
    by_pairs, edges = HiLander(model, k=3), HiLander(model, k=3, merging="edges")
    np.testing.assert_array_equal(by_pairs.cluster(graph).labels, edges.cluster(graph).labels)


def test_pairs_that_come_up_are_told_apart(blobs):
    faces, labels = blobs(identities=12, faces=5, spread=0.4)
    graph = KnnGraph.build(faces, 4)
    inputs, same = pairs_while_joining(
        Level.of_faces(graph), faces.copy(), labels, by_mean_cosine, 2.0, np.random.default_rng(0)
    )
    assert inputs.shape == (len(same), 6)
    assert inputs[same, 0].mean() > inputs[~same, 0].mean() + 0.2
    assert (inputs[:, 2] <= inputs[:, 3]).all()
    assert inputs[:, 3].max() == pytest.approx(np.log(5), abs=0.8)  # clusters as large as people are


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("lfw112_mobilefacenet128", (0.97, 0.957)),
        ("celeba299_dlib128", (0.84, 0.87)),
        ("clinc150_minilm384_test", (0.62, 0.7)),
    ],
)
def test_real_embeddings_without_labels(data, name, least):
    with np.load(data / f"embeddings_{name}.npz", allow_pickle=False) as content:
        faces, truth = normalize(content["embeddings"]), content["labels"]
    found = scores(truth, HiLander().cluster(KnnGraph.build(faces, 40)).labels)
    assert (found["pairwise_f"] > least[0], found["bcubed_f"] > least[1]) == (True, True)
