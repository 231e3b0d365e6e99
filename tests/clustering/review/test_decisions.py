"""Decisions of a person: what they do to labels, by hand and against a slow reading, and which files are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.answers.file import keys_hash
from clustering.review.decision_files import load_decisions
from clustering.review.decisions import (
    Decisions,
    apply_decisions,
    as_constraints,
    joined_by_name,
    kept_faces,
    labels_hash,
    names_of,
)
from facerec.pipeline.files import InputError

LABELS = np.array([0, 0, 1, 1, 1, 2, 2, -1, 3, 5, 5, 5])  # no cluster 4


def write(path, decisions, clustering=None):
    path.write_text(json.dumps({"clustering": clustering or labels_hash(LABELS), "decisions": decisions}))
    return path


def decide(path, *decisions) -> list[int]:
    return apply_decisions(LABELS, load_decisions(write(path / "decisions.json", list(decisions)), LABELS)).tolist()


def test_each_action_by_hand(tmp_path):
    same = LABELS.tolist()
    assert decide(tmp_path) == same
    assert decide(tmp_path, {"action": "keep", "cluster": 1}) == same
    assert decide(tmp_path, {"action": "apart", "clusters": [1, 2]}) == same
    assert decide(tmp_path, {"action": "drop", "cluster": 1}) == [0, 0, -1, -1, -1, 2, 2, -1, 3, 5, 5, 5]
    merged = decide(tmp_path, {"action": "merge", "clusters": [5, 3]}, {"action": "merge", "clusters": [2, 5]})
    assert merged == [0, 0, 1, 1, 1, 2, 2, -1, 2, 2, 2, 2]
    assert decide(tmp_path, {"action": "merge", "clusters": [2, 0]}) == [0, 0, 1, 1, 1, 0, 0, -1, 3, 5, 5, 5]
    split = decide(
        tmp_path,
        {"action": "split", "cluster": 5, "parts": [[11]]},
        {"action": "split", "cluster": 1, "parts": [[2], [4]]},
    )
    assert split == [0, 0, 6, 1, 7, 2, 2, -1, 3, 5, 5, 8]
    excluded = decide(
        tmp_path,
        {"action": "exclude_faces", "cluster": 5, "faces": [9]},
        {"action": "merge", "clusters": [0, 5]},
        {"action": "keep", "cluster": 0},
    )
    assert excluded == [0, 0, 1, 1, 1, 2, 2, -1, 3, -1, 0, 0]


def test_decisions_about_other_faces_of_the_same_labels_are_refused(tmp_path):
    keys = [f"{row}.jpg" for row in range(len(LABELS))]
    content = {"clustering": labels_hash(LABELS), "decisions": [], "faces": keys_hash(keys), "answers": []}
    (tmp_path / "decisions.json").write_text(json.dumps(content))
    for known in (keys, None):
        assert load_decisions(tmp_path / "decisions.json", LABELS, known) == Decisions()
    for other in (keys[::-1], [*keys[:-1], "new.jpg"]):
        with pytest.raises(InputError, match="decisions about other faces, or about these in another order"):
            load_decisions(tmp_path / "decisions.json", LABELS, other)


def test_clusters_of_large_numbers_take_no_more_time(tmp_path):
    labels = np.where(LABELS < 0, -1, LABELS * 10**12)
    decisions = [
        {"action": "merge", "clusters": [2 * 10**12, 10**12]},
        {"action": "drop", "cluster": 3 * 10**12},
        {"action": "apart", "clusters": [0, 10**12]},
        {"action": "split", "cluster": 5 * 10**12, "parts": [[9]]},
        {"action": "name", "cluster": 2 * 10**12, "name": "Anna"},
    ]
    found = load_decisions(write(tmp_path / "d.json", decisions, labels_hash(labels)), labels)
    wanted = np.array([0, 0, 1, 1, 1, 1, 1, -1, -1, 5, 5, 5]) * 10**12
    wanted[[7, 8, 9]] = -1, -1, 5 * 10**12 + 1
    assert apply_decisions(labels, found).tolist() == wanted.tolist()
    assert names_of(found) == {10**12: "Anna"}


def test_labels_stay_as_they_are(tmp_path):
    labels = LABELS.copy()
    labels.setflags(write=False)
    drop = load_decisions(write(tmp_path / "d.json", [{"action": "drop", "cluster": 0}]), labels)
    assert apply_decisions(labels, drop)[0] == -1
    assert labels[0] == 0


def test_names_go_with_what_becomes_of_clusters(tmp_path):
    decisions = [
        {"action": "name", "cluster": 5, "name": "Anna"}, {"action": "merge", "clusters": [5, 3]},
        {"action": "name", "cluster": 1, "name": "Ben"}, {"action": "drop", "cluster": 1},
        {"action": "name", "cluster": 0, "name": "Carla"},
    ]  # fmt: skip
    found = load_decisions(write(tmp_path / "d.json", decisions), LABELS)
    assert names_of(found) == {3: "Anna", 0: "Carla"}


def test_kept_faces(tmp_path):
    decisions = [
        {"action": "keep", "cluster": 1},
        {"action": "exclude_faces", "cluster": 1, "faces": [3]},
        {"action": "keep", "cluster": 5},
    ]
    found = kept_faces(LABELS, load_decisions(write(tmp_path / "d.json", decisions), LABELS))
    assert np.flatnonzero(found).tolist() == [2, 4, 9, 10, 11]
    assert not kept_faces(LABELS, Decisions()).any()


def test_decisions_as_answers_about_faces(tmp_path):
    likeness = np.array([0.1, 0.2, 0.9, 0.5, 0.6, 0.3, 0.3, 1, 0.5, 0.7, 0.8, 0.9])

    def answers(*decisions) -> tuple[list, list]:
        found = joined_by_name(load_decisions(write(tmp_path / "d.json", list(decisions)), LABELS))
        known = as_constraints(LABELS, found, likeness)
        return known.together.tolist(), known.apart.tolist()

    name = [{"action": "name", "cluster": cluster, "name": name} for cluster, name in ((0, "A"), (2, "A"), (3, "B"))]
    assert answers({"action": "keep", "cluster": 1}, {"action": "drop", "cluster": 0}) == ([], [])
    assert answers({"action": "merge", "clusters": [0, 2, 1]}) == ([[1, 5], [5, 2]], [])
    out = {"action": "exclude_faces", "cluster": 5, "faces": [11]}
    assert answers({"action": "apart", "clusters": [5, 0]}, out) == ([], [[10, 1]])
    apart = {"action": "apart", "clusters": [0, 1, 3]}
    assert answers(apart) == ([], [[1, 2], [1, 8], [2, 8]])
    empty = {"action": "exclude_faces", "cluster": 3, "faces": [8]}
    assert answers(apart, empty) == ([], [[1, 2]])
    assert answers({"action": "merge", "clusters": [0, 3, 1]}, empty) == ([[1, 2]], [])
    assert answers(*name, empty) == ([[1, 5]], [])
    none_left = [
        {"action": "split", "cluster": 2, "parts": [[5]]}, {"action": "exclude_faces", "cluster": 2, "faces": [6]}
    ]  # fmt: skip
    assert answers(*none_left) == ([], [])
    assert answers({"action": "split", "cluster": 5, "parts": [[11, 9]]}) == ([[11, 9]], [[11, 10]])
    assert answers(*name) == ([[1, 5]], [[5, 8]])
    assert answers(*name, {"action": "drop", "cluster": 2}) == ([], [[1, 8]])


def test_hash_is_that_of_the_values():
    assert labels_hash(np.array([0, 1], np.int32)) == labels_hash(np.array([0, 1], np.int64))
    assert labels_hash(np.array([0, 1])) != labels_hash(np.array([1, 0]))
    # sha256 of sixteen bytes: 0 and 1 as little-endian int64
    wanted = "9d34149fbd1fe777eb238799054c8cbfbce372255f219f8740838def9bfd02db"
    assert labels_hash(np.array([0, 1])) == wanted


def slow(labels: np.ndarray, decisions: Decisions) -> list[int]:
    """Face by face, as the module's docstring has it."""
    lowest = {c: c for c in labels.tolist()}
    for _ in range(len(lowest)):
        for group in decisions.merge:
            low = min(lowest[c] for c in group)
            lowest |= dict.fromkeys(group, low)
    number, new = max(labels.tolist()) + 1, {}
    for cluster in sorted(decisions.split):
        for part in decisions.split[cluster]:
            new |= dict.fromkeys(part.tolist(), number)
            number += 1
    out = {row for rows in decisions.exclude.values() for row in rows.tolist()}
    return [
        -1 if c < 0 or c in decisions.drop or row in out else new.get(row, lowest[c])
        for row, c in enumerate(labels.tolist())
    ]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_fast_is_slow(data):
    labels = np.array(data.draw(st.lists(st.integers(-1, 6), min_size=1, max_size=40)))
    clusters = sorted(set(labels.tolist()) - {-1})
    roles = {c: data.draw(st.sampled_from(["drop", "split", "merge", "out", "none"])) for c in clusters}
    split, exclude = {}, {}
    for c in clusters:
        rows = np.flatnonzero(labels == c)
        if roles[c] == "split" and len(rows) > 2:
            split[c] = [rows[:1], rows[1:2]]
        if roles[c] == "out":
            exclude[c] = rows[::2]
    joined = [c for c in clusters if roles[c] in ("merge", "out")]
    groups = []
    if len(joined) > 2:
        groups = data.draw(st.lists(st.lists(st.sampled_from(joined), min_size=2, max_size=3, unique=True), max_size=2))
    chosen = Decisions(drop={c for c in clusters if roles[c] == "drop"}, merge=groups, split=split, exclude=exclude)
    assert apply_decisions(labels, chosen).tolist() == slow(labels, chosen)


BAD = [
    ([{"action": "burn", "cluster": 1}], "decision 0: action 'burn'; there are keep, drop"),
    ([{"action": ["keep"], "cluster": 1}], r"decision 0: action \['keep'\]; there are"),
    (["keep"], "decision 0: action None"),
    ([{"action": "keep", "cluster": 1}, {"action": "keep"}], "decision 1: keep has nothing; expected cluster"),
    ([{"action": "keep", "cluster": 1, "why": 2}], "keep has cluster, why; expected cluster"),
    ([{"action": "keep", "cluster": 4}], "cluster 4 is unknown; there are 5"),
    ([{"action": "keep", "cluster": -1}], "cluster -1 is unknown"),
    ([{"action": "keep", "cluster": 99}], "cluster 99 is unknown"),
    ([{"action": "keep", "cluster": True}], "cluster True is unknown"),
    ([{"action": "keep", "cluster": 1.0}], "cluster 1.0 is unknown"),
    ([{"action": "keep", "cluster": 1}] * 2, "a second keep of cluster 1"),
    ([{"action": "merge", "clusters": [1]}], "expected at least 2, no two alike"),
    ([{"action": "merge", "clusters": [1, 1]}], "expected at least 2, no two alike"),
    ([{"action": "merge", "clusters": 1}], "clusters is 1; expected a list of whole numbers"),
    ([{"action": "merge", "clusters": [1, 9]}], "cluster 9 is unknown"),
    ([{"action": "apart", "clusters": [1, "2"]}], "expected a list of whole numbers"),
    ([{"action": "exclude_faces", "cluster": 1, "faces": []}], "expected at least 1"),
    ([{"action": "exclude_faces", "cluster": 1, "faces": [12]}], "faces 12 to 12; there are rows 0 to 11"),
    ([{"action": "exclude_faces", "cluster": 1, "faces": [-1]}], "faces -1 to -1; there are rows"),
    ([{"action": "exclude_faces", "cluster": 5, "faces": [9, -1]}], "faces -1 to 9; there are rows"),
    ([{"action": "exclude_faces", "cluster": 1, "faces": [10**30]}], "expected a list of whole numbers"),
    ([{"action": "exclude_faces", "cluster": 1, "faces": [2, 5]}], "face 5 is in cluster 2, not in 1"),
    ([{"action": "split", "cluster": 1, "parts": []}], "expected lists of rows"),
    ([{"action": "split", "cluster": 1, "parts": [[]]}], "expected at least 1"),
    ([{"action": "split", "cluster": 1, "parts": [[2], [2]]}], "parts of cluster 1 share faces"),
    ([{"action": "split", "cluster": 1, "parts": [[2], [3, 4]]}], "are all its faces; leave the largest part out"),
    ([{"action": "keep", "cluster": 1}, {"action": "drop", "cluster": 1}], "keep and drop of cluster 1"),
    ([{"action": "drop", "cluster": 1}, {"action": "merge", "clusters": [1, 2]}], "drop and merge of cluster 1"),
    (
        [{"action": "split", "cluster": 1, "parts": [[2]]}, {"action": "merge", "clusters": [1, 2]}],
        "split and merge of cluster 1",
    ),
    (
        [{"action": "drop", "cluster": 1}, {"action": "exclude_faces", "cluster": 1, "faces": [2]}],
        "drop and exclude_faces of cluster 1",
    ),
    (
        [{"action": "split", "cluster": 1, "parts": [[2]]}, {"action": "exclude_faces", "cluster": 1, "faces": [2]}],
        "face 2 is excluded and in a part of cluster 1",
    ),
    ([{"action": "name", "cluster": 1, "name": "a/b"}], "a name is 'a/b'; expected up to 100 printable"),
    ([{"action": "name", "cluster": 1, "name": ".."}], "that do not begin with a dot"),
    ([{"action": "name", "cluster": 1, "name": 7}], "a name is '7'"),
    ([{"action": "name", "cluster": 1, "name": "a\n"}], "a name is "),
    ([{"action": "name", "cluster": 1, "name": " a"}], "a name is ' a'; .*, and no blanks around them"),
    ([{"action": "name", "cluster": 1, "name": "x" * 101}], "expected up to 100"),
    (
        [
            {"action": "merge", "clusters": [1, 2]},
            {"action": "name", "cluster": 1, "name": "Anna"},
            {"action": "name", "cluster": 2, "name": "Ben"},
        ],
        "merged clusters have two names, 'Anna' and 'Ben'",
    ),
    (
        [
            {"action": "merge", "clusters": [1, 2]},
            {"action": "merge", "clusters": [2, 3]},
            {"action": "apart", "clusters": [1, 3]},
        ],
        "clusters 1 and 3 are apart, but merged, maybe through others",
    ),
    (
        [
            {"action": "name", "cluster": 1, "name": "Anna"},
            {"action": "name", "cluster": 3, "name": "Anna"},
            {"action": "apart", "clusters": [1, 3]},
        ],
        "clusters 1 and 3 are apart, but of one name, maybe through others",
    ),
]


@pytest.mark.parametrize(("decisions", "message"), BAD)
def test_bad_decisions_are_refused(decisions, message, tmp_path):
    path = write(tmp_path / "decisions.json", decisions)
    with pytest.raises(InputError, match=message) as caught:
        load_decisions(path, LABELS)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not readable as JSON"),
        ("[]", "not a file of decisions"),
        ('{"clustering": "x"}', "not a file of decisions"),
        ('{"clustering": "x", "decisions": [], "more": 1}', "not a file of decisions"),
        ('{"clustering": 7, "decisions": []}', "decisions about the clustering '7', but this one is"),
    ],
)
def test_bad_files_are_refused(text, message, tmp_path):
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(InputError, match=message):
        load_decisions(tmp_path / "d.json", LABELS)


def test_decisions_of_another_clustering_or_without_a_list_or_a_file(tmp_path):
    path = write(tmp_path / "d.json", [], labels_hash(LABELS[::-1]))
    with pytest.raises(InputError, match="give the clustering that was reviewed"):
        load_decisions(path, LABELS)
    with pytest.raises(InputError, match="'decisions' is dict; expected a list"):
        load_decisions(write(path, {}), LABELS)
    with pytest.raises(InputError, match=r"gone\.json: no such file"):
        load_decisions(tmp_path / "gone.json", LABELS)
