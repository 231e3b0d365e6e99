"""The estimated probability that a face belongs to its cluster's majority identity."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from clustering.similarity.confidence import Confidence, evidence
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import InputError


def evidence_slowly(graph: KnnGraph, labels: np.ndarray) -> list[tuple[float, float, float] | None]:
    found: list[tuple[float, float, float] | None] = []
    for i, label in enumerate(labels):
        others = [j for j in range(len(labels)) if j != i and labels[j] == label]
        if label < 0 or not others:
            found.append(None)
            continue
        mean = graph.embeddings[others].mean(axis=0)
        cosine = float(graph.embeddings[i] @ mean / max(np.linalg.norm(mean), 1e-12))
        listed = [(j, s) for j, s in zip(graph.neighbors[i], graph.similarities[i], strict=True) if j >= 0]
        inside = [s for j, s in listed if labels[j] == label]
        outside = [s for j, s in listed if labels[j] != label]
        margin = (sum(inside) / len(inside) if inside else 0) - max(outside, default=0)
        found.append((cosine, margin, len(inside) / max(min(len(listed), len(others)), 1)))
    return found


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 40), k=st.integers(1, 7), seed=st.integers(0, 999), clusters=st.integers(1, 8))
def test_evidence_equals_the_slow_one(n, k, seed, clusters):
    random = np.random.default_rng(seed)
    embeddings = normalize(random.normal(size=(n, 3)))
    embeddings[random.random(n) < 0.1] = 0
    graph = KnnGraph.build(embeddings, k)
    labels = consecutive(np.where(graph.readable, random.integers(-1, clusters, n), -1))
    found, alone = evidence(graph, labels)
    for row, is_alone, expected in zip(found, alone, evidence_slowly(graph, labels), strict=True):
        assert is_alone == (expected is None)
        np.testing.assert_allclose(row, expected or (0, 0, 0), atol=2e-3)


def test_confidence_by_hand():
    embeddings = np.array([[1, 0], [0.8, 0.6], [0, 1], [0, 1]], np.float32)
    graph = KnnGraph.build(embeddings, 2)
    found = Confidence(offset=-1, cosine=2, margin=3, share=0.5).of_faces(graph, np.array([0, 0, 1, -1]))
    # Face 0: cosine .8 with the other; neighbours 1 (.8, inside) and 2 (0, outside); the one possible is inside.
    expected = 1 / (1 + math.exp(-(-1 + 2 * 0.8 + 3 * (0.8 - 0) + 0.5 * 1)))
    np.testing.assert_allclose(found[[0, 2, 3]], [expected, 1, 0], atol=1e-6)
    assert found.dtype == np.float32


def test_it_is_read_off_as_many_neighbours_as_it_was_fitted_on(hilander, blobs):
    embeddings, _ = blobs(spread=0.8)
    found = [hilander.cluster(KnnGraph.build(embeddings, k)).confidence for k in (hilander.k, 3 * hilander.k)]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"offset": 1.0}, "confidence is {'offset': 1.0}; expected offset, cosine, margin, share"),
        (3, "confidence is 3; expected offset"),
        ({"offset": 1, "cosine": "x", "margin": 1, "share": 1}, "confidence.cosine is 'x'; it must be a number"),
        ({"offset": float("nan"), "cosine": 1, "margin": 1, "share": 1}, "confidence.offset is nan"),
        ({"offset": True, "cosine": 1, "margin": 1, "share": 1}, "confidence.offset is True"),
    ],
)
def test_unusable_settings(value, message, tmp_path):
    with pytest.raises(InputError, match=message):
        Confidence.of_settings(tmp_path / "config.yaml", value)
