"""Unlabelled faces of labelled people, planted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clustering.__main__ import COMMANDS
from clustering.commands.pseudolabel import pseudolabel
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.pseudolabels.labelled_people import (
    _threshold,
    _vote,
    _without_own,
    find_labelled_people,
    without_labelled,
)
from facerec.pipeline.command_line import run
from facerec.pipeline.embeddings import normalize, save_embeddings
from facerec.pipeline.files import read_lines


@pytest.fixture
def planted(tmp_path, blobs) -> tuple[Path, np.ndarray, np.ndarray]:
    """Thirty people; half of the faces of the first nine are labelled (as 100 + person), and ten others, unseen."""
    embeddings, person = blobs(identities=40, faces=10, dimension=32, spread=0.6)
    known = ((person < 9) & (np.arange(400) % 2 == 0)) | (person >= 30)
    folder = tmp_path / "labelled"
    folder.mkdir()
    keys = [f"{row}.jpg" for row in np.flatnonzero(known)]
    save_embeddings(folder, embeddings[known], keys, person[known] + 100)
    save_embeddings(tmp_path, embeddings[~known])
    np.save(tmp_path / "clusters.npy", person[~known])
    return tmp_path, embeddings[~known], person[~known]


def labelled(folder: Path) -> LabelledFaces:
    return LabelledFaces(np.load(folder / "labelled" / "embeddings.npy"), np.load(folder / "labelled" / "labels.npy"))


@pytest.mark.parametrize("clustered", [True, False])
def test_planted_people_are_found_and_others_are_not(planted, clustered):
    folder, embeddings, person = planted
    clusters = person if clustered else np.full(len(person), -1)
    found = find_labelled_people(embeddings, clusters, labelled(folder), 0.01)
    both = person < 9
    assert np.mean(found.person[both] == person[both] + 100) > 0.95
    assert np.mean(found.person[~both] >= 0) < 0.08
    assert set(range(100, 109)) <= set(found.person)
    assert found.summary()["people"] == len(np.unique(found.person)) - 1
    assert found.summary()["faces"] == np.count_nonzero(found.person >= 0)


def test_others_set_the_threshold_where_the_recogniser_was_trained_on_the_labelled_people():
    """It has put these at right angles, and other people in between."""
    random = np.random.default_rng(0)

    def faces(middles: np.ndarray, each: int) -> LabelledFaces:
        person = np.repeat(np.arange(len(middles)), each)
        noisy = middles[person] + 0.05 * random.normal(size=(len(person), 32))
        return LabelledFaces(normalize(noisy), person)

    def others(people: int) -> np.ndarray:
        return normalize(random.dirichlet(np.ones(20), people) @ np.eye(20, 32))

    known, again, strangers = faces(np.eye(20, 32), 5), faces(np.eye(9, 32), 4), faces(others(60), 4)
    embeddings, alone = np.vstack([again.embeddings, strangers.embeddings]), np.full(36 + 240, -1)
    assert np.mean(find_labelled_people(embeddings, alone, known, 0.02).person[36:] >= 0) > 0.5
    found = find_labelled_people(embeddings, alone, known, 0.02, faces(others(200), 4))
    assert np.mean(found.person[36:] >= 0) < 0.06
    assert np.mean(found.person[:36] == again.labels) > 0.5


@pytest.mark.parametrize(("copied", "left"), [([], [0, 1, 2]), ([1], [0, 2]), ([0, 2], None), ([0, 1, 2], None)])
def test_people_who_share_a_face_are_left_out_and_two_have_to_be_left(copied, left, caplog):
    axes = np.eye(8, dtype=np.float32)
    people = LabelledFaces(axes[:6], np.array([0, 0, 1, 1, 2, 2]))
    ours = LabelledFaces(np.concatenate([axes[6:], axes[[2 * person for person in copied]]]),
                         np.array([5, 5, *copied]))  # fmt: skip
    found = without_labelled(people, ours)
    assert (None if found is None else np.unique(found.labels).tolist()) == left
    if found is not None:
        np.testing.assert_array_equal(found.embeddings, people.embeddings[np.isin(people.labels, left)])
    assert ("share" in caplog.text) is (0 < len(copied) < 3)  # all three are the same people, who are as meant


def test_unreadable_faces_are_nobody(planted):
    folder, embeddings, person = planted
    embeddings = embeddings.copy()
    embeddings[:3] = 0
    found = find_labelled_people(embeddings, np.where(np.arange(len(person)) < 3, -1, person), labelled(folder), 0.01)
    assert found.person[:3].tolist() == [-1, -1, -1]


def test_scores_by_hand():
    """The cosine less half of that of the centre with a rival, and less half of the mean over two strangers."""
    people = LabelledFaces(np.eye(4, 5, dtype=np.float32), np.arange(4))
    faces = np.array([[0.8, 0.6, 0, 0, 0], [0.6, 0, 0, 0, 0.8], [0, 0, 0, 0, 0]], np.float32)
    found = find_labelled_people(faces, np.full(3, -1), people, 1)
    # The first is nearer to person 0, but so is the second. The second's rival at person 0 is the first.
    np.testing.assert_allclose(found.score, [0.6 - 0.5 * (0.8 + 0) / 2, 0.6 - 0.5 * 0.8, -np.inf], atol=1e-6)
    assert found.person.tolist() == [1, 0, -1]  # everybody reaches the threshold, but for whom could not be read


def test_threshold_counts_people_alike():
    scores, person = np.array([0.9, 0.8, 0.7, 0.6, 0.1], np.float32), np.array([0, 0, 0, 1, 2])
    # Of three people the first has three faces: 0.9, 0.8 and 0.7 are a third of a person each. A fourth is above all.
    assert _threshold(scores, person, 0.5) == pytest.approx(0.6, abs=1e-6)  # two of four: the fourth, and the first
    assert _threshold(scores, person, 0.35) == pytest.approx(0.8, abs=1e-6)  # 1.4 people: 0.9 is a third
    assert _threshold(scores, person, 0.25) > 0.9
    assert _threshold(scores, person, 0) > 0.9
    assert _threshold(scores, person, 1) == -np.inf


def test_own_person_is_left_out_by_hand():
    ids, cosines = np.array([[2, 0, 1], [0, 1, 2]]), np.array([[0.9, 0.5, 0.1], [0.8, 0.7, 0.6]])
    found = _without_own(ids, cosines, np.array([0, 0]))
    np.testing.assert_array_equal(found[0], [[2, 1], [1, 2]])
    np.testing.assert_array_equal(found[1], [[0.9, 0.1], [0.7, 0.6]])


def test_most_of_a_cluster_speak_for_the_rest():
    person = np.array([3, 3, -1, 4, -1, -1, 5, -1, 0, 0, -1])
    found = _vote(person, np.array([0, 0, 0, 1, 1, -1, 2, 2, 3, 3, 3]))
    np.testing.assert_array_equal(found, [3, 3, 3, 4, -1, -1, 5, -1, 0, 0, 0])
    np.testing.assert_array_equal(_vote(np.array([3, -1]), np.zeros(2, np.int64)), [3, -1])  # half is not most


@pytest.mark.parametrize("action", ["drop", "merge", "keep"])
def test_what_becomes_of_them(action, planted):
    folder, _, person = planted
    out = pseudolabel(folder / "clusters.npy", folder / action, embeddings=folder / "embeddings.npy",
                      labelled=folder / "labelled", overlap=action)  # fmt: skip
    labels, both = np.load(out / "labels.npy"), person < 9
    summary = json.loads((out / "summary.json").read_text())
    assert summary["overlap"]["action"] == action
    assert (out / "same_as.npy").exists() == (out / "same_as_keys.txt").exists() == (action == "merge")
    assert np.mean(labels[~both] >= 0) > 0.9
    assert np.mean(labels[both] >= 0) > 0.9 if action != "drop" else np.mean(labels[both] >= 0) < 0.05
    if action == "merge":
        same_as = np.load(out / "same_as.npy")
        assert same_as.dtype == np.int64
        assert len(same_as) == labels.max() + 1
        assert np.all(np.diff(same_as[same_as >= 0]) > 0)
        whose = dict(zip(read_lines(folder / "labelled" / "keys.txt"), labelled(folder).labels.tolist(), strict=True))
        assert [whose.get(key, -1) for key in read_lines(out / "same_as_keys.txt")] == same_as.tolist()
        used = both & (labels >= 0)
        assert np.mean(same_as[labels[used]] == person[used] + 100) > 0.95
        assert np.mean(same_as[labels[~both & (labels >= 0)]] == -1) > 0.9


@pytest.mark.parametrize(
    ("labels", "size", "message"),
    [
        (None, 32, "no labels.npy beside the embeddings"),
        ([0, 0, 1, -1], 32, "2 labelled people; at least 3"),
        ([0, 1, 2, 3], 8, "embeddings of length 8, the clustered ones of 32"),
    ],
)
def test_bad_labelled_faces_are_one_line(labels, size, message, planted, tmp_path, capsys):
    folder, _, _ = planted
    other = tmp_path / "other"
    other.mkdir()
    save_embeddings(other, np.eye(4, size, dtype=np.float32), labels=None if labels is None else np.array(labels))
    words = ["pseudolabel", "--clusters", folder / "clusters.npy", "--embeddings", folder, "--labelled", other]
    assert run("clustering", COMMANDS, [*map(str, words), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_lfw_people_are_found(real):
    embeddings, names = real("lfw112")
    random = np.random.default_rng(0)
    people, sizes = np.unique(names, return_counts=True)
    chosen = random.permutation(people[sizes >= 4])[: round(0.3 * np.count_nonzero(sizes >= 4))]
    both = np.isin(names, chosen)
    order = np.lexsort((random.random(len(names)), names))
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names)) - np.searchsorted(names[order], names[order])
    known = both & (place < (sizes[np.searchsorted(people, names)] + 1) // 2)
    faces = np.ascontiguousarray(embeddings[~known])
    single = np.full(len(faces), -1)
    found = find_labelled_people(faces, single, LabelledFaces(embeddings[known], names[known]), 0.01)
    right = found.person == names[~known]
    assert np.isin(chosen, names[~known][right]).mean() >= 0.95
    assert np.mean(found.person[~both[~known]] >= 0) < 0.03


def test_same_result_whatever_the_clusters_are_called(planted):
    folder, embeddings, person = planted
    KnnGraph.build(embeddings, 3)
    first = find_labelled_people(embeddings, person, labelled(folder), 0.01).person
    renamed = np.unique(-person, return_inverse=True)[1]
    np.testing.assert_array_equal(find_labelled_people(embeddings, renamed, labelled(folder), 0.01).person, first)
