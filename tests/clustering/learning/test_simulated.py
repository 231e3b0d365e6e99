"""Simulated corpora, and what a model learns from them alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clustering.backends.hilander import PRETRAINED
from clustering.backends.hilander.level import Level, edge_inputs
from clustering.backends.hilander.meta_training import majority, own_graphs
from clustering.backends.registry import load_clusterer
from clustering.commands.pretrain import pretrain
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.simulated import SHAPES, corpus, faces_per_identity, recognisers, spectrum
from eval.clusters import scores
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import InputError


def test_corpora_are_seeded_and_differ():
    first, second = list(recognisers(2, 0)), list(recognisers(2, 0))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.embeddings, other.embeddings)
    assert first[0].embeddings.shape != first[1].embeddings.shape
    assert next(recognisers(1, 1)).embeddings.shape != first[0].embeddings.shape


def test_a_corpus_is_made_of_identities_that_are_alike():
    for faces in recognisers(3, 0):
        np.testing.assert_allclose(np.linalg.norm(faces.embeddings, axis=1), 1, atol=1e-5)
        same = faces.labels[:, None] == faces.labels[:2000]
        cosines = faces.embeddings @ faces.embeddings[:2000].T
        assert cosines[same].mean() > 0.35
        assert abs(cosines[~same].mean()) < 0.25


@pytest.mark.parametrize(("shape", "most"), [("tail", 200), ("crowd", 8), ("large", 600), ("mixed", 600)])
def test_faces_per_identity(shape: str, most: int):
    numbers = faces_per_identity(shape, np.random.default_rng(0))
    assert shape in SHAPES
    assert numbers.min() >= 1
    assert numbers.max() <= most


def test_spectrum_has_the_asked_participation_ratio():
    variances = spectrum(512, 40) ** 2
    assert variances.sum() == pytest.approx(1)
    assert 1 / (variances**2).sum() == pytest.approx(40, rel=0.05)


def test_edge_inputs_by_hand():
    faces = np.array([[1, 0], [0.6, 0.8]], np.float32)
    level = Level.of_faces(KnnGraph.build(faces, 1))
    merged = Level(
        level.graph, faces, 2 * faces, np.array([2, 4], np.float32), np.arange(2), scale=CorpusScale(0.2, 0.05)
    )
    # lengths of the means: 2 / 2 and 2 / 4
    expected = [0.6, 0.6 * 0.5, math.log(2), math.log(4), 0, (0.6 - 0.2) * 2]
    np.testing.assert_allclose(edge_inputs(merged)[0, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(edge_inputs(level)[0, 0], [0.6, 0.6, 0, 0, 1, 0.6], rtol=1e-5)


def test_majority_by_hand():
    np.testing.assert_array_equal(majority(np.array([1, 0, 0, 0, 1]), np.array([3, 9, 7, 9, 2])), [9, 2])


def test_own_levels_keep_the_truth_of_what_was_merged(hilander, blobs):
    embeddings, labels = blobs(spread=0.8, faces=20)
    graphs = list(own_graphs(hilander.model, KnnGraph.build(embeddings, 5), labels, "average"))
    assert len(graphs) > 2
    assert len(graphs[0].density) == len(labels)
    assert all(len(graph.density) < len(labels) for graph in graphs[1:])


def test_the_model_of_the_package_needs_no_labels(real):
    assert sum(path.stat().st_size for path in PRETRAINED.iterdir()) < 2_000_000
    clusterer = load_clusterer("hilander", None)
    embeddings, truth = real("lfw112")
    for dimension, least in [(128, 0.93), (48, 0.75)]:
        projection = np.random.default_rng(0).normal(size=(128, dimension)) if dimension < 128 else np.eye(128)
        figures = scores(truth, clusterer.cluster(KnnGraph.build(normalize(embeddings @ projection), 10)).labels)
        assert min(figures["pairwise_f"], figures["bcubed_f"]) > least


def test_the_model_of_the_package_works_for_any_dimension(blobs):
    clusterer = load_clusterer("hilander", None)
    for dimension in (24, 300):
        embeddings, truth = blobs(identities=60, faces=8, dimension=dimension, spread=0.6)
        assert scores(truth, clusterer.cluster(KnnGraph.build(embeddings, 10)).labels)["bcubed_f"] > 0.9


def test_pretrain(tmp_path, monkeypatch):
    monkeypatch.setattr("clustering.commands.pretrain.VALIDATION_CORPORA", 2)
    monkeypatch.setattr("clustering.commands.pretrain.THRESHOLDS", (0.5, 0.9))
    folder = pretrain(tmp_path / "model", corpora=1, epochs=2)
    assert load_clusterer("hilander", folder).p_tau >= 0.5
    with pytest.raises(InputError, match="corpora is 0 and epochs is 14; both must be at least 1"):
        pretrain(tmp_path / "none", corpora=0)


@pytest.mark.parametrize(
    ("shape", "random", "message"),
    [
        ("long", np.random.default_rng(0), "shape is 'long'; it must be one of tail, crowd, large, mixed"),
        ("tail", 6, "random is 6; expected Generator"),
    ],
)
def test_another_shape_is_not_taken_for_a_tail(shape, random, message):
    with pytest.raises(InputError, match=message):
        corpus(shape, random)
