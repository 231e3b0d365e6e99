"""clean as a command: its files, its page, and a set that a person has looked through."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clustering.__main__ import COMMANDS
from clustering.commands.clean import clean
from clustering.review.decision_files import load_decisions
from clustering.review.decisions import labels_hash
from facerec.commands.thumbnails import thumbnails
from facerec.pipeline.command_line import run
from facerec.pipeline.embeddings import save_embeddings
from facerec.pipeline.files import InputError, read_json, write_json, write_lines
from facerec.pipeline.label_files import load_keys, refuse_other_order


@pytest.fixture
def noisy(tmp_path, blobs):
    """Labels 0 to 29: 0 and 1 are under 0, 2 is under 2 and 40; of 5 two faces are under 6."""
    embeddings, people = blobs(identities=30, faces=8, dimension=32, spread=0.7)
    labels = np.where(people == 1, 0, people)
    labels[16:19], labels[40:42] = 40, 6
    (tmp_path / "emb").mkdir()
    save_embeddings(tmp_path / "emb", embeddings, [f"{row:03d}.png" for row in range(240)], labels)
    return tmp_path / "emb"


def test_what_it_writes(noisy, tmp_path, caplog, read_csv):
    with caplog.at_level("INFO"):
        out = clean(noisy, tmp_path / "out", strays="move")
    assert (
        "240 faces under 30 labels: 2 strays (2 of people in the set), 1 label of several people, 1 pair" in caplog.text
    )
    found = [row for row in read_csv(out / "findings.csv") if row["found"]]
    assert [(row["kind"], row["label"], row["other"], row["faces"], row["row"]) for row in found[:2]] == [
        ("merged", "0", "41", "8", ""), ("split", "2", "40", "3", ""),
    ]  # fmt: skip
    assert sorted((row["row"], row["key"], row["label"], row["other"]) for row in found[2:]) == [
        ("40", "040.png", "6", "5"), ("41", "041.png", "6", "5"),
    ]  # fmt: skip
    labels = np.load(out / "labels.npy")
    assert labels[40:42].tolist() == [5, 5]
    assert len(set(labels[:8])) == len(set(labels[8:16])) == 1
    assert labels[0] != labels[8]
    assert set(labels[16:24]) == {labels[19]}
    assert np.load(out / "confidence.npy")[40] < 0.5 < np.load(out / "confidence.npy")[100]


def test_only_errors_of_the_least_probability_are_corrected_and_the_seed_is_of_the_examples(noisy, tmp_path, read_csv):
    outs = [clean(noisy, tmp_path / name, min_probability=least, seed=seed)
            for name, least, seed in (("a", 0.5, 0), ("b", 1, 0), ("c", 0.5, 1))]  # fmt: skip
    half, all_sure, other = (read_csv(out / "findings.csv") for out in outs)
    assert {row["kind"] for row in half if row["found"]} == {"merged", "split", "stray"}
    assert all((row["found"] == "yes") == (float(row["probability"]) >= 0.5) for row in half)
    np.testing.assert_array_equal(np.load(outs[1] / "labels.npy"), np.load(noisy / "labels.npy"))
    assert {row["kind"] for row in all_sure} == {"split", "stray"}
    assert not any(row["found"] for row in all_sure)
    assert {row["probability"] for row in half} != {row["probability"] for row in other}
    with pytest.raises(InputError, match="seed: -1; expected a number at least 0"):
        clean(noisy, tmp_path / "out", seed=-1)
    with pytest.raises(InputError, match="min_probability is 1.5"):
        clean(noisy, tmp_path / "d", min_probability=1.5)


def test_the_proposals_fit_the_labels_and_are_carried_out(noisy, tmp_path):
    out = clean(noisy, tmp_path / "out")
    known = np.load(noisy / "labels.npy")
    found = load_decisions(out / "decisions.json", known)
    assert (list(found.split), found.merge) == ([0], [[2, 40]])
    assert {cluster: faces.tolist() for cluster, faces in found.exclude.items()} == {6: [40, 41]}
    again = clean(noisy, tmp_path / "again", decisions=out / "decisions.json")
    np.testing.assert_array_equal(np.load(again / "labels.npy"), np.load(out / "labels.npy"))
    names = [f"{row:03d}.png" for row in range(240)]
    assert load_keys(out / "keys.txt") == load_keys(again / "keys.txt") == names  # by which train knows the faces
    write_lines(noisy / "keys.txt", [*names[1:], "new.png"])  # a picture removed, another one added: the same labels
    with pytest.raises(InputError, match="decisions about other faces"):
        clean(noisy, tmp_path / "later", decisions=out / "decisions.json")


def test_what_to_look_at_is_there(noisy, tmp_path, caplog):
    caplog.set_level("INFO")
    out, again = tmp_path / "out", tmp_path / "again"
    assert run("python -m clustering", COMMANDS, ["clean", "--embeddings", str(noisy), "--out", str(out)]) == 0
    assert "next: look at its findings.csv, then train with python -m facerec train" in caplog.text
    words = ["clean", "--embeddings", str(noisy), "--decisions", str(out / "decisions.json"), "--out", str(again)]
    assert run("python -m clustering", COMMANDS, words) == 0
    assert f"next: train with python -m facerec train --faces FACES --labels {again}/labels.npy" in caplog.text


def test_labels_of_one_name_become_one_and_faces_in_another_order_are_refused(noisy, tmp_path, caplog):
    caplog.set_level("INFO")
    known = np.load(noisy / "labels.npy")
    known[0] = 77  # a label of one face
    np.save(noisy / "labels.npy", known)
    named = [{"action": "name", "cluster": cluster, "name": "Anna"} for cluster in (3, 9)]
    write_json(tmp_path / "named.json", {"clustering": labels_hash(known), "decisions": named})
    out = clean(noisy, tmp_path / "out", decisions=tmp_path / "named.json")
    np.testing.assert_array_equal(np.load(out / "labels.npy"), np.where(known == 9, 3, known))
    assert "8 of 240 faces have another label" in caplog.text
    keys = load_keys(noisy / "keys.txt")
    refuse_other_order(out, tmp_path, keys)
    with pytest.raises(InputError, match="face '000.png' is in row 0 there, but in row 239"):
        refuse_other_order(out, tmp_path, keys[::-1])


def test_labels_in_another_order_than_the_faces_are_said(noisy, tmp_path, caplog):
    clean(noisy, tmp_path / "right")
    assert "no more alike" not in caplog.text
    np.save(tmp_path / "other.npy", np.random.default_rng(0).permutation(np.load(noisy / "labels.npy")))
    clean(noisy, tmp_path / "out", labels=tmp_path / "other.npy")
    assert f"{tmp_path}/other.npy: faces of one label are no more alike than faces of two" in caplog.text


def test_the_page_opens_with_the_proposals(noisy, tmp_path):
    import cv2

    (tmp_path / "faces").mkdir()
    for row in range(240):
        cv2.imwrite(str(tmp_path / "faces" / f"{row:03d}.png"), np.full((16, 16, 3), row, np.uint8))
    small = thumbnails(tmp_path / "faces", tmp_path / "thumbs", size=16)
    out = clean(noisy, tmp_path / "out", labels=noisy / "labels.npy", thumbnails=small)
    text = (out / "page" / "data.js").read_text()
    content = json.loads(text.removeprefix("window.REVIEW = ").rstrip().removesuffix(";"))
    inputs = f"--embeddings {noisy} --labels {noisy / 'labels.npy'}"
    assert f"clustering clean {inputs} --decisions decisions.json --out cleaned" in content["commands"][0]
    assert content["proposed"] == read_json(out / "decisions.json")["decisions"]
    assert [item["action"] for item in content["proposed"]] == ["split", "exclude_faces", "merge"]


NOT_WITH_DECISIONS = [{"strays": "move"}, {"thumbnails": Path("thumbs")}, {"min_probability": 0.9}]


@pytest.mark.parametrize("options", NOT_WITH_DECISIONS, ids=[next(iter(each)) for each in NOT_WITH_DECISIONS])
def test_decisions_are_applied_alone(noisy, tmp_path, options):
    decisions = clean(noisy, tmp_path / "out") / "decisions.json"
    (tmp_path / "thumbs").mkdir()
    paths = {name: tmp_path / each if isinstance(each, Path) else each for name, each in options.items()}
    with pytest.raises(InputError, match="--decisions with --thumbnails, --strays move or --min-probability"):
        clean(noisy, tmp_path / "again", decisions=decisions, **paths)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(240, np.int64), "1 label\\(s\\) with readable faces; at least two are needed"),
        (np.arange(240), "no label has two readable faces"),
        (np.append(np.arange(239) % 9, 2**31), "number labels from 0, below 2\\^30"),
        (np.zeros(3, np.int64), "3 labels for 240 rows"),
    ],
)
def test_unusable_labels_are_refused(noisy, tmp_path, labels, message):
    np.save(tmp_path / "labels.npy", labels)
    with pytest.raises(InputError, match=message):
        clean(noisy, tmp_path / "out", labels=tmp_path / "labels.npy")
