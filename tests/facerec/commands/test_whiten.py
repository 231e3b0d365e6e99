import json
import shutil

import numpy as np
import pytest

from facerec.__main__ import COMMANDS
from facerec.commands.whiten import whiten
from facerec.pipeline.embeddings import load_embeddings, normalize, save_embeddings
from facerec.pipeline.files import InputError, write_json
from facerec.recognisers.whitening import fit_whitening


@pytest.fixture
def people(tmp_path):
    """Thirty people, whose photographs differ most in the first of six directions."""
    random, labels = np.random.default_rng(0), np.repeat(np.arange(30), 5)
    spread = np.array([2] + [0.2] * 5)
    rows = normalize(random.normal(size=(30, 6))[labels] + spread * random.normal(size=(150, 6)))
    (tmp_path / "people").mkdir()
    save_embeddings(tmp_path / "people", rows, [f"{row}.jpg" for row in range(150)], labels)
    return tmp_path / "people"


def test_the_set_is_whitened_row_by_row(tmp_path, people):
    rows = normalize(np.load(people / "embeddings.npy")[:7] + np.float32(0.01))
    rows[3] = 0
    np.save(tmp_path / "faces.npy", rows)
    out = whiten(embeddings=tmp_path / "faces.npy", people=people, out=tmp_path / "out")
    known = load_embeddings(people)
    found = np.load(out / "embeddings.npy")
    np.testing.assert_allclose(found, fit_whitening(known.embeddings, known.labels)(rows), atol=1e-6)
    assert not found[3].any()
    note = json.loads((out / "meta.json").read_text())["results"]
    assert note["whitened"]
    assert note["after"] < note["before"]


def test_people_are_whitened_by_maps_of_others_and_keep_keys_and_labels(tmp_path, people):
    given, found = (load_embeddings(path) for path in (people, whiten(people, people, tmp_path / "out")))
    expected = fit_whitening(given.embeddings, given.labels)
    np.testing.assert_allclose(found.embeddings, expected.held_out(given.embeddings, slice(None)), atol=1e-6)
    assert not np.allclose(found.embeddings, expected(given.embeddings), atol=1e-3)
    assert found.keys == given.keys
    assert found.labels.tolist() == given.labels.tolist()


def test_some_of_the_people_among_others_are_whitened_by_maps_of_others(tmp_path, people, caplog):
    caplog.set_level("INFO")
    given = load_embeddings(people)
    expected, order = fit_whitening(given.embeddings, given.labels), np.random.default_rng(1).permutation(150)[:70]
    strangers = normalize(np.random.default_rng(2).normal(size=(10, 6)))
    np.save(tmp_path / "faces.npy", np.concatenate([given.embeddings[order], strangers]))
    found = np.load(whiten(tmp_path / "faces.npy", people, tmp_path / "out") / "embeddings.npy")
    np.testing.assert_allclose(found[:70], expected.held_out(given.embeddings, order), atol=1e-6)
    np.testing.assert_allclose(found[70:], expected(strangers), atol=1e-6)
    assert f"70 rows are faces of {people}, each whitened by a map made without its person" in caplog.text


def test_embeddings_stay_as_they_are_where_whitening_does_not_help(tmp_path, people, caplog):
    noise = normalize(np.random.default_rng(1).normal(size=(150, 6)))
    np.save(people / "embeddings.npy", noise)
    known = load_embeddings(people)
    seed = next(seed for seed in range(20) if not fit_whitening(noise, known.labels, seed).helps)
    out = whiten(embeddings=people, people=people, out=tmp_path / "out", seed=seed)
    assert np.array_equal(np.load(out / "embeddings.npy"), noise)
    assert "held-out people are not told apart better when whitened" in caplog.text


def test_faces_of_another_recogniser_than_the_people_are_said(tmp_path, people, caplog):
    shutil.copytree(people, tmp_path / "faces")
    for name in ("faces", "people"):
        write_json(tmp_path / name / "meta.json", {"inputs": {"model": {"path": name, "hash": name}}})
    whiten(embeddings=tmp_path / "faces", people=people, out=tmp_path / "out")
    assert "people: embedded by people, but " in caplog.text
    assert "if these are two recognisers" in caplog.text


def test_other_lengths_no_labels_few_people(tmp_path, people, status_of):
    rows, labels = np.load(people / "embeddings.npy"), np.load(people / "labels.npy")
    np.save(tmp_path / "five.npy", normalize(rows[:, :5]))
    with pytest.raises(InputError, match="embeddings of length 6, those of .*five.npy of 5; embed both"):
        whiten(embeddings=tmp_path / "five.npy", people=people, out=tmp_path / "o")
    with pytest.raises(InputError, match="--seed: -1; expected a number at least 0"):
        whiten(embeddings=people, people=people, out=tmp_path / "o", seed=-1)
    np.save(people / "labels.npy", labels % 3)
    with pytest.raises(InputError, match="3 people with two faces or more; whitening needs 4; give more labelled"):
        whiten(embeddings=people, people=people, out=tmp_path / "o")
    (people / "labels.npy").unlink()
    with pytest.raises(InputError, match="people: no labels.npy; whitening is measured on faces whose people"):
        whiten(embeddings=people, people=people, out=tmp_path / "o")
    command = ["whiten", "--embeddings", str(people), "--people", str(people), "--out", str(tmp_path / "o")]
    assert status_of(COMMANDS, command) == 2
    assert not (tmp_path / "o").exists()


def test_rows_of_any_length_are_mapped_and_the_map_is_gone(tmp_path, people):
    expected = np.load(whiten(embeddings=people, people=people, out=tmp_path / "unit") / "embeddings.npy")
    np.save(people / "embeddings.npy", 3 * np.load(people / "embeddings.npy").astype(np.float64))
    out = whiten(embeddings=people, people=people, out=tmp_path / "out")
    np.testing.assert_allclose(np.load(out / "embeddings.npy"), expected, atol=1e-4)
    assert sorted(path.name for path in out.iterdir()) == ["embeddings.npy", "keys.txt", "labels.npy", "meta.json"]
