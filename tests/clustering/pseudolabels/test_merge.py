"""Pieces of one identity are joined, and two identities are not."""

from __future__ import annotations

import numpy as np

from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from clustering.pseudolabels.evidence import Evidence
from clustering.pseudolabels.merge import merge
from facerec.pipeline.embeddings import normalize


def evidence(embeddings: np.ndarray, k: int = 10) -> Evidence:
    return Evidence(np.ones(len(embeddings), np.float32), KnnGraph.build(embeddings, k))


def test_merge_joins_pieces_of_one_identity_and_not_two(blobs):
    embeddings, truth = blobs(identities=4, faces=12, spread=0.5)
    pieces = consecutive(truth * 12 + np.arange(48) % 3)
    np.testing.assert_array_equal(merge(pieces, evidence(embeddings), 0.6), truth)
    np.testing.assert_array_equal(merge(truth, evidence(embeddings), 0.6), truth)


def test_merge_leaves_single_faces_alone():
    embeddings = normalize(np.array([[1, 0], [1, 0.01], [1, 0.02], [1, 0.03]]))
    found = merge(np.array([0, 0, 1, 2]), evidence(embeddings, 3), 0.5)
    np.testing.assert_array_equal(found, [0, 0, 1, 2])


def around(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_unassigned_faces_stay_so_when_others_merge():
    found = merge(np.array([0, 0, 1, 1, -1]), evidence(around(0, 2, 1, 3, 2), 4), 0.9)
    np.testing.assert_array_equal(found, [0, 0, 0, 0, -1])


def test_a_round_joins_those_that_are_each_others_nearest(monkeypatch):
    """The second cluster is the first one's nearest, but nearer to the third."""
    faces = evidence(around(0, 1, 10, 11, 15, 16), 5)
    monkeypatch.setattr("clustering.pseudolabels.merge.ROUNDS", 1)
    found = merge(np.repeat(np.arange(3), 2), faces, 0.9)
    np.testing.assert_array_equal(found, [0, 0, 1, 1, 1, 1])


def test_the_wider_of_two_clusters_and_links_decide():
    wide = np.array([0, 0, 1, 1])
    np.testing.assert_array_equal(merge(wide, evidence(around(0, 0, -50, 50), 3), 0.8), wide)  # its own mean: cos 50
    near = around(0, 0.1, 5, 5.1)
    np.testing.assert_array_equal(merge(wide, evidence(near, 1), 0.9), wide)  # no face has a neighbour there
    np.testing.assert_array_equal(merge(wide, evidence(near, 3), 0.9), [0, 0, 0, 0])
