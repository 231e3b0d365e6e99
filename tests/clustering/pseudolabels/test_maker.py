"""The rules on pseudo-labels, by hand, on made-up faces, and as a command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.__main__ import COMMANDS
from clustering.commands.pseudolabel import pseudolabel
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from clustering.pseudolabels import rules as r
from clustering.pseudolabels.rules import Evidence, PseudoLabelRule, apply, linked, modes
from clustering.review.decisions import labels_hash
from clustering.similarity.centres import belonging, centres, nearest, other_centre
from clustering.similarity.likeness import Likeness
from eval.clusters import scores
from facerec.pipeline.command_line import run
from facerec.pipeline.embeddings import normalize, save_embeddings
from facerec.pipeline.files import InputError


def command(*arguments: object) -> int:
    return run("clustering", COMMANDS, [str(argument) for argument in arguments])


def evidence(embeddings: np.ndarray, k: int = 10) -> Evidence:
    return Evidence(np.ones(len(embeddings), np.float32), KnnGraph.build(embeddings, k))


def only_labels(labels: list[int], confidence: list[float] | None = None) -> tuple[np.ndarray, Evidence]:
    given_confidence = np.ones(len(labels)) if confidence is None else np.array(confidence)
    return np.array(labels), Evidence(given_confidence.astype(np.float32))


def belonging_slowly(embeddings: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> list[float]:
    found = []
    for i, label in enumerate(labels):
        others = [weights[j] * embeddings[j] for j in range(len(labels)) if j != i and labels[j] == label >= 0]
        mean = np.sum(others, axis=0) if others else np.zeros(embeddings.shape[1])
        length = np.linalg.norm(mean)
        found.append(float(embeddings[i] @ mean / length) if length > 1e-3 else None)
    return found


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 30), seed=st.integers(0, 999), clusters=st.integers(1, 6))
def test_belonging_equals_the_slow_one(n, seed, clusters):
    random = np.random.default_rng(seed)
    embeddings = normalize(random.normal(size=(n, 4)))
    labels = consecutive(random.integers(-1, clusters, n))
    weights = random.random(n).astype(np.float32) + 0.1
    found = belonging(embeddings, labels, weights)
    for value, expected in zip(found, belonging_slowly(embeddings, labels, weights), strict=True):
        if expected is not None:
            assert value == pytest.approx(expected, abs=2e-3)


def test_centres_by_hand():
    embeddings = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], np.float32)
    found, tightness, sizes = centres(embeddings, np.array([0, 0, 1, -1]))
    root = np.sqrt(0.5)
    np.testing.assert_allclose(found, [[root, root], [1, 0]], atol=1e-6)
    np.testing.assert_allclose(tightness, [root, 1], atol=1e-6)
    np.testing.assert_array_equal(sizes, [2, 1])
    np.testing.assert_allclose(other_centre(embeddings, np.array([0, 0, 1, -1]), np.arange(4)), [1, 0, root, root],
                               atol=1e-6)  # fmt: skip
    assert other_centre(embeddings, np.zeros(4, np.int64), np.array([2])).tolist() == [-1]


def test_nearest_finds_at_most_all():
    ids, cosines = nearest(np.eye(2, dtype=np.float32), np.array([[0, 1]], np.float32), 5)
    assert ids.tolist() == [[0], [0]]
    assert cosines.tolist() == [[0], [1]]


def test_threshold_is_the_smallest_that_few_enough_reach():
    likeness = Likeness(np.array([0.9]), np.arange(10) / 10, 20)
    assert np.count_nonzero(likeness.other >= likeness.threshold(0.2)) == 2
    assert likeness.threshold(0.2) == pytest.approx(0.7, abs=1e-6)
    assert likeness.threshold(0) > 0.9
    assert likeness.threshold(1) == pytest.approx(0, abs=1e-6)
    assert likeness.threshold(0.2, 40) == likeness.threshold(0.1)  # twice as many people
    assert likeness.threshold(0.2, 10) == likeness.threshold(0.2)
    assert Likeness(np.zeros(0), np.zeros(0), 0).threshold(0.05) == -1


def test_mirroring_forgets_the_upper_half():
    likeness = Likeness(np.zeros(1), np.array([0.1, 0.2, 0.3, 0.9, 0.95]), 5).mirrored()
    np.testing.assert_allclose(np.sort(likeness.other), [0.1, 0.2, 0.3, 0.3, 0.4, 0.5])


def test_probability_is_calibrated_whatever_the_share():
    random = np.random.default_rng(0)
    likeness = Likeness(random.normal(0.7, 0.1, 500), random.normal(0.4, 0.1, 900), 9)
    for share in (0.2, 0.9):
        own = random.random(4000) < share
        found = likeness.probability(np.where(own, random.normal(0.7, 0.1, 4000), random.normal(0.4, 0.1, 4000)))
        assert found.mean() == pytest.approx(share, abs=0.03)
        assert found[(found > 0.6) & (found < 0.9)].mean() == pytest.approx(own[(found > 0.6) & (found < 0.9)].mean(),
                                                                           abs=0.1)  # fmt: skip
    np.testing.assert_array_equal(Likeness(np.zeros(0), np.zeros(3), 1).probability(np.zeros(2)), [1, 1])
    assert len(likeness.probability(np.zeros(0))) == 0


def test_sizes_and_confidence_by_hand():
    labels, given_evidence = only_labels([0, 0, 1, 2, 2, 2, -1], [1, 0.2, 1, 1, 1, 0.3, 0])
    np.testing.assert_array_equal(r.min_size(labels, given_evidence, 2), [0, 0, -1, 1, 1, 1, -1])
    np.testing.assert_array_equal(r.max_size(labels, given_evidence, 2), [0, 0, 1, -1, -1, -1, -1])
    np.testing.assert_array_equal(r.confident(labels, given_evidence, 0.3), [0, -1, 1, 2, 2, 2, -1])


def test_modes_settle_in_one_of_two_identities():
    embeddings = np.repeat(np.eye(2, dtype=np.float32), [6, 4], axis=0)
    found = modes(embeddings, np.zeros(10, np.int64))
    assert found[:6].min() > 0.99
    assert found[6:].max() < 0.2


def test_linked_by_hand():
    neighbors = np.array([[1, 2], [0, 3], [3, 0], [2, 1], [5, 0], [4, 0]], np.int32)
    graph = KnnGraph(np.eye(6, dtype=np.float32), neighbors, np.ones((6, 2), np.float32))
    labels = np.array([0, 0, 1, 1, 2, 2])
    # 0 and 1: of 8 edges 4 lead across, as by chance 2 of 3 would. 1 and 2 have none. 0 and 2: 2 of 6.
    left, right = np.array([0, 1, 0]), np.array([1, 2, 2])
    assert [bool(linked(graph, labels, left[i : i + 1], right[i : i + 1])[0]) for i in range(3)] == [True, False, True]
    assert r.LINKED * 2 / 3 < 2 / 6


def test_split_parts_two_identities_and_keeps_one_whole(blobs):
    embeddings, truth = blobs(identities=4, faces=12, spread=0.5)
    mixed = np.array([0, 0, 1, 2])[truth]
    found = r.split(mixed, evidence(embeddings), 0.6)
    assert scores(truth, found)["bcubed_f"] == 1
    np.testing.assert_array_equal(r.split(truth, evidence(embeddings), 0.6), truth)


def test_merge_joins_pieces_of_one_identity_and_not_two(blobs):
    embeddings, truth = blobs(identities=4, faces=12, spread=0.5)
    pieces = consecutive(truth * 12 + np.arange(48) % 3)
    np.testing.assert_array_equal(r.merge(pieces, evidence(embeddings), 0.6), truth)
    np.testing.assert_array_equal(r.merge(truth, evidence(embeddings), 0.6), truth)


def test_merge_leaves_single_faces_alone():
    embeddings = normalize(np.array([[1, 0], [1, 0.01], [1, 0.02], [1, 0.03]]))
    found = r.merge(np.array([0, 0, 1, 2]), evidence(embeddings, 3), 0.5)
    np.testing.assert_array_equal(found, [0, 0, 1, 2])


def test_outliers_go_and_single_faces_stay():
    embeddings = normalize(np.array([[1, 0], [1, 0.1], [1, -0.1], [0, 1], [0, -1]]))
    found = r.outliers(np.array([0, 0, 0, 0, 1]), evidence(embeddings, 2), 0.5)
    np.testing.assert_array_equal(found, [0, 0, 0, -1, 1])


def test_duplicates_keep_the_first_of_a_cluster():
    embeddings = normalize(np.array([[1, 0], [1, 1e-3], [0, 1], [1, 2e-3], [1, 3e-3]]))
    found = r.duplicates(np.array([0, 0, 0, 0, 1]), evidence(embeddings, 4), 0.98)
    np.testing.assert_array_equal(found, [0, -1, 0, -1, 1])


RULES = [(r.split, 0.5), (r.merge, 0.5), (r.outliers, 0.5), (r.duplicates, 0.9), (r.min_size, 2), (r.max_size, 5)]


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 40), seed=st.integers(0, 999), clusters=st.integers(1, 8))
def test_rules_unassign_or_rename_and_invent_nothing(n, seed, clusters):
    random = np.random.default_rng(seed)
    embeddings = normalize(random.normal(size=(n, 3)))
    embeddings[random.random(n) < 0.1] = 0
    labels = consecutive(np.where(embeddings.any(axis=1), random.integers(-1, clusters, n), -1))
    before = labels.copy()
    for rule, threshold in RULES:
        found = rule(labels, evidence(embeddings, 5), threshold)
        np.testing.assert_array_equal(labels, before)
        np.testing.assert_array_equal(found, consecutive(found))
        assert np.all(found[labels < 0] == -1)
        if rule in (r.split, r.merge):
            np.testing.assert_array_equal(found >= 0, labels >= 0)


def test_every_rule_says_what_it_did():
    labels, given_evidence = only_labels([0, 0, 1, 2, 2, 2, -1])
    truth = np.array([5, 5, 6, 7, 7, 8, -1])
    found, records = apply(
        [PseudoLabelRule(r.max_size, 2), PseudoLabelRule(r.min_size, 2)], labels, given_evidence, truth
    )
    np.testing.assert_array_equal(found, [0, 0, -1, -1, -1, -1, -1])
    assert records[0] | {"purity": None, "pairwise_f": None, "bcubed_f": None} == {
        "rule": "max_size", "why": "Drops clusters of more faces, as mixtures. Threshold: 2", "kept": 3, "dropped": 3,
        "clusters": [3, 2], "purity": None, "pairwise_f": None, "bcubed_f": None,
    }  # fmt: skip
    assert records[0]["purity"] == pytest.approx([5 / 6, 1])
    assert records[1]["dropped"] == 1


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


def test_what_a_person_decided_comes_before_the_rules(mixed):
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


def test_rules_can_be_chosen_and_left_out(mixed):
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
    assert Likeness(np.array([0.1, 0.2, 0.3]), np.zeros(0), 0).losing(0.5) == pytest.approx(0.2)
    assert Likeness(np.zeros(0), np.zeros(0), 0).losing(0.5) == 1


def test_summary_of_sizes_by_hand(tmp_path):
    np.save(tmp_path / "labels.npy", np.array([4, 4, -1, 0, 2, 2, 2, 9]))
    out = pseudolabel(tmp_path / "labels.npy", tmp_path / "out", min_size=2)
    summary = json.loads((out / "summary.json").read_text())
    np.testing.assert_array_equal(np.load(out / "labels.npy"), [0, 0, -1, -1, 1, 1, 1, -1])
    assert summary["dropped"] == {"unassigned": 1, "min_size": 2}
    assert (summary["used"], summary["clusters"], summary["weights"]) == (5, 2, "confidence")
    assert (summary["sizes"]["0"], summary["sizes"]["1"]) == (2, 3)


def test_min_confidence_drops_before_sizes_count(tmp_path):
    np.save(tmp_path / "labels.npy", np.array([0, 0, 1, 1]))
    np.save(tmp_path / "confidence.npy", np.array([0.9, 0.4, 0.8, 0.5], np.float32))
    out = pseudolabel(tmp_path, tmp_path / "out", min_confidence=0.5)
    np.testing.assert_array_equal(np.load(out / "labels.npy"), [-1, -1, 0, 0])


BAD = [
    ("--min-size 0", "min_size is 0"),
    ("--max-size 1", "max_size is 1; it must be a number from 2"),
    ("--min-confidence 2", "min_confidence is 2.0; it must be a number from 0 to 1"),
    ("--rules [split]", "split: nothing to measure on; give the faces' embeddings with --embeddings"),
    ("--duplicates 0.98", "--duplicates: nothing to measure on"),
    ("--labelled {e}", "--labelled: nothing to measure on"),
    ("--embeddings {e} --rules [divide]", "a rule is 'divide'; it must be one of split, merge, outliers"),
    ("--embeddings {e} --overlap forget", "overlap is 'forget'; it must be one of drop, merge, keep"),
    ("--embeddings {e} --false-match 5", "false_match is 5.0"),
    ("--embeddings {t}/few.npy", "3 embeddings for 216 faces"),
    ("--embeddings {t}/nan.npy", "NaN or infinite values"),
    ("--embeddings {e} --knn {t}/none", "no such file"),
    ("--embeddings {e} --calibration {e}/embeddings.npy", "embeddings of length 32 without labels.npy"),
    ("--embeddings {e} --calibration {t}/narrow", "embeddings of length 2 with labels.npy; expected labelled ones of"),
    ("--embeddings {e} --calibration {t}/one", "fewer than two people"),
    ("--truth {t}/few_labels.npy", "3 labels for 216 rows"),
    ("--min-size 400", "no cluster of at least 400 faces (largest 24)"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_input_is_one_line_and_leaves_nothing(options, message, mixed, tmp_path, capsys):
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


def test_rules_without_a_graph_say_what_is_missing():
    with pytest.raises(InputError, match="no embeddings; give --embeddings"):
        r.split(np.zeros(3, np.int64), Evidence(np.ones(3, np.float32)), 0.5)
