"""What the linkage model and the cosines of strangers say of clusters, by hand and on faces of known people."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import expit

from clustering.backends.hilander.hilander import packaged
from clustering.backends.hilander.inputs import EDGE_INPUTS, log_odds
from clustering.backends.hilander.pairs import Start
from clustering.backends.hilander.plain_model import packaged_confidence, packaged_model
from clustering.graph.knn_graph import KnnGraph
from clustering.quality.linked import EVIDENCE, LEVELS, Linked
from clustering.quality.strangers import STRANGERS, nearest, some, strangers
from clustering.similarity.corpus_scale import CorpusScale
from eval.clusters import scores


@pytest.fixture(scope="module")
def seen(blobs) -> tuple[Linked, np.ndarray, np.ndarray]:
    """Faces of 40 people, 8 each, what the model thinks of them, and who they are."""
    faces, labels = blobs(identities=40, faces=8, dimension=64, spread=0.7)
    graph = KnnGraph.build(faces, 10)
    return Linked.of(graph, CorpusScale.of(graph)), faces, labels


def evidence(linked: Linked, labels: np.ndarray) -> dict[str, float]:
    return dict(zip(EVIDENCE, linked.evidence(labels, np.ones(len(labels))), strict=True))


def test_the_model_is_that_of_hilander():
    inputs = np.random.default_rng(0).normal(size=(50, EDGE_INPUTS)).astype(np.float32)
    plain, own = packaged_model(), packaged().model
    np.testing.assert_allclose(plain.judge(inputs), own.judge(inputs), atol=1e-4)
    np.testing.assert_allclose(plain.probability(inputs), expit(plain.judge(inputs)), rtol=1e-5)
    np.testing.assert_allclose(own.probability(inputs), expit(own.judge(inputs)), atol=1e-5)
    assert packaged_confidence() == packaged().confidence


def test_faces_are_blended_as_in_hilander(seen):
    linked, faces, _ = seen
    start = Start.of(KnnGraph.build(faces, 10), packaged().model)
    np.testing.assert_array_equal(linked.edges.i, start.edges.i)
    worth = log_odds(packaged().model, linked.scale, linked.faces, np.ones(len(faces)), start.edges.i, start.edges.j)
    np.testing.assert_allclose(linked.worth, worth, atol=1e-3)


def test_references_are_nested(seen):
    found = seen[0].references()
    assert len(found) == len(LEVELS)
    for fine, coarse in pairwise(found):
        assert scores(coarse, fine)["pairwise_precision"] == 1


def test_evidence_by_hand(seen):
    linked, _, labels = seen
    found = evidence(linked, labels)
    right = expit(linked.worth)
    inside = labels[linked.edges.i] == labels[linked.edges.j]
    assert found["edges right"] == pytest.approx(right[inside].mean(), abs=1e-6)
    assert found["edges within"] == pytest.approx(right[inside].sum() / right.sum(), abs=1e-6)
    assert found["confidence"] == found["Pb by confidence"] == found["Pp by confidence"] == 1
    sums = np.array([linked.faces[labels == person].sum(axis=0) for person in range(40)])
    both = np.stack([linked.faces[3], sums[labels[3]] - linked.faces[3]])
    numbers, place = np.array([1, 7], np.float32), np.zeros(1, np.int64)
    one = expit(log_odds(linked.model, linked.scale, both, numbers, place, place + 1))
    belongs = linked.belonging(sums, np.full(40, 8, np.float32), labels)
    assert belongs[3] == pytest.approx(float(one[0]), abs=1e-5)
    assert found["belonging"] == found["Pp by belonging"] == pytest.approx(belongs.mean(), abs=1e-6)


def test_wrong_joins_and_missing_ones_show(seen):
    linked, _, labels = seen
    good, merged, split = (
        evidence(linked, each) for each in (labels, labels // 4, 2 * labels + np.arange(len(labels)) % 2)
    )
    alone, heap = (evidence(linked, each) for each in (np.arange(len(labels)), np.zeros(len(labels), np.int64)))
    assert merged["Pp by belonging"] < 0.6 < good["Pp by belonging"]
    assert split["Rp by joins"] < 0.7 < good["Rp by joins"]
    assert alone["edges within"] < 0.01
    assert (alone["edges right"], alone["belonging"]) == (1, 1)
    assert (heap["Rp by joins"], heap["edges within"]) == (1, 1)
    assert np.isfinite([*alone.values(), *heap.values()]).all()


def test_nearest_other_cluster_by_hand():
    faces, labels = np.eye(3, dtype=np.float32), np.arange(3)
    centres = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 0, 1]], np.float32)
    np.testing.assert_allclose(nearest(faces, labels, centres, labels), [0.6, 0, 0])
    np.testing.assert_allclose(nearest(faces, labels, centres, labels[:1]), [-1, 0, 0])
    assert some(np.ones(2000, bool)).tolist() == list(range(0, 2000, 4))
    assert some(np.array([False, True])).tolist() == [1]


def test_faces_left_out_of_their_clusters_are_no_strangers(seen):
    linked, faces, labels = seen
    left_out = np.arange(len(labels)) % 8 == 0
    torn = np.where(left_out, 40 + np.arange(len(labels)), labels)
    torn = np.unique(torn, return_inverse=True)[1]
    whole, parts = (dict(zip(STRANGERS, strangers(faces, each, linked.scale), strict=True)) for each in (labels, torn))
    assert parts["alone above 0.98 of several"] > 0.9
    assert whole["alone above 0.98 of several"] == 0
    assert (whole["share of many"], parts["share of many"], whole["share of few"]) == (1, 7 / 8, 0)
    lonely = np.random.default_rng(0).permutation(len(labels))
    assert np.isfinite(strangers(faces, lonely, linked.scale)).all()


@pytest.mark.parametrize("count", [2, 3])
def test_few_faces(count):
    graph = KnnGraph.build(np.eye(3, dtype=np.float32)[:count], min(10, count - 1))
    linked = Linked.of(graph, CorpusScale.of(graph))
    labels = np.arange(count)
    assert len(linked.references()) == len(LEVELS)
    assert np.isfinite(linked.evidence(labels, np.ones(count))).all()
    assert np.isfinite(strangers(graph.embeddings, labels, linked.scale)).all()
