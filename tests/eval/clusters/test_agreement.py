import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import normalized_mutual_info_score
from sklearn.metrics.cluster import pair_confusion_matrix

from eval.clusters import details, scores
from eval.commands.clusters import clusters
from facerec.pipeline.files import InputError

KEYS = {
    "pairwise_f", "pairwise_precision", "pairwise_recall", "bcubed_f", "bcubed_precision", "bcubed_recall",
    "nmi", "purity", "identities_found", "identities_whole", "fragmentation", "merging", "clusters",
    "identities", "faces", "assigned",
}  # fmt: skip
labellings = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        arrays(np.int64, n, elements=st.integers(-1, 3)).filter(lambda truth: truth.max() >= 0),
        arrays(np.int64, n, elements=st.integers(-1, 4)),
    )
)


def share(part, whole):
    return part / whole if whole else 1.0


def harmonic(p, r):
    return 2 * p * r / (p + r) if p + r else 0.0


def as_lists(truth, predicted):
    """Faces of known identity; every -1 a cluster of its own."""
    faces = [
        (t, p if p >= 0 else f"alone {i}") for i, (t, p) in enumerate(zip(truth, predicted, strict=True)) if t >= 0
    ]
    return [t for t, _ in faces], [p for _, p in faces]


def slow_pairwise(truth, predicted):
    same_both = same_cluster = same_identity = 0
    for i, j in itertools.combinations(range(len(truth)), 2):
        same_cluster += predicted[i] == predicted[j]
        same_identity += truth[i] == truth[j]
        same_both += predicted[i] == predicted[j] and truth[i] == truth[j]
    precision, recall = share(same_both, same_cluster), share(same_both, same_identity)
    return harmonic(precision, recall), precision, recall


def slow_bcubed(truth, predicted):
    precision = recall = 0.0
    for t, p in zip(truth, predicted, strict=True):
        both = sum(t == u and p == q for u, q in zip(truth, predicted, strict=True))
        precision += both / predicted.count(p) / len(truth)
        recall += both / truth.count(t) / len(truth)
    return harmonic(precision, recall), precision, recall


def test_oracles_by_hand():
    truth, predicted = [0, 0, 1, 1], [0, 0, 0, 1]  # pairs: 3 in a cluster, 2 of an identity, 1 both
    assert slow_pairwise(truth, predicted) == pytest.approx((0.4, 1 / 3, 1 / 2))
    assert slow_bcubed(truth, predicted) == pytest.approx((12 / 17, (2 / 3 + 2 / 3 + 1 / 3 + 1) / 4, 3 / 4))


@settings(max_examples=60, deadline=None)
@given(labellings)
def test_scores_agree_with_oracles_and_scikit_learn(labelling):
    truth, predicted = as_lists(*labelling)
    found = scores(*labelling)
    assert found.keys() == KEYS
    for name, slow in [("pairwise", slow_pairwise), ("bcubed", slow_bcubed)]:
        expected = slow(truth, predicted)
        assert tuple(found[f"{name}_{part}"] for part in ("f", "precision", "recall")) == pytest.approx(expected)
    codes = [sorted(set(map(str, predicted))).index(str(p)) for p in predicted]
    assert found["nmi"] == pytest.approx(normalized_mutual_info_score(truth, codes), abs=1e-9)
    assert (found["faces"], found["identities"]) == (len(truth), len(set(truth)))
    named = [(t, p) for t, p in zip(truth, predicted, strict=True) if not isinstance(p, str)]
    assert (found["assigned"], found["clusters"]) == (len(named), len({p for _, p in named}))
    majority = sum(max(named.count((t, p)) for t in set(truth)) for p in {p for _, p in named})
    assert found["purity"] == pytest.approx(majority / len(named) if named else 0.0)


def test_pairwise_agrees_with_pair_confusion_matrix():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 40, 2000), rng.integers(0, 50, 2000)
    (_, wrong), (missed, right) = pair_confusion_matrix(truth, predicted)
    found = scores(truth, predicted)
    assert found["pairwise_precision"] == pytest.approx(right / (right + wrong))
    assert found["pairwise_recall"] == pytest.approx(right / (right + missed))


@settings(max_examples=30, deadline=None)
@given(labellings, st.randoms())
def test_order_and_names_do_not_matter(labelling, random):
    truth, predicted = labelling
    order = list(range(len(truth)))
    random.shuffle(order)
    renamed = np.where(predicted >= 0, 1000 - 7 * predicted, -1)
    assert scores(truth[order], renamed[order]) == pytest.approx(scores(truth, predicted))


def test_all_alone_and_all_right():
    alone = scores(np.array([0, 0, 1]), np.full(3, -1))
    assert (alone["pairwise_f"], alone["pairwise_precision"], alone["purity"], alone["clusters"]) == (0, 1, 0, 0)
    right = scores(np.array([5, 5, 9]), np.array([0, 0, -1]))
    assert right["pairwise_f"] == right["bcubed_f"] == right["purity"] == 1
    assert right["nmi"] == pytest.approx(1)


def test_counts_of_ten_million_faces_do_not_overflow():
    found = scores(np.zeros(200_000, dtype=np.int64), np.zeros(200_000, dtype=np.int64))
    assert found["pairwise_f"] == found["nmi"] == 1


def test_command_prints_a_table_and_writes_json(tmp_path, capsys):
    np.save(tmp_path / "truth.npy", np.array([0, 0, 1, 1, -1]))
    (tmp_path / "clusters").mkdir()
    np.save(tmp_path / "clusters" / "labels.npy", np.array([0, 0, 0, 1, 1]))
    clusters(tmp_path / "truth.npy", tmp_path / "clusters", tmp_path / "new" / "scores.json")
    written = json.loads((tmp_path / "new" / "scores.json").read_text())
    assert written.pop("sizes") == [[1, 1, 0, 1], [2, 2, 2, 0], [3, 4, 0, 1]]
    assert written.keys() == KEYS
    assert written["pairwise_f"] == pytest.approx(0.4)
    printed = capsys.readouterr().out
    assert "pairwise     0.4000     0.3333   0.5000" in printed
    assert "2 clusters for 2 identities; 4 of 4 faces assigned" in printed


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        (np.array([0, 1]), np.array([0, 1, 1]), "3 cluster labels, but .* has 2 identities"),
        (np.array([-1, -1]), np.array([0, 1]), "every identity is -1"),
        (np.array([0, -2]), np.array([0, 1]), "label -2 in row 1"),
        (np.array([0.0, np.nan]), np.array([0, 1]), "expected integers"),
        (np.array([], dtype=np.int64), np.array([0]), "empty array"),
        (np.array([0]), None, "no such file"),
    ],
)
def test_unusable_labels_are_refused(tmp_path, truth, predicted, message):
    np.save(tmp_path / "truth.npy", truth)
    if predicted is not None:
        np.save(tmp_path / "predicted.npy", predicted)
    with pytest.raises(InputError, match=message):
        clusters(tmp_path / "truth.npy", tmp_path / "predicted.npy", tmp_path / "scores.json")
    assert not (tmp_path / "scores.json").exists()


def test_clusters_of_faces_in_another_order_are_refused(tmp_path):
    for name, keys in (("truth", "a\nb\n"), ("clusters", "b\na\n")):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "labels.npy", np.array([0, 1]))
        (tmp_path / name / "keys.txt").write_text(keys)
    with pytest.raises(InputError, match=r"truth: face 'a' is in row 0 there, but in row 1 of .*clusters"):
        clusters(tmp_path / "truth", tmp_path / "clusters")
    (tmp_path / "people.csv").write_text("file,person\na,ann\nb,bob\n")
    for truth in ("people.csv", "people.csv:person"):
        with pytest.raises(InputError, match=r"people.csv.*: face 'a' is in row 0 there, but in row 1 of .*clusters"):
            clusters(tmp_path / truth, tmp_path / "clusters")
    (tmp_path / "people.csv").write_text("file,person\nb,bob\na,ann\n")
    clusters(tmp_path / "people.csv", tmp_path / "clusters")
    image_id = {"celeba.csv": "set,image_id,person\nx,a,ann\nx,b,bob\n", "once.csv": "person,image_id\nann,a\nbob,b\n"}
    for name, text in image_id.items():  # not one of the usual names
        (tmp_path / name).write_text(text)
        for truth in (name, f"{name}:person"):
            with pytest.raises(InputError, match=rf"{name}.*: face 'a' is in row 0 there, but in row 1 of .*clusters"):
                clusters(tmp_path / truth, tmp_path / "clusters")


def test_json_onto_a_folder_is_refused(tmp_path):
    np.save(tmp_path / "labels.npy", np.array([0, 1]))
    with pytest.raises(InputError, match="wants a file name"):
        clusters(tmp_path / "labels.npy", tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([0, 1], [0, 1, 1], r"clusters are int64 of shape \[3\] for 2 faces"),
        ([-1, -1], [0, 1], "every identity is -1"),
        ([0.0, 1.0], [0, 1], r"identities are float64 of shape \[2\]; expected integers"),
        ([[0], [0, 1]], [0, 1], "identities: no array of numbers"),
        (np.full(2, 1 << 63, np.uint64), [0, 1], "identities: 9223372036854775808 is larger than int64 can hold"),
        ([0, 1], [0, np.nan], r"clusters are float64 of shape \[2\] for 2 faces"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(truth, predicted, message):
    for figures in (scores, details):
        with pytest.raises(InputError, match=message):
            figures(truth, predicted)


def test_lists_and_read_only_arrays_will_do():
    truth = np.array([0, 0, 1, 1], np.int16)
    truth.flags.writeable = False
    assert scores(truth, [0, 0, 0, 1]) == scores([0, 0, 1, 1], np.array([0, 0, 0, 1], np.uint8))


def test_edges_of_the_figures():
    assert scores([1, 2], [-1, -1])["merging"] == 0  # there is no cluster
    assert scores([1, 1, 2, 2, 3], [0, 0, 0, -1, -1])["merging"] == 2  # of the one cluster
    sizes = np.repeat(np.arange(5), [2, 3, 4, 5, 6])
    assert scores(sizes, sizes)["nmi"] == 1  # the quotient is 1.0000000000000002
    many = np.zeros(70_000, np.int64)  # whose square does not fit into int32
    assert scores(many, many)["bcubed_f"] == 1
