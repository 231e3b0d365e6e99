"""Embeddings that are not those of the clusters: refused where that is known, doubted where it shows."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from clustering.commands.ask import ask
from clustering.commands.assign import assign
from clustering.commands.cluster import cluster
from clustering.commands.compare import compare
from clustering.commands.cut import cut
from clustering.commands.estimate import estimate
from clustering.commands.pseudolabel import pseudolabel
from clustering.commands.review import review
from clustering.commands.train import train
from clustering.commands.tune import tune
from clustering.hierarchy import Hierarchy
from clustering.similarity.same_faces import PAIRS, check_faces, save_cosines, say_if_strangers, share_of_likelier_pairs
from clustering.similarity.same_recogniser import check_model
from facerec.pipeline.embeddings import EmbeddingSet, load_embeddings, save_embeddings
from facerec.pipeline.files import InputError, write_json, write_lines


def faces_of(embeddings: np.ndarray, path: Path = Path("faces")) -> EmbeddingSet:
    return EmbeddingSet(embeddings, None, None, path)


@pytest.fixture
def folders(tmp_path, blobs) -> tuple[Path, np.ndarray, np.ndarray]:
    """Embeddings, the same in other clothes, others of the same number, and clusters of the first."""
    embeddings, labels = blobs(identities=20, faces=8, dimension=32, spread=0.5)
    other = np.random.default_rng(0).permutation(len(labels))
    for name, rows in (("faces", embeddings), ("reordered", embeddings[other])):
        (tmp_path / name).mkdir()
        save_embeddings(tmp_path / name, rows)
    np.save(tmp_path / "half.npy", (7 * embeddings).astype(np.float16))
    np.save(tmp_path / "labels.npy", labels)
    cluster("finch", tmp_path / "faces", tmp_path / "clusters")
    return tmp_path, embeddings, labels


def test_the_same_embeddings_are_known_in_any_file_type_and_length(folders):
    folder, embeddings, _ = folders
    labels = np.load(folder / "clusters" / "labels.npy")
    noted = np.load(folder / "clusters" / "cosines.npy")
    one, other = np.random.default_rng(0).integers(len(labels), size=(2, PAIRS))
    np.testing.assert_allclose(noted, np.sum(embeddings[one] * embeddings[other], axis=1), atol=1e-6)
    for name in ("faces", "faces/embeddings.npy", "half.npy"):
        check_faces(folder / "clusters", labels, load_embeddings(folder / name))
    turned = embeddings @ np.linalg.qr(np.random.default_rng(1).normal(size=(32, 32)))[0].astype(np.float32)
    check_faces(folder / "clusters", labels, faces_of(turned))


def test_other_embeddings_are_refused_by_every_command(folders):
    folder, _, labels = folders
    clusters, wrong, pictures = folder / "clusters", folder / "reordered", folder / "pictures"
    pictures.mkdir()
    jpeg = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    (pictures / "images.bin").write_bytes(jpeg * len(labels))
    (pictures / "keys.txt").write_text("".join(f"{row}\n" for row in range(len(labels))))
    np.save(pictures / "offsets.npy", len(jpeg) * np.arange(len(labels) + 1))
    for call in (
        lambda out: estimate(wrong, clusters, out),
        lambda out: review(clusters, wrong, pictures, out),
        lambda out: review(folder / "labels.npy", wrong, pictures, out, hierarchy=clusters),
        lambda out: pseudolabel(clusters, out, embeddings=wrong),
        lambda out: assign(clusters, wrong, folder / "faces", out),
        lambda out: cut(clusters, 0, out, embeddings=wrong),
        lambda out: pseudolabel(cut(clusters, 0, folder / "cut"), out, embeddings=wrong),
        lambda out: pseudolabel(
            assign(clusters, folder / "faces", folder / "faces", folder / "assigned"), out, embeddings=wrong
        ),
    ):
        with pytest.raises(
            InputError, match=r"clusters of other embeddings than .*reordered \(rows \d+ and \d+"
        ) as found:
            call(folder / "out")
        assert len(str(found.value)) < 500
        assert not (folder / "out").exists()
    pseudolabel(clusters, folder / "out", embeddings=folder / "faces")


def test_faces_in_another_order_are_refused_where_both_sides_name_them(folders):
    """Clusters that compare makes have names and no cosines; a few faces in another place do not show in them."""
    folder, embeddings, labels = folders
    order = np.r_[0:140, 150:160, 140:150]
    for name, rows in (("named", np.arange(160)), ("moved", order)):
        (folder / name).mkdir()
        save_embeddings(folder / name, embeddings[rows], [f"{row}.jpg" for row in rows])
    clusters = folder / "compared"
    clusters.mkdir()
    np.save(clusters / "labels.npy", labels)
    shutil.copy(folder / "named" / "keys.txt", clusters)
    for name, command in (
        ("assigned", lambda faces, out: assign(clusters, faces, folder / "faces", out)),
        ("pseudo", lambda faces, out: pseudolabel(clusters, out, embeddings=faces)),
        ("asked", lambda faces, out: ask(clusters, faces, out)),
    ):
        assert command(folder / "named", folder / name).is_dir()
        with pytest.raises(InputError, match="compared: face '140.jpg' is in row 140 there, but in row 150 of"):
            command(folder / "moved", folder / f"{name}_moved")


def test_damaged_cosines_are_refused(folders):
    folder, embeddings, labels = folders
    clusters = folder / "clusters"
    for noted, message in ((np.ones(3, np.float32), "3 values, expected 256"), (np.full(PAIRS, np.nan), "nan there")):
        np.save(clusters / "cosines.npy", noted)
        with pytest.raises(InputError, match=message):
            check_faces(clusters, labels, faces_of(embeddings))


def test_of_bare_labels_what_shows_is_said(folders, caplog):
    folder, embeddings, labels = folders
    file = folder / "labels.npy"
    with caplog.at_level(logging.WARNING):
        check_faces(file, labels, faces_of(embeddings))
        check_faces(file, np.full(len(labels), -1), faces_of(embeddings))
        check_faces(file, np.arange(len(labels)), faces_of(embeddings))
        assert caplog.messages == []
        check_faces(file, labels, load_embeddings(folder / "reordered"))
    (said,) = caplog.messages
    assert "faces of one label are no more alike than faces of two" in said
    assert "reordered, in its order?" in said


def test_share_of_draws_by_hand():
    """Two clusters at right angles: always; of equal rows: half; beside one's own opposite: in a quarter, by ties."""
    axes = np.repeat(np.eye(2, dtype=np.float32), 30, axis=0)
    labels = np.repeat([4, 9], 30)
    assert share_of_likelier_pairs(labels, faces_of(axes)) == 1
    assert share_of_likelier_pairs(labels, faces_of(np.ones_like(axes))) == 0.5
    assert share_of_likelier_pairs(np.tile([0, 1], 30), faces_of(axes)) == pytest.approx(0.5, abs=0.15)
    opposite = np.tile(np.float32([[1, 0], [-1, 0]]), (30, 1))
    assert share_of_likelier_pairs(np.repeat(np.arange(30), 2), faces_of(opposite)) == pytest.approx(0.25, abs=0.1)
    assert share_of_likelier_pairs(labels[:30], faces_of(axes[:30])) is None
    assert share_of_likelier_pairs(np.full(60, -1), faces_of(axes)) is None


def test_levels_of_other_faces_are_refused(folders):
    folder, _, _ = folders
    clusters = shutil.copytree(folder / "clusters", folder / "mixed")
    Hierarchy.load(clusters)
    file = clusters / "levels" / "01" / "labels.npy"
    labels = np.load(file)
    np.save(file, np.roll(labels, 3))
    with pytest.raises(InputError, match=r"levels.01: face \d+ is in cluster \d+, others of its cluster"):
        Hierarchy.load(clusters)


@pytest.mark.parametrize(
    "command",
    [
        lambda folder: assign(folder / "clusters", folder / "faces", folder / "theirs", folder / "out"),
        lambda folder: pseudolabel(
            folder / "clusters", folder / "out", embeddings=folder / "faces", labelled=folder / "theirs", overlap="keep"
        ),
    ],
)
def test_commands_on_two_sets_say_if_two_recognisers_made_them(folders, caplog, command):
    folder, embeddings, labels = folders
    (folder / "theirs").mkdir()
    save_embeddings(folder / "theirs", embeddings, labels=labels)
    for name in ("faces", "theirs"):
        write_json(folder / name / "meta.json", {"inputs": {"model": {"path": name, "hash": name}}})
    command(folder)
    assert "if these are two recognisers" in caplog.text


def test_a_model_of_another_recogniser_is_said(tmp_path, blobs, caplog):
    embeddings, labels = blobs(identities=20, faces=6)
    for name, model in (("labelled", "teacher"), ("same", "teacher"), ("other", "student"), ("bare", None)):
        (tmp_path / name).mkdir()
        save_embeddings(tmp_path / name, embeddings, labels=labels)
        if model is not None:
            write_json(tmp_path / name / "meta.json", {"inputs": {"model": {"path": model, "hash": model}}})
    tuned = tune("dbscan", tmp_path / "labelled", tmp_path / "tuned", trials=1)
    unknown = tune("dbscan", tmp_path / "bare", tmp_path / "unknown", trials=1)
    trained = train("lander", tmp_path / "labelled", tmp_path / "trained", settings={"epochs": 1, "simulated": 0})
    for model, name in ((tuned, "same"), (tuned, "bare"), (unknown, "other"), (tmp_path, "other")):
        check_model(model, load_embeddings(tmp_path / name))
    cluster("dbscan", tmp_path / "same", tmp_path / "clusters", model=tuned)
    check_model(tmp_path / "clusters", load_embeddings(tmp_path / "other"))  # its model is no recogniser
    assert "learned from" not in caplog.text
    check_model(trained, load_embeddings(tmp_path / "other"))
    assert "trained: learned from faces embedded by teacher, but " in caplog.text
    caplog.clear()
    cluster("dbscan", tmp_path / "other", tmp_path / "clusters2", model=tuned)
    assert "tuned: learned from faces embedded by teacher, but " in caplog.text
    assert "other is embedded by student; what is right for one recogniser may be wrong for another" in caplog.text
    caplog.clear()
    compare(tmp_path / "other", tmp_path / "compared", backends=["dbscan"], tune_on=tmp_path / "labelled", trials=1)
    assert "labelled: learned from faces embedded by teacher, but " in caplog.text


def test_zero_rows_and_few_rows(tmp_path, caplog):
    rows = np.zeros((2, 4), np.float32)
    save_cosines(rows, tmp_path)
    check_faces(tmp_path, np.zeros(2, np.int64), faces_of(rows))
    assert not caplog.text
    with pytest.raises(InputError, match="clusters of other embeddings than faces"):
        check_faces(tmp_path, np.zeros(2, np.int64), faces_of(np.eye(2, 4, dtype=np.float32)))


def test_draws_leave_out_who_is_unreadable_or_unassigned_and_may_be_too_few():
    faces = np.repeat(np.eye(3, dtype=np.float32), [30, 30, 30], axis=0)
    labels = np.repeat([0, 1, -1], 30)
    faces[60:] = faces[:60:2]  # of both clusters, and of none
    mixed = np.vstack([faces, np.zeros((30, 3), np.float32)])
    assert share_of_likelier_pairs(np.append(labels, [0, 1] * 15), faces_of(mixed)) == 1
    assert share_of_likelier_pairs(np.zeros(90, np.int64), faces_of(faces)) is None  # there is no other cluster
    assert share_of_likelier_pairs(labels[10:50], faces_of(faces[10:50])) is None  # 40 draws


def test_slightly_other_embeddings_are_refused(tmp_path):
    random = np.random.default_rng(0)
    faces = random.normal(size=(40, 16)).astype(np.float32)
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    save_cosines(faces, tmp_path)
    other = faces + 0.02 * random.normal(size=faces.shape).astype(np.float32)
    with pytest.raises(InputError, match="clusters of other embeddings than faces"):
        check_faces(tmp_path, np.zeros(40, np.int64), faces_of(other))


def test_answers_about_other_faces_of_the_same_names_are_said(folders, caplog):
    folder, _, _ = folders
    keys = [f"{row:09d}.jpg" for row in range(160)]  # as the faces of any .rec are called
    pairs = [[keys[row], keys[row + 1]] for row in range(0, 160, 8)]  # two of each identity
    write_json(folder / "answers.json", {"answers": [{"faces": pair, "answer": "same"} for pair in pairs]})
    for name, said in (("faces", False), ("reordered", True)):
        write_lines(folder / name / "keys.txt", keys)
        cluster("finch", folder / name, folder / f"{name}_again", answers=folder / "answers.json")
        assert ("faces of the same person, by their names, are no more alike than any two" in caplog.text) == said


def test_answers_by_rows_of_faces_in_another_order_are_said(folders, caplog):
    folder, _, labels = folders
    pairs = np.stack([np.arange(0, 160, 8), np.arange(1, 160, 8)], axis=1)  # two of each identity
    answers = {"answers": [{"faces": pair, "answer": "same"} for pair in pairs.tolist()]}
    write_json(folder / "answers.json", answers)
    cluster("finch", folder / "faces", folder / "again", answers=folder / "answers.json")
    assert "no more alike" not in caplog.text
    moved = cluster("finch", folder / "reordered", folder / "moved", answers=folder / "answers.json")
    assert "answers.json: faces of the same person, by their rows, are no more alike than any two" in caplog.text
    caplog.clear()
    ask(moved, folder / "reordered", folder / "asked", answers=folder / "answers.json", count=1)
    assert "answers.json: faces of the same person, by their rows" in caplog.text
    caplog.clear()
    say_if_strangers(folder, pairs[:9], faces_of(np.eye(len(labels), dtype=np.float32)))  # too few to tell
    assert not caplog.text
