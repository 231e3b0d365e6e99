"""What chance gives in a corpus, and cosines corrected by it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from clustering.backends.hilander.climb import merge
from clustering.backends.hilander.level import Level, edge_inputs
from clustering.backends.registry import load_clusterer
from clustering.graph.corpus_scale import HIGHEST, LEAST_SPREAD, USUAL, CorpusScale, levels_of_chance
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import cluster_sums
from clustering.similarity.confidence import evidence
from eval.clusters import scores
from facerec.pipeline.embeddings import normalize


def scale_of(embeddings: np.ndarray) -> CorpusScale:
    return CorpusScale.of(KnnGraph.build(embeddings, 5))


def shifted(embeddings: np.ndarray, length: float) -> np.ndarray:
    """The same faces with another dimension, along which they all lie: cosines become ``(a + l^2) / (1 + l^2)``."""
    return normalize(np.hstack([embeddings, np.full((len(embeddings), 1), length)]))


def test_location_and_spread_by_hand():
    # Three faces at right angles and one opposite to the first: cosines 0 five times, and -1.
    scale = scale_of(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]], np.float32))
    # The quantiles .0228 and .1587 of (-1, 0, 0, 0, 0, 0) lie .114 and .7935 of the way from the first to the second.
    assert (scale.location, scale.spread, scale.common) == pytest.approx((0, 0.2065, 0), abs=1e-6)
    assert not scale.alike  # strangers are not above the median, where the two quantiles alone would put them


def test_the_location_of_strangers_is_the_median():
    faces = normalize(np.random.default_rng(0).normal(size=(100, 32)))
    cosines = (faces @ faces.T)[np.triu_indices(100, 1)]
    far, lower, median = np.quantile(cosines, [0.0228, 0.1587, 0.5])
    assert median > 2 * lower - far  # by chance
    assert levels_of_chance(faces) == pytest.approx((median, lower, 2 * lower - far, lower - far), abs=1e-6)


@pytest.mark.parametrize("first", ["a dead unit", "bits"])
def test_the_order_of_rows_does_not_matter_where_first_values_are_equal(first):
    """One person of many faces comes first; else strangers would be as alike as that person's faces."""
    random = np.random.default_rng(0)
    people = np.repeat(np.arange(151), [2200, *[6] * 150])
    faces = random.normal(size=(151, 32))[people] + 0.7 * random.normal(size=(len(people), 32))
    faces = np.sign(faces) if first == "bits" else np.insert(faces, 0, 0, axis=1)
    order = random.permutation(len(faces))
    scale, other = scale_of(faces), scale_of(faces[order])
    assert (scale.location, scale.spread) == pytest.approx((other.location, other.spread), abs=1e-6)
    assert scale.location < 0.2


def test_a_graph_is_measured_once(monkeypatch):
    measured: list[int] = []
    monkeypatch.setattr(CorpusScale, "_measured", classmethod(lambda cls, graph: measured.append(len(graph)) or cls()))
    graph, other = (KnnGraph.build(np.eye(n, dtype=np.float32), 1) for n in (3, 4))
    assert CorpusScale.of(graph) is CorpusScale.of(graph)
    CorpusScale.of(other)
    assert measured == [3, 4]
    CorpusScale.of(replace(graph, similarities=graph.similarities / 2))
    assert measured == [3, 4, 3]


def test_one_person_and_nobody():
    alike = np.tile(np.float32([0.6, 0.8]), (5, 1))
    assert scale_of(alike) == CorpusScale(HIGHEST, LEAST_SPREAD, alike=True)
    assert scale_of(alike[:2]) == CorpusScale()
    assert scale_of(np.zeros((4, 2), np.float32)) == CorpusScale()
    random = np.random.default_rng(0)
    person = normalize(random.normal(size=(1, 64)) + 0.8 * random.normal(size=(200, 64)))
    assert scale_of(person).alike


def test_it_depends_neither_on_the_order_of_rows_nor_on_large_identities():
    random = np.random.default_rng(0)
    faces = normalize(random.normal(size=(3000, 32)))
    scale, other = scale_of(faces), scale_of(faces[random.permutation(3000)])
    assert (other.location, other.spread) == pytest.approx((scale.location, scale.spread), abs=1e-6)
    assert scale.spread == pytest.approx(1 / math.sqrt(32), rel=0.05)
    faces[:700] = normalize(faces[0] + 0.02 * random.normal(size=(700, 32)))
    assert scale_of(faces).spread == pytest.approx(scale.spread, rel=0.1)


def test_with_two_people_pairs_of_strangers_count(blobs):
    embeddings, _ = blobs(identities=2, faces=100, dimension=64, spread=0.3)
    pairs = embeddings[:100] @ embeddings[100:].T
    assert scale_of(embeddings).location == pytest.approx(pairs.mean(), abs=0.1)


@pytest.mark.parametrize("length", [1, 2, 4])
def test_a_common_direction_is_taken_out_of_cosines(blobs, length):
    embeddings, labels = blobs(identities=60, faces=8, dimension=64, spread=0.7)
    moved = shifted(embeddings, length)
    scale = scale_of(moved)
    assert not scale_of(embeddings).common
    assert not scale.alike
    assert scale.usual[0] == pytest.approx(USUAL, abs=0.02)
    assert scale.usual[1] == pytest.approx(scale_of(embeddings).spread, rel=0.1)
    strangers = (moved @ moved.T)[labels[:, None] != labels]
    assert np.median(scale.corrected(strangers)) == pytest.approx(USUAL, abs=0.02)
    assert scale.corrected(np.float32([scale.cosine(0.5)])) == pytest.approx(0.5, abs=1e-5)


def test_corrected_levels_equal_those_of_corrected_vectors(blobs):
    """With exactly the common cosine taken out, inputs are those of the faces without the common direction."""
    embeddings, labels = blobs(identities=40, faces=6, dimension=64, spread=0.7)
    length = 2.0
    common = length**2 / (1 + length**2)
    found = []
    for faces, scale in ((embeddings, CorpusScale(0, 0.1)), (shifted(embeddings, length), None)):
        graph = KnnGraph.build(faces, 5)
        exact = scale or CorpusScale(common, 0.1 * (1 - common), common)
        level = Level(exact.correct(graph), faces, faces, np.ones(len(faces), np.float32), np.arange(len(faces)))
        level, peaks = replace(level, scale=exact), np.arange(0, len(faces), 6)
        sums, sizes = cluster_sums(faces, labels), np.full(40, 6, np.float32)
        level = merge(level, labels, peaks, sums, sizes, "average", 39)
        order = np.argsort(level.graph.neighbors, axis=1)
        found.append(np.take_along_axis(edge_inputs(level), order[..., None], axis=1))
    np.testing.assert_allclose(*found, atol=2e-3)


def test_evidence_equals_that_of_corrected_vectors(blobs, monkeypatch):
    embeddings, labels = blobs(identities=40, faces=6, dimension=64, spread=0.7)
    plain, _ = evidence(KnnGraph.build(embeddings, 5), labels)
    monkeypatch.setattr(CorpusScale, "of", classmethod(lambda cls, graph: cls(0.8, 0.02, 0.8)))
    moved, _ = evidence(KnnGraph.build(shifted(embeddings, 2.0), 5), labels)
    np.testing.assert_allclose(moved, plain, atol=2e-3)


@pytest.mark.parametrize("length", [1, 3])
def test_hilander_does_not_mind_a_common_direction(blobs, length):
    embeddings, labels = blobs(identities=60, faces=12, dimension=64, spread=0.8)
    clusterer = load_clusterer("hilander", None)
    for faces in (embeddings, shifted(embeddings, length)):
        found = scores(labels, clusterer.cluster(KnnGraph.build(faces, 10)).labels)
        assert min(found["pairwise_f"], found["bcubed_f"]) > 0.9


def test_one_person_stays_whole(real):
    embeddings, truth = real("lfw112")
    person = embeddings[truth == np.bincount(truth).argmax()]
    labels = load_clusterer("hilander", None).cluster(KnnGraph.build(person, 10)).labels
    assert np.bincount(labels).max() > 0.95 * len(person)


@pytest.mark.parametrize("name", ["components", "dbscan", "finch", "hac_average", "hac_single", "hdbscan"])
def test_thresholds_do_not_mind_a_common_direction(blobs, name):
    embeddings, labels = blobs(identities=60, faces=8, dimension=64, spread=0.5)
    clusterer = load_clusterer(name, None)
    plain, moved = (
        scores(labels, clusterer.cluster(KnnGraph.build(faces, 40)).labels)["pairwise_f"]
        for faces in (embeddings, shifted(embeddings, 2.0))
    )
    assert plain > 0.75
    assert moved > plain - 0.05


def test_corrected_cosines_end_at_minus_one_and_missing_neighbours_have_none():
    scale = CorpusScale(common=0.5)
    np.testing.assert_allclose(scale.corrected(np.float32([-1, 0.5, 1])), [-1, 0, 1], atol=1e-6)
    graph = KnnGraph.build(np.eye(2, dtype=np.float32), 2)
    np.testing.assert_allclose(scale.correct(graph).similarities, [[-1, 0], [-1, 0]], atol=1e-6)
