"""Faces that move to the cluster that they are more like, once the climb is over."""

from __future__ import annotations

import numpy as np
import pytest

from clustering.backends.hilander.hilander import HiLander
from clustering.backends.hilander.settle import Groups, settle
from clustering.graph.knn_graph import KnnGraph
from clustering.hierarchy import Hierarchy
from clustering.partition import consecutive
from clustering.similarity.corpus_scale import CorpusScale
from eval.clusters import scores
from facerec.pipeline.embeddings import normalize


def people(seed: int, count: int = 30, faces: int = 8, dimension: int = 32, noise: float = 0.12):
    """Faces of some people, their identities, and a clustering with strays in every tenth place."""
    random = np.random.default_rng(seed)
    truth = np.repeat(np.arange(count), faces)
    embeddings = normalize(normalize(random.normal(size=(count, dimension)))[truth] + noise * random.normal(
        size=(len(truth), dimension)))  # fmt: skip
    labels = truth.copy()
    labels[::10] = random.integers(0, count, len(labels[::10]))
    return KnnGraph.build(embeddings, 5), truth, labels


def slow(graph: KnnGraph, labels: np.ndarray) -> np.ndarray:
    """The same, face by face and cluster by cluster."""
    scale, labels = CorpusScale.of(graph), labels.copy()
    spread = scale.usual[1]
    for _ in range(10):
        moved = labels.copy()
        for face, own in enumerate(labels):
            others = {c: np.flatnonzero((labels == c) & (np.arange(len(labels)) != face)) for c in np.unique(labels)}
            if not len(others[own]):
                continue
            likeness = {}
            for c, members in others.items():
                if len(members) >= (1 if c == own else 2):
                    mean = graph.embeddings[members].mean(axis=0)
                    squared = max(float(scale.corrected(mean @ mean)), 1e-4)
                    likeness[c] = float(scale.corrected(mean @ graph.embeddings[face])) / squared**0.25
            size = {c: np.count_nonzero(labels == c) for c in likeness}
            gains = {
                c: likeness[c] - likeness[own] - max(spread**2 * np.log(size[own] / size[c]), spread / 2)
                for c in likeness if c != own
            }  # fmt: skip
            best = max(gains, key=gains.__getitem__)
            moved[face] = best if gains[best] > 0 else own
        if np.array_equal(moved, labels):
            break
        labels = moved
    return labels


def test_likeness_by_hand():
    # Two faces, (1, 0) and (.6, .8): their sum is (1.6, .8), the mean (.8, .4), its squared length .8.
    # Of (1, 0) with them: the mean cosine is .8, the cosine with the mean .8 / sqrt(.8).
    groups = Groups.of(np.array([[1, 0], [0.6, 0.8]], np.float32), np.zeros(2, np.int64), 1, CorpusScale())
    found = groups.likeness(np.float32([1.6]), np.float32([3.2]), groups.sizes)
    assert found == pytest.approx([np.sqrt(0.8 * 0.8 / np.sqrt(0.8))])


def test_equals_the_slow_way():
    graph, truth, labels = people(0, count=20)
    found = settle(graph, labels)
    np.testing.assert_array_equal(found, slow(graph, labels))
    assert scores(truth, found)["pairwise_f"] > scores(truth, labels)["pairwise_f"] + 0.1


def test_common_direction_is_corrected():
    graph, _, labels = people(2, count=15)
    near = KnnGraph.build(normalize(graph.embeddings + 2 * normalize(np.ones((1, 32)))), 5)
    assert CorpusScale.of(near).common > 0.5
    np.testing.assert_array_equal(settle(near, labels), slow(near, labels))


def test_with_many_clusters_those_of_neighbors_are_compared():
    graph, truth, labels = people(3)
    found = settle(graph, labels, most_pairs=0)
    assert set(np.flatnonzero(found != labels)) <= set(np.flatnonzero(truth != labels))
    assert scores(truth, found)["pairwise_f"] > scores(truth, labels)["pairwise_f"] + 0.1


def test_faces_alone_and_unreadable_faces_stay():
    graph, _, labels = people(4, count=5)
    labels = np.where(np.arange(len(labels)) == 3, labels.max() + 1, labels)
    labels[7] = -1
    found = settle(graph, labels)
    assert found[3] == labels[3]
    assert found[7] == -1


def test_hierarchy_knows_the_settled_clusters(real, tmp_path):
    embeddings, _ = real("lfw112")
    found = HiLander().cluster(KnnGraph.build(embeddings, 10))
    found.save(tmp_path)
    hierarchy = Hierarchy.load(tmp_path)
    assert hierarchy.has(found.labels)
    last = hierarchy.levels[-1]
    moved = np.flatnonzero(last["settled"] != last["labels"])
    assert len(moved) == found.notes["moved"] > 0
    end = hierarchy.trace(int(moved[0]))[-1]
    assert (end["level"], end["peak"]) == ("moved", last["peaks"][last["settled"][moved[0]]])
    assert found.labels[end["peak"]] == found.labels[moved[0]]
    np.testing.assert_array_equal(consecutive(last["settled"]), found.labels)


def test_without_settling_labels_are_those_of_the_last_level(real):
    embeddings, _ = real("lfw112")
    found = HiLander(settle=False).cluster(KnnGraph.build(embeddings[:1000], 10))
    np.testing.assert_array_equal(found.labels, found.levels[-1]["labels"])
    assert found.notes["moved"] == 0
