"""Two identities in one cluster are parted, and one identity is kept whole."""

from __future__ import annotations

import numpy as np
import pytest

from clustering.graph.knn_graph import KnnGraph
from clustering.pseudolabels.evidence import Evidence
from clustering.pseudolabels.split import modes, split
from eval.clusters import scores
from facerec.pipeline.files import InputError


def test_modes_settle_in_one_of_two_identities():
    embeddings = np.repeat(np.eye(2, dtype=np.float32), [6, 4], axis=0)
    found = modes(embeddings, np.zeros(10, np.int64))
    assert found[:6].min() > 0.99
    assert found[6:].max() < 0.2
    np.testing.assert_allclose(modes(embeddings[:2], np.zeros(2, np.int64)), [1, 1])  # nobody is nearer than the mean


def test_split_parts_two_identities_and_keeps_one_whole(blobs):
    embeddings, truth = blobs(identities=4, faces=12, spread=0.5)
    evidence = Evidence(np.ones(48, np.float32), KnnGraph.build(embeddings, 10))
    mixed = np.array([0, 0, 1, 2])[truth]
    found = split(mixed, evidence, 0.6)
    assert scores(truth, found)["bcubed_f"] == 1
    np.testing.assert_array_equal(split(truth, evidence, 0.6), truth)


@pytest.mark.parametrize("strangers", [1, 2, 3])
def test_one_face_alone_stays_and_two_leave(strangers):
    embeddings = np.repeat(np.eye(3, dtype=np.float32), [6, strangers, 2], axis=0)
    labels = np.repeat([0, -1], [6 + strangers, 2])  # the last two are unassigned, and stay so
    found = split(labels, Evidence(np.ones(len(labels), np.float32), KnnGraph.build(embeddings, 1)), 0.5)
    assert found.tolist() == [0] * 6 + [int(strangers > 1)] * strangers + [-1, -1]


def test_rules_without_a_graph_say_what_is_missing():
    with pytest.raises(InputError, match="no embeddings; give --embeddings"):
        split(np.zeros(3, np.int64), Evidence(np.ones(3, np.float32)), 0.5)
