"""The command ``pseudolabel``: what it writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clustering.answers.file import keys_hash
from clustering.commands.cluster import cluster
from clustering.commands.pseudolabel import pseudolabel
from clustering.review.decisions import labels_hash
from eval.clusters import scores
from facerec.pipeline.embeddings import save_embeddings, save_names
from facerec.pipeline.files import InputError


@pytest.fixture
def mixed(tmp_path, blobs) -> tuple[Path, np.ndarray]:
    """A folder with embeddings, and clusters of them in which every third identity is with its neighbour."""
    embeddings, truth = blobs(identities=18, faces=12, dimension=32, spread=0.55)
    np.save(tmp_path / "clusters.npy", np.where(truth % 3 == 2, truth - 1, truth))
    np.save(tmp_path / "truth.npy", truth)
    save_embeddings(tmp_path, embeddings, labels=truth)
    return tmp_path, truth


def test_default_rules_mend_clusters_and_nothing_that_is_whole(mixed):
    folder, truth = mixed
    out = pseudolabel(folder / "clusters.npy", folder / "out", embeddings=folder / "embeddings.npy",
                      truth=folder / "truth.npy")  # fmt: skip
    labels, summary = np.load(out / "labels.npy"), json.loads((out / "summary.json").read_text())
    used = labels >= 0
    assert used.mean() > 0.9
    assert scores(truth[used], labels[used])["purity"] > 0.99
    assert [record["rule"] for record in summary["rules"]] == ["split", "merge", "outliers", "min_size"]
    assert summary["rules"][0]["purity"][0] == pytest.approx(2 / 3)
    assert summary["weights"] == "similarity"
    weights = np.load(out / "weights.npy")
    assert weights.dtype == np.float32
    assert weights[used].mean() > 0.9
    assert np.all(weights[~used] == 0)
    whole = pseudolabel(folder / "truth.npy", folder / "whole", embeddings=folder / "embeddings.npy",
                        calibration=folder)  # fmt: skip
    kept = np.load(whole / "labels.npy")
    np.testing.assert_array_equal(kept[kept >= 0], truth[kept >= 0])
    assert np.mean(kept >= 0) > 0.9


def test_decisions_about_other_faces_of_the_same_labels_are_refused(tmp_path):
    labels = np.repeat(np.arange(3), 4)
    keys = [f"{row}.jpg" for row in range(12)]
    drop = [{"action": "exclude_faces", "cluster": 0, "faces": [0]}]
    content = {"clustering": labels_hash(labels), "faces": keys_hash(keys), "decisions": drop}
    (tmp_path / "decisions.json").write_text(json.dumps(content))
    save_names(tmp_path, ["new.jpg", *keys[1:]], labels)
    for clusters in (tmp_path, tmp_path / "labels.npy"):
        with pytest.raises(InputError, match="decisions about other faces"):
            pseudolabel(clusters, tmp_path / "out", decisions=tmp_path / "decisions.json")


def test_what_a_person_decided_comes_before_the_rules(mixed, command):
    folder, truth = mixed
    clusters = np.load(folder / "clusters.npy")
    (folder / "decisions.json").write_text(json.dumps({
        "clustering": labels_hash(clusters),
        "decisions": [{"action": "keep", "cluster": 1}, {"action": "drop", "cluster": 0}],
    }))  # fmt: skip
    out = pseudolabel(folder / "clusters.npy", folder / "out", embeddings=folder / "embeddings.npy",
                      decisions=folder / "decisions.json")  # fmt: skip
    labels, weights = np.load(out / "labels.npy"), np.load(out / "weights.npy")
    assert np.all(labels[truth == 0] == -1)
    assert len(np.unique(labels[clusters == 1])) == 1  # two identities, but kept
    np.testing.assert_array_equal(weights[clusters == 1], 1)
    assert labels[clusters == 1][0] not in labels[clusters != 1]
    others = (truth > 2) & (labels >= 0)
    assert scores(truth[others], labels[others])["purity"] > 0.99
    np.save(folder / "others.npy", clusters[::-1])
    assert command("pseudolabel", "--clusters", folder / "others.npy", "--decisions", folder / "decisions.json",
                   "--out", folder / "none") == 2  # fmt: skip


def decided(folder: Path, *decisions: dict) -> Path:
    clusters = np.load(folder / "clusters.npy")
    file = folder / "decisions.json"
    file.write_text(json.dumps({"clustering": labels_hash(clusters), "decisions": list(decisions)}))
    return file


def test_dropped_faces_of_labelled_people_are_not_merged(mixed):
    folder, _ = mixed
    clusters = np.load(folder / "clusters.npy")
    decisions = decided(folder, {"action": "drop", "cluster": 0}, {"action": "keep", "cluster": 3})
    out = pseudolabel(folder / "clusters.npy", folder / "out", embeddings=folder / "embeddings.npy",
                      decisions=decisions, labelled=folder, overlap="merge")  # fmt: skip
    labels = np.load(out / "labels.npy")
    assert np.all(labels[clusters == 0] == -1)
    assert np.all(labels[clusters == 3] >= 0)


@pytest.mark.parametrize(
    ("decision", "others", "one"),
    [
        ({"action": "keep", "cluster": 0}, [{"action": "merge", "clusters": [0, 3]}], [0, 3]),
        ({"action": "merge", "clusters": [0, 3]}, [], [0, 3]),
        ({"action": "name", "cluster": 0, "name": "Anna"}, [{"action": "name", "cluster": 3, "name": "Anna"}], [0, 3]),
    ],
)
def test_clusters_that_a_person_joined_stay_one(decision, others, one, mixed):
    folder, truth = mixed
    decisions = decided(folder, decision, *others)
    out = pseudolabel(folder / "clusters.npy", folder / "out", embeddings=folder, decisions=decisions)
    labels = np.load(out / "labels.npy")
    joined = labels[np.isin(truth, one)]
    assert len(np.unique(joined[joined >= 0])) == 1
    assert not np.isin(joined[joined >= 0], labels[~np.isin(truth, one)]).any()


@pytest.mark.parametrize(
    "decisions",
    [
        [{"action": "split", "cluster": 0, "parts": [[0, 2, 4, 6, 8, 10]]}],
        [{"action": "apart", "clusters": [0, 20]}],
        [{"action": "name", "cluster": 0, "name": "Anna"}, {"action": "name", "cluster": 20, "name": "Ben"}],
    ],
)
def test_clusters_that_a_person_told_apart_stay_apart(decisions, mixed):
    folder, truth = mixed
    clusters = np.load(folder / "clusters.npy")
    if decisions[0]["action"] != "split":
        clusters[:12:2] = 20
        np.save(folder / "clusters.npy", clusters)
    half = np.arange(len(truth)) % 2 == 0
    decisions = decided(folder, *decisions)
    out = pseudolabel(folder / "clusters.npy", folder / "out", embeddings=folder, decisions=decisions)
    labels = np.load(out / "labels.npy")
    assert not np.isin(labels[(truth == 0) & half], labels[(truth == 0) & ~half]).any()
    np.save(folder / "apart.npy", np.where((truth == 0) & half, 20, np.load(folder / "clusters.npy")))
    out = pseudolabel(folder / "apart.npy", folder / "without", embeddings=folder)
    assert len(np.unique(np.load(out / "labels.npy")[truth == 0])) == 1  # what the rules do without a decision


def test_parts_that_were_split_off_are_sure(tmp_path):
    np.save(tmp_path / "labels.npy", np.array([0, 0, 0, 0, 1, 1]))
    np.save(tmp_path / "clusters.npy", np.array([0, 0, 0, 0, 1, 1]))
    np.save(tmp_path / "confidence.npy", np.array([0.9, 0.8, 0.1, 0.2, 0.9, 0.2], np.float32))
    decisions = decided(tmp_path, {"action": "split", "cluster": 0, "parts": [[2, 3]]})
    out = pseudolabel(tmp_path, tmp_path / "out", min_confidence=0.5, min_size=1, decisions=decisions)
    assert np.load(out / "labels.npy").tolist() == [0, 0, 1, 1, 2, -1]
    np.testing.assert_allclose(np.load(out / "weights.npy"), [0.9, 0.8, 1, 1, 0.9, 0])


def test_answers_that_clusters_were_made_with_hold(tmp_path, blobs):
    embeddings, _ = blobs(identities=12, faces=10, dimension=32, spread=0.5)
    keys = [f"{row}.jpg" for row in range(120)]
    save_embeddings(tmp_path, embeddings, keys)
    same, different = [(0, 10), (1, 15), (20, 33)], [(40, 41), (50, 54)]
    (tmp_path / "answers.json").write_text(json.dumps({"answers": [
        {"faces": [keys[a], keys[b]], "answer": word}
        for word, pairs in (("same", same), ("different", different)) for a, b in pairs
    ]}))  # fmt: skip
    clusters = cluster("components", tmp_path, tmp_path / "clusters", answers=tmp_path / "answers.json",
                       set=["min_similarity=.6"])  # fmt: skip
    out = pseudolabel(clusters, tmp_path / "out", embeddings=tmp_path)
    labels = np.load(out / "labels.npy")
    assert all(labels[a] == labels[b] >= 0 for a, b in same)
    assert all(labels[a] != labels[b] or labels[a] < 0 for a, b in different)
    alone = pseudolabel(clusters / "labels.npy", tmp_path / "alone", embeddings=tmp_path)
    np.testing.assert_array_equal(np.load(alone / "labels.npy"), labels)
    (clusters / "answers.json").unlink()
    without = np.load(pseudolabel(clusters, tmp_path / "none", embeddings=tmp_path) / "labels.npy")
    assert any(without[a] != without[b] for a, b in same)
    assert any(without[a] == without[b] >= 0 for a, b in different)


def test_decisions_take_back_earlier_answers(tmp_path, blobs, caplog):
    embeddings, _ = blobs(identities=4, faces=10, dimension=32, spread=0.3)
    save_embeddings(tmp_path, embeddings)
    asked = [{"faces": [0, 5], "answer": "same"}, {"faces": [0, 12], "answer": "different"}]
    (tmp_path / "answers.json").write_text(json.dumps({"answers": asked}))
    clusters = cluster("components", tmp_path, tmp_path / "clusters", answers=tmp_path / "answers.json",
                       set=["min_similarity=.6"])  # fmt: skip
    np.save(tmp_path / "clusters.npy", np.load(clusters / "labels.npy"))
    merged = [{"action": "merge", "clusters": [0, 1]}]
    for name, decisions in (("parted", [{"action": "split", "cluster": 0, "parts": [[5, 6]]}]), ("merged", merged)):
        caplog.clear()
        out = pseudolabel(clusters, tmp_path / name, embeddings=tmp_path, decisions=decided(tmp_path, *decisions))
        labels = np.load(out / "labels.npy")
        assert (labels[0] == labels[5], labels[0] == labels[12]) == (name == "merged", name == "merged")
        assert "answers.json: decisions take back 1 answer" in caplog.text


def test_rules_that_win_over_a_person_say_so(mixed, caplog):
    folder, _ = mixed
    decisions = decided(folder, {"action": "keep", "cluster": 0})
    pseudolabel(folder / "clusters.npy", folder / "out", embeddings=folder, decisions=decisions, rules=[],
                min_size=13)  # fmt: skip
    assert "12 faces that a person kept, or answered 'same' about, are dropped by rules: min_size 12" in caplog.text


def test_rules_can_be_chosen_and_left_out(mixed, command):
    folder, truth = mixed
    np.save(folder / "confidence.npy", np.linspace(0, 1, len(truth), dtype=np.float32))
    assert command("pseudolabel", "--clusters", folder / "clusters.npy", "--embeddings", folder, "--rules", "[split]",
                   "--out", folder / "one") == 0  # fmt: skip
    assert [x["rule"] for x in json.loads((folder / "one" / "summary.json").read_text())["rules"]] == [
        "split",
        "min_size",
    ]
    assert command("pseudolabel", "--clusters", folder / "clusters.npy", "--embeddings", folder, "--rules", "[]",
                   "--duplicates", 0.999, "--max-size", 12, "--out", folder / "none") == 0  # fmt: skip
    labels = np.load(folder / "none" / "labels.npy")
    np.testing.assert_array_equal(labels >= 0, truth % 3 == 0)


def test_weak_embeddings_lose_no_more_than_stated(tmp_path, blobs):
    embeddings, truth = blobs(identities=30, faces=10, dimension=16, spread=1.2)
    save_embeddings(tmp_path, embeddings, labels=truth)
    for name, options, most in (("calibrated", {"calibration": tmp_path}, 0.3), ("estimated", {}, 0.5)):
        out = pseudolabel(tmp_path / "labels.npy", tmp_path / name, rules=["outliers"], embeddings=tmp_path, **options)
        records = json.loads((out / "summary.json").read_text())["rules"]
        assert 0 < records[0]["dropped"] <= (most + 0.1) * len(truth)  # the mean moves between its two passes


def test_summary_of_sizes_by_hand(tmp_path):
    np.save(tmp_path / "labels.npy", np.array([4, 4, -1, 0, 2, 2, 2, 9]))
    out = pseudolabel(tmp_path / "labels.npy", tmp_path / "out", min_size=2)
    summary = json.loads((out / "summary.json").read_text())
    np.testing.assert_array_equal(np.load(out / "labels.npy"), [0, 0, -1, -1, 1, 1, 1, -1])
    assert summary["dropped"] == {"unassigned": 1, "min_size": 2}
    assert (summary["used"], summary["clusters"], summary["weights"]) == (5, 2, "confidence")
    assert (summary["sizes"]["0"], summary["sizes"]["1"]) == (2, 3)


def test_labels_may_be_any_numbers(tmp_path):
    np.save(tmp_path / "labels.npy", np.array([10**12, -1, 10**12, 7, 7, 7, 3]))
    out = pseudolabel(tmp_path / "labels.npy", tmp_path / "out")
    np.testing.assert_array_equal(np.load(out / "labels.npy"), [0, -1, 0, 1, 1, 1, -1])


def test_min_confidence_drops_before_sizes_count(tmp_path):
    np.save(tmp_path / "labels.npy", np.array([0, 0, 1, 1]))
    np.save(tmp_path / "confidence.npy", np.array([0.9, 0.4, 0.8, 0.5], np.float32))
    out = pseudolabel(tmp_path, tmp_path / "out", min_confidence=0.5)
    np.testing.assert_array_equal(np.load(out / "labels.npy"), [-1, -1, 0, 0])


WITHOUT_EFFECT = [
    ({"min_confidence": 0.9}, "--min-confidence has no effect: {clusters} has no confidence of its own"),
    ({"false_match": 0.01}, "--false-match has no effect: none of split, merge and outliers is used"),
    ({"overlap_false_match": 0.1}, "--overlap-false-match has no effect: there is no --labelled"),
]


@pytest.mark.parametrize(("options", "said"), WITHOUT_EFFECT, ids=[next(iter(each)) for each, _ in WITHOUT_EFFECT])
def test_shares_that_nothing_reads_are_said(mixed, tmp_path, caplog, options, said):
    folder, _ = mixed
    clusters = folder / "clusters.npy"
    plain = pseudolabel(clusters, tmp_path / "plain")
    assert "no effect" not in caplog.text
    out = pseudolabel(clusters, tmp_path / "out", **options)
    assert said.format(clusters=clusters) in caplog.text
    assert (out / "labels.npy").read_bytes() == (plain / "labels.npy").read_bytes()
    caplog.clear()
    rules = {"embeddings": folder, "rules": []}
    pseudolabel(clusters, tmp_path / "no_rules", **rules, **options)
    assert said.format(clusters=clusters) in caplog.text


def test_a_calibration_that_nothing_reads_is_said(mixed, tmp_path, caplog):
    folder, _ = mixed
    given = {"embeddings": folder, "calibration": folder}
    pseudolabel(folder / "clusters.npy", tmp_path / "rules", **given)
    pseudolabel(folder / "clusters.npy", tmp_path / "people", **given, rules=[], labelled=folder, overlap="keep")
    assert "no effect" not in caplog.text
    pseudolabel(folder / "clusters.npy", tmp_path / "unread", **given, rules=[])
    assert "--calibration has no effect: there is no --labelled, and none of" in caplog.text


def test_shares_that_are_read_are_not_said(mixed, tmp_path, caplog):
    folder, _ = mixed
    both = {"embeddings": folder, "labelled": folder, "overlap": "keep"}
    pseudolabel(folder / "clusters.npy", tmp_path / "out", **both, false_match=0.2, overlap_false_match=0.5)
    assert "no effect" not in caplog.text


BAD = [
    ("--min-size 0", "min_size is 0"),
    ("--max-size 1", "max_size is 1; it must be a number from 2"),
    ("--min-confidence 2", "min_confidence is 2.0; it must be a number from 0 to 1"),
    ("--rules [split]", "split: nothing to measure on; give the faces' embeddings with --embeddings"),
    ("--duplicates 0.98", "--duplicates: nothing to measure on"),
    ("--overlap merge", "overlap is 'merge', but no labelled faces are given, as labelled"),
    ("--labelled {e}", "--labelled: nothing to measure on"),
    ("--embeddings {e} --rules [divide]", "a rule is 'divide'; it must be one of split, merge, outliers"),
    ("--embeddings {e} --overlap forget", "overlap is 'forget'; it must be one of drop, merge, keep"),
    ("--embeddings {e} --false-match 5", "false_match is 5.0"),
    ("--embeddings {t}/few.npy", "3 embeddings for 216 faces"),
    ("--embeddings {t}/nan.npy", "NaN or infinite values"),
    ("--embeddings {e} --knn {t}/none", "no such file"),
    (
        "--embeddings {e} --calibration {e}/embeddings.npy",
        "no labels.npy beside the embeddings",
    ),
    ("--embeddings {e} --calibration {t}/narrow", "embeddings of length 2, the clustered ones of 32"),
    ("--embeddings {e} --calibration {t}/one", "1 labelled person; at least 2 are needed"),
    ("--truth {t}/few_labels.npy", "3 labels for 216 rows"),
    ("--min-size 400", "no cluster of at least 400 faces is left; the largest had 24"),
    (
        "--embeddings {e} --labelled {e} --overlap-false-match 1",
        "the largest had 24; faces that were dropped: overlap 216; ",
    ),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_input_is_one_line_and_leaves_nothing(options, message, mixed, capsys, command):
    folder, truth = mixed
    np.save(folder / "few.npy", np.eye(3, 32, dtype=np.float32))
    np.save(folder / "few_labels.npy", np.arange(3))
    np.save(folder / "nan.npy", np.full((len(truth), 2), np.nan, np.float32))
    for name, size, labels in [("narrow", 2, [0, 1]), ("one", 32, [4, 4])]:
        (folder / name).mkdir()
        save_embeddings(folder / name, np.eye(2, size, dtype=np.float32), labels=np.array(labels))
    words = [word.format(e=folder, t=folder) for word in options.split()]
    assert command("pseudolabel", "--clusters", folder / "clusters.npy", "--out", folder / "bad", *words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
    assert not (folder / "bad").exists()
    assert not (folder / "bad.partial").exists()


def test_labelled_faces_whose_labels_are_in_another_order_are_said(mixed, tmp_path, caplog):
    folder, truth = mixed
    (tmp_path / "people").mkdir()
    others = np.random.default_rng(0).permutation(truth)
    save_embeddings(tmp_path / "people", np.load(folder / "embeddings.npy"), labels=others)
    options = {"embeddings": folder / "embeddings.npy", "calibration": folder}
    pseudolabel(folder / "truth.npy", tmp_path / "right", **options, labelled=folder, overlap="keep")
    assert "no more alike" not in caplog.text
    pseudolabel(folder / "truth.npy", tmp_path / "wrong", **options, labelled=tmp_path / "people", overlap="keep")
    assert f"{tmp_path}/people: faces of one label are no more alike than faces of two" in caplog.text


def test_true_identities_in_another_order_than_the_embeddings_are_refused(mixed):
    folder, truth = mixed
    embeddings, keys = np.load(folder / "embeddings.npy"), [f"{row}.jpg" for row in range(len(truth))]
    for name, rows in (("named", slice(None)), ("moved", slice(None, None, -1))):
        (folder / name).mkdir()
        save_embeddings(folder / name, embeddings[rows], keys[rows], truth[rows])
    files = {"clusters": folder / "clusters.npy", "embeddings": folder / "named"}
    pseudolabel(**files, truth=folder / "named", out=folder / "right")
    with pytest.raises(InputError, match="moved: face .* is in row 0 there, but in row 215 of .*named"):
        pseudolabel(**files, truth=folder / "moved", out=folder / "wrong")
    with pytest.raises(InputError, match="moved: face .* is in row 0 there, but in row 215 of .*named"):
        pseudolabel(folder / "named", truth=folder / "moved", out=folder / "wrong")
