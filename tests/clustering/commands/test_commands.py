"""tune, train, cluster and pseudolabel as commands, and what they refuse."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from clustering.backends.dbscan import Dbscan
from clustering.commands.pseudolabel import pseudolabel
from clustering.commands.tune import tune
from clustering.learning.labelled_faces import LabelledFaces, split_identities
from clustering.learning.proposals import candidates, narrowed, strict
from clustering.learning.versions import versions
from clustering.partition import consecutive
from facerec.pipeline.embeddings import save_embeddings
from facerec.pipeline.files import InputError, read_json, read_yaml


@pytest.fixture
def labelled(tmp_path, blobs) -> Path:
    folder = tmp_path / "labelled"
    folder.mkdir()
    embeddings, labels = blobs(identities=14, faces=10, spread=0.5)
    save_embeddings(folder, embeddings, labels=labels)
    return folder


@pytest.mark.parametrize("backend", ["dbscan", "finch", "kmeans", "hilander", "lander"])
def test_tune_cluster_pseudolabel(backend, labelled, tmp_path, command):
    model, clusters, pseudo = tmp_path / "model", tmp_path / "clusters", tmp_path / "pseudo"
    quick = ["--trainings", "[{epochs: 3, simulated: 0}]"] if backend in ("hilander", "lander") else []
    assert command("tune", "--backend", backend, "--embeddings", labelled, "--trials", 3, *quick, "--out", model) == 0
    assert read_yaml(model / "config.yaml")["backend"] == backend
    assert command(
        "cluster", "--backend", backend, "--model", model, "--embeddings", labelled / "embeddings.npy",
        "--out", clusters,
    ) == 0  # fmt: skip
    assert {"labels.npy", "confidence.npy", "config.yaml", "meta.json"} <= {path.name for path in clusters.iterdir()}
    assert command("pseudolabel", "--clusters", clusters, "--out", pseudo) == 0
    labels, weights = np.load(pseudo / "labels.npy"), np.load(pseudo / "weights.npy")
    summary = json.loads((pseudo / "summary.json").read_text())
    assert summary["faces"] == len(labels) == len(weights) == 140
    assert summary["used"] == np.count_nonzero(labels >= 0)
    assert summary["clusters"] == labels.max() + 1
    assert np.all(weights[labels < 0] == 0)


def test_train_and_cluster_hilander(labelled, tmp_path, command):
    labels = labelled / "labels.npy"
    model, clusters = tmp_path / "model", tmp_path / "clusters"
    settings = "{p_tau: 0.4, epochs: 3, k: 5, simulated: 0}"
    assert command(
        "train", "--backend", "hilander", "--embeddings", labelled / "embeddings.npy", "--labels", labels,
        "--settings", settings, "--out", model,
    ) == 0  # fmt: skip
    assert read_yaml(model / "config.yaml")["p_tau"] == 0.4
    said = read_json(model / "meta.json")["results"]
    assert (said["faces"], said["identities"]) == (140, 14)
    assert command("knn", "--embeddings", labelled, "--k", 5, "--out", tmp_path / "knn") == 0
    assert command(
        "cluster", "--backend", "hilander", "--model", model, "--embeddings", labelled, "--knn", tmp_path / "knn",
        "--out", clusters,
    ) == 0  # fmt: skip
    assert read_json(clusters / "meta.json")["results"]["p_tau"] == 0.4
    level = clusters / "levels" / "00"
    assert {path.name for path in level.iterdir()} == {
        f"{name}.npy" for name in ("labels", "peaks", "densities", "parents", "linkage")
    }


def test_tune_finds_the_gap_between_and_within_identities(labelled, tmp_path):
    out = tune("dbscan", labelled, tmp_path / "model", trials=20)
    with (out / "search.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert float(rows[0]["min_similarity"]) == Dbscan().min_similarity
    best = max(float(row["score"]) for row in rows)
    chosen = read_yaml(out / "config.yaml")
    (row,) = (row for row in rows if float(row["min_similarity"]) == chosen["min_similarity"])
    assert float(row["score"]) >= 0.99 * best > float(rows[0]["score"])
    said = read_json(out / "meta.json")["results"]
    scores = [float(row["score"]), float(rows[0]["score"])]
    assert [said["score"], said["default_score"]] == pytest.approx(scores, abs=1e-3)
    assert said["trials"] == 20
    embeddings, labels = np.load(labelled / "embeddings.npy"), np.load(labelled / "labels.npy")
    cosines = embeddings @ embeddings.T
    same = (labels[:, None] == labels) & ~np.eye(len(labels), dtype=bool)
    assert cosines[labels[:, None] != labels].mean() < chosen["min_similarity"] < np.quantile(cosines[same], 0.95)


def proposed(trials: int, seed: int) -> list[dict[str, float]]:
    """What is tried where the score falls with the distance from 0.7 and with samples, which add precision."""
    results: list[dict[str, float]] = []
    for settings in candidates(Dbscan(), trials, seed, results):
        distance, samples = abs(settings["min_similarity"] - 0.7), settings["min_samples"]
        score = 1 - distance / 5 - 0.001 * samples
        results.append(settings | {"score": score, "precision": samples / 5 - distance / 100})
    return results


def test_candidates_are_seeded_in_range_and_close_in():
    found = proposed(41, seed=1)
    assert found == proposed(41, seed=1)
    assert found != proposed(41, seed=2)
    assert len(found) == 41
    assert (found[0]["min_similarity"], found[0]["min_samples"]) == (0.5, 2)
    assert {row["min_samples"] for row in found[1:21]} == {1, 2, 3, 4, 5}
    assert {row["min_samples"] for row in found[21:31]} == {1, 2, 3, 4, 5}
    values = [row["min_similarity"] for row in found]
    assert 0.2 <= min(values) < 0.3
    assert 0.8 < max(values) <= 0.9
    assert all(0.5 < value < 0.9 for value in values[21:31])
    assert [len(proposed(trials, 0)) for trials in (1, 2, 6)] == [1, 2, 6]


def test_the_last_candidates_are_like_the_one_that_would_be_chosen_by_then():
    found = proposed(41, seed=1)
    chosen = strict(found[:31])
    assert chosen["precision"] > max(found[:31], key=lambda row: row["score"])["precision"]
    assert {row["min_samples"] for row in found[31:]} == {chosen["min_samples"]}
    assert all(abs(row["min_similarity"] - chosen["min_similarity"]) <= 0.0705 for row in found[31:])


def test_ranges_close_in_on_a_trial_and_stay_within_their_bounds():
    ranges = {"threshold": (0.0, 2.0), "other": (0.0, 1.0), "k": [5, 10]}
    row = {"threshold": 1.5, "other": 0.95, "k": 10}
    found = narrowed(ranges, row)
    assert found["k"] == [5, 10]
    assert found["threshold"] == pytest.approx((1.3, 1.7))
    assert found["other"] == pytest.approx((0.85, 1.0))


def test_of_the_nearly_best_trials_a_strict_one_is_chosen():
    trials = [
        (0.3, 0.90, 0.99),
        (0.4, 0.995, 0.91),
        (0.5, 0.992, 0.95),
        (0.6, 1.0, 0.93),
        (0.7, 0.991, 0.97),
        (0.8, 0.999, 0.92),
    ]
    rows = [{"threshold": threshold, "score": score, "precision": precision} for threshold, score, precision in trials]
    assert strict(rows)["threshold"] == 0.5
    assert strict(rows[:4])["threshold"] == 0.5
    assert strict(rows[:2])["threshold"] == 0.4


def test_validation_has_other_identities(blobs):
    learning, validation = split_identities(LabelledFaces(*blobs()), seed=0)
    assert set(learning.labels).isdisjoint(validation.labels)
    assert len(learning.labels) + len(validation.labels) == 96


def test_versions_of_the_labelled_set(blobs):
    faces = LabelledFaces(*blobs(identities=30, faces=20))
    found = versions(faces, seed=0)
    assert list(found) == ["whole", "small", "tail", "large", "crowd", "mixed"]
    assert np.bincount(found["small"].labels).max() == 3
    assert np.bincount(found["tail"].labels).min() >= 1
    assert np.bincount(found["large"].labels).max() == 600
    assert len(np.unique(found["crowd"].labels)) == 300
    for name, version in found.items():
        assert len(version.embeddings) == len(version.labels), name
        np.testing.assert_allclose(np.linalg.norm(version.embeddings, axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(version.embeddings, versions(faces, seed=0)[name].embeddings)


def test_pseudolabels_of_a_bare_file_weigh_one(tmp_path):
    np.save(tmp_path / "labels.npy", np.array([5, 5, -1, 3, 3, 3]))
    out = pseudolabel(tmp_path / "labels.npy", tmp_path / "pseudo", min_size=3)
    np.testing.assert_array_equal(np.load(out / "labels.npy"), [-1, -1, -1, 0, 0, 0])
    np.testing.assert_array_equal(np.load(out / "weights.npy"), [0, 0, 0, 1, 1, 1])
    assert np.load(out / "weights.npy").dtype == np.float32


def test_weights_are_the_confidence(tmp_path):
    np.save(tmp_path / "labels.npy", np.array([0, 0, 1]))
    np.save(tmp_path / "confidence.npy", np.array([0.5, 0.25, 1], np.float32))
    out = pseudolabel(tmp_path, tmp_path / "pseudo")
    np.testing.assert_array_equal(np.load(out / "weights.npy"), np.array([0.5, 0.25, 0], np.float32))


def test_consecutive_by_first_appearance():
    np.testing.assert_array_equal(consecutive(np.array([7, -1, 3, 7, -5])), [0, -1, 1, 0, -1])
    assert len(consecutive(np.array([], np.int64))) == 0


BAD = [
    ("cluster --backend nope --embeddings {e} --out {o}", "backend 'nope' is unknown; there are "),
    ("cluster --backend lander --embeddings {e} --out {o}", "lander needs a model trained on labelled faces"),
    ("cluster --backend dbscan --embeddings {t}/missing --out {o}", "missing: no such file"),
    ("cluster --backend dbscan --embeddings {t}/nan.npy --out {o}", "row 1 has NaN or infinite values"),
    ("cluster --backend dbscan --embeddings {t}/cut.npy --out {o}", "not a readable .npy array"),
    ("cluster --backend dbscan --embeddings {t}/empty.npy --out {o}", "empty array"),
    ("cluster --backend dbscan --embeddings {t}/flat.npy --out {o}", "expected floats with 2 dimension"),
    ("cluster --backend dbscan --embeddings {e} --knn {t}/other --out {o}", "for 140 embeddings"),
    ("cluster --backend dbscan --embeddings {e} --model {t}/finch --out {o}", "not a model of dbscan"),
    ("cluster --backend finch --embeddings {e} --model {t}/finch --out {o}", "unknown speed; finch has min_similarity"),
    ("tune --backend dbscan --embeddings {e}/embeddings.npy --out {o}", "no labels.npy beside the embeddings"),
    ("tune --backend dbscan --embeddings {e} --labels {t}/short.npy --out {o}", "3 labels for 140 rows"),
    ("tune --backend dbscan --embeddings {e} --labels {t}/ones.npy --out {o}", "1 identity with two faces or more"),
    ("tune --backend dbscan --embeddings {e} --trials 0 --out {o}", "trials is 0"),
    ("tune --backend hilander --embeddings {e} --labels {t}/two.npy --out {o}", "2 identities: too few"),
    ('train --backend l2c --embeddings {e} --settings {{"seed":3}} --out {o}', "settings: seed is no setting"),
    ('train --backend gcn_v --embeddings {e} --settings {{"X":3}} --out {o}', "settings: there is no setting 'X'"),
    ('tune --backend l2c --embeddings {e} --trainings [{{"seed":3}}] --out {o}', "settings: seed is no setting"),
    ("train --backend kmeans --embeddings {e} --out {o}", "kmeans has nothing to train; choose its settings with tune"),
    ("pseudolabel --clusters {t}/short.npy --out {o}", "no cluster of at least 2 faces"),
    ("pseudolabel --clusters {e} --min_size 0 --out {o}", "min_size is 0"),
    ("pseudolabel --clusters {t}/flat.npy --out {o}", "expected integers"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_bad_input_is_one_line_and_leaves_nothing(line, message, labelled, tmp_path, capsys, command):
    np.save(tmp_path / "nan.npy", np.array([[1, 0], [np.nan, 0]], np.float32))
    np.save(tmp_path / "cut.npy", np.ones((50, 8), np.float32))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-100])
    np.save(tmp_path / "empty.npy", np.ones((0, 8), np.float32))
    np.save(tmp_path / "flat.npy", np.ones(8, np.float32))
    np.save(tmp_path / "short.npy", np.arange(3))
    np.save(tmp_path / "ones.npy", np.ones(140, np.int64))
    np.save(tmp_path / "two.npy", np.arange(140) % 2)
    (tmp_path / "finch").mkdir()
    (tmp_path / "finch" / "config.yaml").write_text("backend: finch\nspeed: 3\n")
    (tmp_path / "other").mkdir()
    np.save(tmp_path / "other" / "neighbors.npy", np.array([[1], [0]], np.int32))
    np.save(tmp_path / "other" / "similarities.npy", np.ones((2, 1), np.float32))
    words = [word.format(e=labelled, t=tmp_path, o=tmp_path / "out") for word in line.split()]
    assert command(*words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
    assert error.startswith("clustering: error: ")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


def test_untrained_split_says_what_is_too_few():
    with pytest.raises(InputError, match="3 identities: too few"):
        split_identities(LabelledFaces(np.eye(6, dtype=np.float32), np.repeat([0, 1, 2], 2)), 0)
