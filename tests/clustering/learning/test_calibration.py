"""Confidence measured on labelled faces that a clusterer has not learned from."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest

from clustering.backends.dbscan import Dbscan
from clustering.commands.train import train
from clustering.graph.knn_graph import KnnGraph
from clustering.learning import calibration
from clustering.learning.calibration import (
    Sample,
    calibrate,
    clustered_samples,
    fit_confidence,
    learn_calibrated,
)
from clustering.learning.labelled_faces import LabelledFaces, split
from clustering.result import Clustering
from clustering.similarity.confidence import Confidence, evidence
from eval.clusters.calibration import calibration_error, in_majority, reliability
from facerec.pipeline.embeddings import save_embeddings
from facerec.pipeline.files import read_json, read_yaml


def simulated(random: np.random.Generator, n: int, weights: np.ndarray, offset: float) -> Sample:
    x = random.normal(size=(n, 3)).astype(np.float32)
    return Sample(x, random.random(n) < 1 / (1 + np.exp(-(x @ weights + offset))))


def test_fit_finds_the_weights_and_keeps_them_from_being_negative():
    random = np.random.default_rng(0)
    sample = simulated(random, 60_000, np.array([1.5, -1.0, 0.5]), -0.5)
    found = fit_confidence([sample])
    assert found.margin == 0
    assert found.cosine / found.share == pytest.approx(3, rel=0.15)
    positive = fit_confidence([simulated(random, 60_000, np.array([1.5, 1.0, 0.5]), -0.5)])
    np.testing.assert_allclose([positive.offset, positive.cosine, positive.margin, positive.share],
                               [-0.5, 1.5, 1.0, 0.5], atol=0.06)  # fmt: skip


def test_every_sample_counts_alike():
    many, few = Sample(np.zeros((900, 3), np.float32), np.ones(900, bool)), Sample(np.zeros((100, 3), np.float32),
                                                                                    np.zeros(100, bool))  # fmt: skip
    found = fit_confidence([many, few])
    assert found.probability(np.zeros((1, 3)))[0] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("right", [True, False])
def test_without_errors_it_is_not_certain(right):
    sample = Sample(np.random.default_rng(0).normal(size=(98, 3)).astype(np.float32), np.full(98, right))
    expected = 0.99 if right else 0.01
    np.testing.assert_allclose(fit_confidence([sample]).probability(sample.evidence), expected, atol=0.002)
    assert fit_confidence([]) == Confidence()


def test_calibrated_on_other_identities_it_holds_on_yet_others(hilander, blobs):
    def faces(seed: int) -> LabelledFaces:
        return LabelledFaces(*blobs(identities=200, faces=12, dimension=12, spread=0.7, seed=seed))

    loose = hilander.with_settings(p_tau=0.4, merging="edges")
    measured = calibrate(loose, faces(1), seed=0)
    assert set(measured.errors) == {"whole", "small", "tail", "large", "crowd"}
    assert measured.errors == calibrate(loose, faces(1), seed=0).errors
    unseen = clustered_samples(loose.with_settings(confidence=measured.confidence), faces(2), seed=3)["whole"]
    assert 0.1 < 1 - unseen.right.mean() < 0.6  # there is something to be unsure of
    confidence = measured.confidence.probability(unseen.evidence)
    assert abs(confidence.mean() - unseen.right.mean()) < 0.06
    assert confidence[unseen.right].mean() > confidence[~unseen.right].mean() + 0.1


def test_one_half_is_read_by_what_was_fitted_on_the_other(monkeypatch):
    """All faces of one half are right, and all of the other wrong."""
    halves = iter([True, False])
    evidence = np.zeros((98, 3), np.float32)
    monkeypatch.setattr(
        calibration, "clustered_samples", lambda *_: {"whole": Sample(evidence, np.full(98, next(halves)))}
    )
    measured = calibrate(None, LabelledFaces(np.eye(4, dtype=np.float32), np.arange(4)), seed=0)
    assert measured.errors == {"whole": pytest.approx(0.99, abs=0.002)}
    assert measured.confidence.probability(evidence[:1]) == pytest.approx(0.5, abs=0.01)


def test_confidence_is_measured_on_people_that_the_clusterer_has_not_learned_from(monkeypatch):
    class Learned(SimpleNamespace):
        calibrated = True

        @classmethod
        def learn(cls, embeddings, labels, seed, **settings):
            return cls(people={*labels.tolist()}, seed=seed, **settings)

        def with_settings(self, **changed):
            return Learned(**vars(self) | changed)

    def measure(clusterer, held, seed):
        assert clusterer.people | {*held.labels.tolist()} == set(range(8))
        assert (len(clusterer.people), clusterer.k, clusterer.seed, seed) == (4, 7, 5, 5)
        return SimpleNamespace(confidence="measured")

    monkeypatch.setattr(calibration, "calibrate", measure)
    faces = LabelledFaces(np.eye(16, dtype=np.float32), np.repeat(np.arange(8), 2))
    found, measured = learn_calibrated(Learned, faces, 5, {"k": 7})
    assert (found.people, found.confidence, measured.confidence) == (set(range(8)), "measured", "measured")
    Learned.calibrated = False
    assert learn_calibrated(Learned, faces, 5, {"k": 7})[1] is None


def test_samples_leave_out_faces_that_are_alone(hilander, blobs):
    class Alone:
        k = 3

        def cluster(self, graph: KnnGraph) -> Clustering:
            return Clustering.of(np.arange(len(graph)))

    faces = LabelledFaces(*blobs(identities=4))
    assert clustered_samples(Alone(), faces, seed=0) == {}
    found = clustered_samples(hilander, faces, seed=0)["whole"]
    graph = KnnGraph.build(faces.embeddings, 5)
    clusters = hilander.cluster(graph).labels
    x, alone = evidence(graph, clusters)
    np.testing.assert_array_equal(found.evidence, x[~alone])
    np.testing.assert_array_equal(found.right, in_majority(faces.labels, clusters)[~alone])


@pytest.mark.parametrize("backend", ["hilander", "lander"])
def test_train_measures_it_on_held_back_identities(backend, blobs, tmp_path):
    (tmp_path / "labelled").mkdir()
    embeddings, labels = blobs(identities=14, faces=10, spread=0.8)
    save_embeddings(tmp_path / "labelled", embeddings, labels=labels)
    settings = {"epochs": 2, "k": 5, "p_tau": 0.2, "simulated": 0, "adaptive": False}
    out = train(backend, tmp_path / "labelled", tmp_path / "model", settings=settings)
    config = read_yaml(out / "config.yaml")
    assert set(config["confidence"]) == {"offset", "cosine", "margin", "share"}
    assert config["confidence"] != read_yaml_of_default()
    assert config["levels"] == (1 if backend == "lander" else None)
    errors = read_json(out / "meta.json")["results"]["calibration_error"]
    assert errors
    assert all(0 <= error <= 1 for error in errors.values())
    with (out / "reliability.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["version"] for row in rows} == set(errors)
    whole = [row for row in rows if row["version"] == "whole"]
    total = sum(float(row["faces"]) for row in whole)
    error = sum(float(r["faces"]) * abs(float(r["confidence"]) - float(r["right"])) for r in whole) / total
    assert errors["whole"] == pytest.approx(error, abs=1e-4)


def read_yaml_of_default() -> dict[str, float]:
    default = Confidence()
    return {name: getattr(default, name) for name in ("offset", "cosine", "margin", "share")}


def test_of_two_identities_none_are_held_back(blobs, tmp_path):
    (tmp_path / "labelled").mkdir()
    embeddings, labels = blobs(identities=2)
    save_embeddings(tmp_path / "labelled", embeddings, labels=labels)
    out = train("hilander", tmp_path / "labelled", tmp_path / "model", settings={"epochs": 1, "simulated": 0})
    assert read_yaml(out / "config.yaml")["confidence"] == read_yaml_of_default()


def test_of_people_of_one_face_none_are_held_back(caplog):
    """Half of these three people would be one, of whom nothing can be learned."""
    learned: list[int] = []

    class Learned(SimpleNamespace):
        calibrated = True

        @classmethod
        def learn(cls, embeddings, labels, seed):
            learned.append(len(labels))
            return cls()

    faces = LabelledFaces(np.eye(9, dtype=np.float32), np.array([0, 0, 1, 1, 2, 2, 3, 4, 5]))
    with caplog.at_level("INFO"):
        assert learn_calibrated(Learned, faces, 0, {})[1] is None
    assert learned == [9]
    assert "3 identities of two faces or more are too few" in caplog.text


def test_real_confidence_holds_on_another_set(real):
    """Calibrated on identities of one real set, it is read on the faces of another."""
    held, _ = split(LabelledFaces(*real("celeba299")), 0.3, seed=0)
    clusterer = Dbscan(0.55, 1)
    confidence = calibrate(clusterer, held, seed=0).confidence
    embeddings, truth = real("lfw112")
    graph = KnnGraph.build(embeddings, clusterer.k)
    labels = clusterer.cluster(graph).labels
    found, alone = evidence(graph, labels)
    right, sure = in_majority(truth, labels)[~alone], confidence.probability(found[~alone])
    assert calibration_error(reliability(sure, right)) < 0.04
    doubtful = sure < 0.5
    assert doubtful.sum() > 50
    assert abs(sure[doubtful].mean() - right[doubtful].mean()) < 0.2
