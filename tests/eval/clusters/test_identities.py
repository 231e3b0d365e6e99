import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eval.clusters import scores
from eval.clusters.contingency import contingency
from eval.clusters.identities import details, worst_clusters
from eval.commands.clusters import clusters
from facerec.pipeline.files import InputError

labellings = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        arrays(np.int64, n, elements=st.integers(-1, 4)).filter(lambda truth: truth.max() >= 0),
        arrays(np.int64, n, elements=st.integers(-1, 4)),
    )
)


def groups(truth, predicted):
    """Faces by identity and by cluster; an unassigned face is a cluster named by itself, last."""
    rows = [i for i in range(len(truth)) if truth[i] >= 0]
    name = {i: (0, int(predicted[i])) if predicted[i] >= 0 else (1, i) for i in rows}
    identities = {t: [i for i in rows if truth[i] == t] for t in sorted({int(truth[i]) for i in rows})}
    found = {c: [i for i in rows if name[i] == c] for c in sorted(set(name.values()))}
    return identities, found


@settings(max_examples=80, deadline=None)
@given(labellings)
def test_everything_agrees_with_slow_counting(labelling):
    truth, predicted = labelling
    identities, found = groups(truth, predicted)
    figures, detail = scores(truth, predicted), details(truth, predicted)
    whole = good = 0
    splits, merges = [], []
    for faces in identities.values():
        shares = {c: len(set(faces) & set(members)) for c, members in found.items()}
        whole += any(10 * n >= 9 * len(faces) for n in shares.values())
        good += any(10 * n >= 9 * len(faces) and 10 * n >= 9 * len(found[c]) for c, n in shares.items())
        splits.append(sum(n > 0 for n in shares.values()) - 1)
        main = max(shares, key=lambda c: shares[c])  # the first of equal ones
        merges.append(len({int(truth[i]) for i in found[main]}) - 1)
    assert figures["identities_whole"] == pytest.approx(whole / len(identities))
    assert figures["identities_found"] == pytest.approx(good / len(identities))
    assert figures["fragmentation"] == pytest.approx(1 + np.mean(splits))
    assert detail["splits"] == np.bincount(splits).tolist()
    assert detail["merges"] == np.bincount(merges).tolist()
    named = {c: members for c, members in found.items() if c[0] == 0}
    mixed = [len({int(truth[i]) for i in members}) for members in named.values()]
    assert figures["merging"] == pytest.approx(np.mean(mixed) if mixed else 0)
    for low, high, true, clustered in detail["sizes"]:
        assert true == sum(low <= len(faces) <= high for faces in identities.values())
        assert clustered == sum(low <= len(members) <= high for members in named.values())
    wrong = sorted((len(m) - max(np.bincount(truth[m])) for m in named.values()), reverse=True)
    assert [worst["wrong"] for worst in detail["worst_clusters"]] == [n for n in wrong if n > 0]
    for worst in detail["worst_clusters"]:
        members = named[0, worst["cluster"]]
        assert (worst["faces"], worst["identities"]) == (len(members), len({int(truth[i]) for i in members}))


def test_nearly_is_at_least_nine_tenths():
    truth = np.repeat([0, 1], [10, 90])
    inside = np.r_[np.zeros(9), 1, np.zeros(1), np.ones(89)].astype(
        int
    )  # cluster 0: 9 of its ten faces, 9 of 10 its own
    assert scores(truth, inside)["identities_found"] == 1
    inside[8] = 1
    assert scores(truth, inside)["identities_found"] == 0.5


def test_labels_far_apart_and_of_any_type_are_counted_alike():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 9, 200), rng.integers(-1, 9, 200)
    far = np.where(predicted >= 0, 10**12 + 10**9 * predicted, -1)
    near = scores(truth, predicted)
    assert scores(truth.astype(np.int32), far) == near
    assert scores((10**15 + truth), predicted.astype(np.int8)) == near
    assert worst_clusters(contingency(truth, far))[0]["cluster"] >= 10**12


def test_the_command_writes_the_detail(tmp_path):
    np.save(tmp_path / "truth.npy", np.array([0, 0, 1, 1, -1]))
    np.save(tmp_path / "found.npy", np.array([0, 0, 0, 1, 1]))
    clusters(tmp_path / "truth.npy", tmp_path / "found.npy", detail=tmp_path / "detail.json")
    detail = json.loads((tmp_path / "detail.json").read_text())
    assert detail["splits"] == [1, 1]
    assert detail["merges"] == [0, 2]
    assert detail["worst_clusters"][0] == {
        "cluster": 0,
        "faces": 3,
        "wrong": 1,
        "identities": 2,
        "largest": [[0, 2], [1, 1]],
    }
    with pytest.raises(InputError, match="a folder; --detail wants a file name"):
        clusters(tmp_path / "truth.npy", tmp_path / "found.npy", detail=tmp_path)


def test_figures_are_not_written_over_an_input_or_each_other(tmp_path):
    truth, found = tmp_path / "truth.npy", tmp_path / "found.npy"
    for file in (truth, found):
        np.save(file, np.array([0, 0, 1]))
    with pytest.raises(InputError, match="truth.npy: there already, and no JSON by its name; give --json a name"):
        clusters(truth, found, json=truth)
    with pytest.raises(InputError, match="both --json and --detail would write it"):
        clusters(truth, found, json=tmp_path / "x.json", detail=tmp_path / "x.json")
    assert np.load(truth).tolist() == [0, 0, 1]


def test_clusters_compared_with_themselves_are_told(tmp_path, caplog):
    np.save(tmp_path / "truth.npy", np.array([0, 0, 1]))
    np.save(tmp_path / "found.npy", np.array([0, 0, 1]))
    clusters(tmp_path / "truth.npy", tmp_path / "found.npy")
    assert not caplog.messages
    (tmp_path / "again.npy").symlink_to("truth.npy")
    clusters(tmp_path / "truth.npy", tmp_path / "again.npy")
    assert "--truth and --predicted are the same" in caplog.text


def test_equally_bad_clusters_come_in_order_and_five_identities_are_listed():
    truth, predicted = np.tile([0, 0, 1, 2, 3, 4, 5, 0, 0, 0, 1, 2, 3], 20), np.repeat(np.arange(40), [7, 6] * 20)
    found = worst_clusters(contingency(truth, predicted))
    assert [each["cluster"] for each in found] == list(range(0, 40, 2))
    assert (found[0]["wrong"], found[0]["identities"], len(found[0]["largest"])) == (5, 6, 5)
