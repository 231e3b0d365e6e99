"""Arrays and embedding sets as users give them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clustering.graph.knn_graph import KnnGraph
from clustering.pseudolabels.inputs import clustered, known_people
from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError

HERE = Path("labelled")


@pytest.mark.parametrize("as_set", [True, False])
def test_known_people_are_readable_faces_of_known_identity(as_set):
    embeddings, labels = np.eye(5, dtype=np.float32), np.array([7, 7, -1, 3, 9])
    embeddings[1] = 0
    faces = EmbeddingSet(embeddings, None, labels, HERE) if as_set else (3 * embeddings, labels)
    found = known_people("labelled", faces, KnnGraph.build(np.eye(5, dtype=np.float32), 1), 3)
    np.testing.assert_array_equal(found.labels, [7, 3, 9])
    np.testing.assert_array_equal(found.embeddings, embeddings[[0, 3, 4]])


@pytest.mark.parametrize(("labels", "confidence", "message"), [
    ([0.5, 1, 1], None, r"labels are float64 of shape \[3\]; expected integers \[n\], -1 for none"),
    (["a", "a", "b"], None, "labels are <U1 of shape .*; expected integers"),
    ([0, 1, 1], [0.5, 1, 1.5], "confidence: some values are no numbers from 0 to 1"),
    ([0, 1, 1], [0.5, 1, np.nan], "confidence: some values are no numbers from 0 to 1"),
    ([0, 1, 1], ["x", "y", "z"], "confidence: some values are no numbers from 0 to 1"),
])  # fmt: skip
def test_clusters_are_integers_and_confidence_a_share(labels, confidence, message):
    with pytest.raises(InputError, match=message):
        clustered(None, labels, confidence)


def test_refuses_no_people():
    faces = np.eye(3, dtype=np.float32)
    with pytest.raises(InputError, match="labelled: 0 labelled people; at least 3 are needed"):
        known_people("x", EmbeddingSet(faces, None, np.full(3, -1), HERE), KnnGraph.build(faces, 1), 3)


def test_a_graph_is_checked():
    graph = KnnGraph.build(np.eye(3, dtype=np.float32), 1)
    graph.neighbors[0] = 7
    with pytest.raises(InputError, match="neighbors: neighbour 7 of 3 rows"):
        clustered(graph, [0, 0, 1], None)
