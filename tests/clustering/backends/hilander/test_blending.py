"""Blending of faces: its weights and means by hand, and lists filled up as a slow search would."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.sparse import csr_array

from clustering.backends.hilander.blending import (
    GRID,
    MOST,
    InOrder,
    at_least,
    blended,
    filled_up,
    linkage_by_cosine,
    neighborhoods,
    pair_weight,
    strongest,
    sure_neighbors,
    two_steps_away,
)
from clustering.backends.hilander.engines import link
from clustering.backends.hilander.hilander import packaged
from clustering.backends.hilander.level import Level, edge_inputs, face_inputs
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.knn_graph import KnnGraph


def test_weights_and_means_by_hand(monkeypatch):
    faces = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    graph = KnnGraph(faces, np.array([[1, 2], [0, -1], [-1, -1]], np.int32), np.zeros((3, 2), np.float32))
    linkage = np.array([[1, 0.5], [0.9, 0], [0, 0]], np.float32)
    near = filled_up(sure_neighbors(graph, linkage), 2, lambda i, j: np.zeros(len(i), np.float32))
    # Faces 0 and 1 weigh 1 for each other, 0 and 2 weigh 1/16, whoever has whom among its neighbours.
    np.testing.assert_allclose(near.toarray(), [[0, 1, 1 / 16], [1, 0, 0], [1 / 16, 0, 0]])
    share = np.array([[16, 16, 1], [1, 1, 0], [1, 0, 16]]) / [[33], [2], [17]]
    np.testing.assert_allclose(blended(faces, InOrder.of(near)), share @ share @ share @ faces, atol=1e-6)
    monkeypatch.setattr("clustering.backends.hilander.blending.ROUNDS", 1)
    np.testing.assert_allclose(blended(faces, InOrder.of(near)), share @ faces, atol=1e-6)


def test_columns_by_parts(blobs):
    faces = blobs(identities=10, faces=6, dimension=40, spread=0.5)[0]
    near = InOrder.of(csr_array(np.random.default_rng(0).random((60, 60), np.float32)))
    before = faces.copy()
    np.testing.assert_allclose(blended(faces, near)[:, 32:], blended(faces[:, 32:], near), atol=1e-6)
    np.testing.assert_array_equal(faces, before)  # not overwritten


def test_a_full_list_finds_neighbors_of_neighbors():
    # A chain of six faces, each with a list of the next one, which is full where that one is sure.
    chain = csr_array(np.diag(np.array([1, 1, 1, 1, 0.4], np.float32), 1))
    found = filled_up(chain, 1, lambda i, j: np.where(abs(i - j) < 4, np.float32(0.97), np.float32(0.9)))
    assert found[0, 1] == 1
    assert found[0, 2] == pytest.approx(0.97)
    assert found[0, 3] == pytest.approx(0.97)  # two steps from what the first search found
    assert found[0, 4] == 0  # too far to be sure
    assert found[3, 5] == 0  # no sure neighbour leads there
    assert found[4, 5] == pytest.approx(0.4)
    np.testing.assert_array_equal(found.toarray(), found.toarray().T)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_strongest(most):
    weights = np.random.default_rng(0).random((7, 9)) * (np.random.default_rng(1).random((7, 9)) < 0.6)
    found = strongest(csr_array(weights), most).toarray()
    for row, kept in zip(weights, found, strict=True):
        best = np.argsort(-row)[:most]
        np.testing.assert_array_equal(np.sort(kept[kept > 0]), np.sort(row[best][row[best] > 0]))


def test_linkage_follows_from_the_cosine(blobs):
    graph = KnnGraph.build(blobs(identities=20, faces=6, spread=0.8)[0], 5)
    level, model = Level.of_faces(graph), packaged().model
    inputs = face_inputs(graph.similarities.ravel(), level.scale)
    np.testing.assert_allclose(inputs, edge_inputs(level).reshape(-1, 6), atol=1e-6)
    weight = partial(pair_weight, level.base, level.scale, linkage_by_cosine(model, level.scale))
    i, column = np.nonzero(graph.valid)
    wanted = link(model, level)[i, column] ** 4
    np.testing.assert_allclose(weight(i, graph.neighbors[i, column]), wanted, atol=2e-3)
    assert len(linkage_by_cosine(model, level.scale)) == GRID


def test_large_people_get_long_lists(blobs):
    faces, labels = blobs(identities=4, faces=90, spread=0.3)
    model = packaged().model
    level = Level.of_faces(KnnGraph.build(faces, 10))
    near = neighborhoods(level, link(model, level), model, 10)
    same = labels[:, None] == labels
    assert near.toarray()[~same].max() == 0
    assert np.median(np.diff(near.indptr)) >= MOST


def test_steps_and_weights_by_hand():
    chain = csr_array(np.float32([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    weights = {(0, 2): 0.95, (2, 0): 0.94}

    def weight(i, j):
        return np.float32([weights.get(pair, 1) for pair in zip(i.tolist(), j.tolist(), strict=True)])

    found = two_steps_away(chain, np.array([0, 2]), 40, weight)
    np.testing.assert_array_equal(found.toarray(), np.float32([[0, 0, 0.95], [0, 0, 0], [0, 0, 0]]))
    assert at_least(csr_array(np.float32([[0.5, 0.25]])), 0.5).toarray().tolist() == [[0.5, 0]]


def test_the_weight_of_a_pair_follows_from_its_corrected_cosine():
    faces, scale = np.float32([[1, 0], [0.75, 0.4375**0.5]]), CorpusScale(common=0.5)
    linkage = np.linspace(0, 1, GRID, dtype=np.float32)
    found = pair_weight(faces, scale, linkage, np.array([0]), np.array([1]))
    np.testing.assert_allclose(found, 0.75**4, rtol=1e-5)  # a corrected cosine of .5, three quarters of the way to 1
