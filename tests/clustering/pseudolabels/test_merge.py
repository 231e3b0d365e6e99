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
