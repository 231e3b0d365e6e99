"""The random questions that chosen ones are compared with are those that the benchmark says they are."""

import answers
import numpy as np

from clustering.graph.knn_graph import KnnGraph


def test_random_pairs_are_near_and_truly_answered():
    random = np.random.default_rng(0)
    faces = np.linalg.qr(random.normal(size=(32, 32)))[0].astype(np.float32)
    graph, truth, labels = KnnGraph.build(faces, 15), random.integers(4, size=32), np.arange(32) % 5
    for clusters in (None, labels):
        known = answers.random_answers(graph, truth, clusters, 20, 0)
        one, other = known.pairs.T
        assert len(known) == 20
        assert all(b in graph.neighbors[a, : answers.NEAREST] for a, b in known.pairs.tolist())
        np.testing.assert_array_equal(known.same, truth[one] == truth[other])
        assert clusters is None or (labels[one] != labels[other]).all()
