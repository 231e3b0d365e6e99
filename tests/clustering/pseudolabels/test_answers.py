"""What a person said about faces outranks the rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.graph.constraints import Constraints
from clustering.graph.forest import corrected
from clustering.graph.knn_graph import KnnGraph
from clustering.pseudolabels.evidence import Evidence
from clustering.pseudolabels.labelled_people import Overlap
from clustering.pseudolabels.merge import merge
from clustering.pseudolabels.overlap import agreeing, with_labelled_people, without_labelled_people
from clustering.pseudolabels.pseudo_labeller import PseudoLabeller
from clustering.pseudolabels.rules import confident, max_size, outliers
from clustering.pseudolabels.split import split
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import InputError


def answers(rows, same=(), different=()) -> Constraints:
    pairs = np.array([*same, *different], np.int64).reshape(-1, 2)
    return Constraints(rows, pairs, np.arange(len(pairs)) < len(same))


def marked(rows, *marks) -> np.ndarray:
    return np.isin(np.arange(rows), marks)


def around(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_faces_that_are_the_same_are_not_dropped():
    X, labels = around(0, 5, 10, 100, 100), np.zeros(5, np.int64)
    given = Evidence(np.array([1, 1, 1, 0.1, 0.1], np.float32), KnnGraph.build(X, 4))
    known = Evidence(given.confidence, given.graph, answers(5, [(0, 3)]))
    for rule, threshold in ((outliers, 0.5), (confident, 0.5)):
        assert rule(labels, given, threshold).tolist() == [0, 0, 0, -1, -1]
        assert rule(labels, known, threshold).tolist() == [0, 0, 0, 0, -1]
    elsewhere = np.array([0, 0, 0, 1, 0])  # the answer does not hold in these clusters, so it vouches for no face
    assert confident(elsewhere, known, 0.5).tolist() == [0, 0, 0, -1, -1]


def test_a_cluster_is_not_parted_between_faces_that_are_the_same(blobs):
    embeddings, truth = blobs(identities=4, faces=12, spread=0.5)
    mixed = np.array([0, 0, 1, 1])[truth]
    graph = KnnGraph.build(embeddings, 10)
    found = split(mixed, Evidence(np.ones(48, np.float32), graph), 0.6)
    assert len(np.unique(found)) == 4
    found = split(mixed, Evidence(np.ones(48, np.float32), graph, answers(48, [(0, 12), (25, 26)])), 0.6)
    assert len(np.unique(found[:24])) == 1
    assert len(np.unique(found[24:])) == 2


def test_clusters_that_were_told_apart_or_confirmed_are_not_joined(blobs):
    embeddings, truth = blobs(identities=4, faces=12, spread=0.5)
    pieces, graph = 2 * truth + np.arange(48) % 2, KnnGraph.build(embeddings, 10)

    def clusters(**given) -> list[int]:
        found = merge(pieces, Evidence(np.ones(48, np.float32), graph, **given), 0.6)
        return [len(np.unique(found[truth == person])) for person in range(4)]

    assert clusters() == [1, 1, 1, 1]
    assert clusters(known=answers(48, [(12, 14)], [(3, 2), (0, 40)])) == [2, 1, 1, 1]
    assert clusters(kept=pieces == 5) == [1, 1, 2, 1]


def test_a_cluster_that_was_kept_is_no_mixture():
    labels = np.array([0, 0, 0, 1, 1, 1, -1])
    for kept in ((3, 4, 5), (4,)):  # of one that was merged with it no face may be confirmed
        found = max_size(labels, Evidence(np.ones(7, np.float32), kept=marked(7, *kept)), 2)
        assert found.tolist() == [-1, -1, -1, 0, 0, 0, -1]


def found_people(*person: int) -> Overlap:
    return Overlap(np.array(person), np.linspace(1, 0, len(person), dtype=np.float32), 0.5)


@pytest.mark.parametrize(
    ("person", "same", "different", "expected"),
    [
        ([7, -1, -1, 7], [(0, 1)], [], [7, 7, -1, 7]),  # half of them
        ([7, -1, -1, 7], [(0, 1), (1, 2)], [], [-1, -1, -1, 7]),  # less than half
        ([7, 8, 8, 7], [(0, 1), (1, 2)], [], [8, 8, 8, 7]),
        ([7, 7, 7, 7], [], [(0, 2)], [7, 7, -1, -1]),  # all of the cluster of the less likely face
        ([7, 7, 8, 8], [], [(0, 2)], [7, 7, 8, 8]),
        ([0, -1, -1, 0], [(0, 1)], [], [0, 0, -1, 0]),
        ([0, 0, 0, 0], [], [(0, 1)], [-1, -1, 0, 0]),
    ],
)
def test_labelled_people_agree_with_answers(person, same, different, expected):
    labels = np.array([0, 0, 1, 1])
    found = agreeing(found_people(*person), labels, answers(4, same, different), marked(4))
    assert found.person.tolist() == expected


def test_of_faces_without_a_cluster_only_the_less_likely_one_is_of_nobody():
    labels = np.array([0, -1, -1, -1])
    found = agreeing(found_people(7, 7, 7, 7), labels, answers(4, [], [(0, 2)]), marked(4, 3))
    assert found.person.tolist() == [7, 7, -1, -1]  # the last is not to be used


@pytest.mark.parametrize(("action", "after", "decided"), [("keep", [0, 0, 1, -1], 0), ("drop", [-1, 0, -1, -1], 1),
                                                          ("merge", [-1, 0, -1, -1], 0)])  # fmt: skip
def test_faces_of_labelled_people_go_or_stay(action, after, decided):
    found, labels = found_people(0, -1, 7, -1), np.array([0, 0, 1, -1])
    assert found.summary() == {"threshold": 0.5, "faces": 2, "people": 2}
    left, said = without_labelled_people(found, labels, action, None, marked(4, 0))
    assert (left.tolist(), said["dropped"], said["decided"]) == (after, 2 * (action != "keep"), decided)
    classes, person = with_labelled_people(np.array([-1, 0, -1, -1]), found.person)
    assert (classes.tolist(), person.tolist()) == ([1, 0, 2, -1], [-1, 0, 7])


def test_dropped_faces_are_of_no_labelled_person(blobs):
    X, person = blobs(identities=8, faces=10, dimension=32, spread=0.4)
    known = (person < 4) & (np.arange(80) % 2 == 0)
    labelled = X[known], person[known] + 100
    X, person = X[~known], person[~known]
    dropped = marked(len(X), 0, 1)
    labels = np.where(dropped, -1, person)
    labeller = PseudoLabeller(overlap="merge", overlap_false_match=0.05)
    y, w = labeller.fit_transform(X, labels, labelled=labelled)
    assert labeller.same_as_[y[:2]].tolist() == [100, 100]  # faces in no cluster may be of a labelled person
    kept = person == 1
    labeller.fit_transform(X, person, labelled=labelled, kept=kept)
    assert [rule["decided"] for rule in labeller.summary_["rules"]] == [0] * 5  # they are moved, not dropped
    labeller = PseudoLabeller(overlap="drop", overlap_false_match=0.05)
    labeller.fit_transform(X, person, labelled=labelled, kept=kept)
    assert {rule["rule"]: rule["decided"] for rule in labeller.summary_["rules"]}["overlap"] == kept.sum()
    labeller = PseudoLabeller(overlap="merge", overlap_false_match=0.05)
    y, w = labeller.fit_transform(X, person, labelled=labelled, dropped=dropped)
    assert y[:2].tolist() == [-1, -1]
    assert w[:2].tolist() == [0, 0]


def test_rules_that_win_say_how_many_decided_faces_they_drop():
    X = around(0, 0.1, 120, 120.1, 240)
    labeller = PseudoLabeller(rules=[], duplicates=0.999, min_size=2)
    kept = marked(5, 0, 1)
    y, _ = labeller.fit_transform(X, [0, 0, 1, 1, 2], kept=kept, known=answers(5, [(2, 3)], [(3, 4)]))
    assert y.tolist() == [-1] * 5
    assert {rule["rule"]: (rule["dropped"], rule["decided"]) for rule in labeller.summary_["rules"]} == {
        "duplicates": (2, 2), "min_size": (3, 2),
    }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["drop", "merge", "keep"]), st.sampled_from([None, 6]))
def test_whatever_a_person_says_holds_in_all_classes(seed, action, largest):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 8, 60)
    look = np.where(random.random(60) < 0.5, truth // 2, 4 + truth)  # one that two people share, and one of their own
    X = normalize(np.eye(12, 16)[look] + 0.1 * random.normal(size=(60, 16)))
    graph = KnnGraph.build(X, 10)
    pairs = random.integers(0, 60, (40, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    known = Constraints(60, pairs, truth[pairs[:, 0]] == truth[pairs[:, 1]])
    mixed = np.where(
        random.random(60) < 0.1, random.integers(0, 12, 60), random.choice([truth, look, 20 * truth + look])
    )
    labels = corrected(graph, np.where(random.random(60) < 0.1, -1, mixed), known)
    kept, dropped = np.isin(labels, random.integers(0, labels.max() + 1, 2)), random.random(60) < 0.1
    kept &= truth == truth[np.argmax(kept)]  # else answers may contradict it
    dropped &= ~kept
    people = random.integers(0, 8, 30)
    labelled = (normalize(np.eye(12, 16)[4 + people] + 0.1 * random.normal(size=(30, 16))), people)
    labeller = PseudoLabeller(overlap=action, max_size=largest, overlap_false_match=0.2)
    y, _ = labeller.fit_transform(graph, labels, labelled=labelled, kept=kept, known=known, dropped=dropped)
    assert np.all(y[dropped] == -1)
    one, other = known.together[(y[known.together] >= 0).all(axis=1)].T
    np.testing.assert_array_equal(y[one], y[other])
    one, other = known.apart[(y[known.apart] >= 0).all(axis=1)].T
    assert np.all(y[one] != y[other])
    for cluster in np.unique(labels[kept & (labels >= 0)]):
        mine = kept & (labels == cluster)
        assert len(np.unique(y[mine])) == 1
        if action == "keep" and mine.sum() > 1:
            assert np.all(y[mine] >= 0)


BAD = [
    ({"known": answers(3)}, "known is about 3 faces; expected 4"),
    ({"known": [(0, 1)]}, "known is [(0, 1)]; expected Constraints"),
    ({"dropped": [1, 0, 0, 0]}, "dropped is int64; expected True or False for each face"),
    (
        {"known": answers(4, [], [(0, 1)]), "kept": marked(4, 0, 1)},
        "answers and clusters that were kept: 1 contradiction: row 0 and row 1 are different people",
    ),
]


@pytest.mark.parametrize(("given", "message"), BAD)
def test_answers_that_do_not_fit(given, message):
    with pytest.raises(InputError) as error:
        PseudoLabeller().fit_transform(None, [0, 0, 1, 1], **given)
    assert message in str(error.value)


def test_evidence_about_unassigned_faces_by_hand():
    graph = KnnGraph.build(around(0, 5, 90, 95), 1)
    labels, sure = np.array([0, -1, -1, 1]), np.ones(4, np.float32)
    same = Evidence(sure, graph, answers(4, same=[(1, 2), (0, 3)]))
    assert not same.held(labels).any()  # unassigned faces share no cluster
    assert not same.torn(labels, marked(4, 0)).any()  # nor do faces of two clusters
    apart = Evidence(sure, graph, answers(4, different=[(0, 1)]))
    assert apart.may_join(labels, np.array([0]), np.array([1])).tolist() == [True]


def test_one_of_two_different_people_goes_and_nobody_else():
    faces, score = np.zeros(4, bool), np.array([0.9, 0.5, 0.4, 0.1], np.float32)
    alone = agreeing(
        Overlap(np.array([7, 7, 7, -1]), score, 0), np.full(4, -1), answers(4, (), [(0, 1), (1, 2)]), faces
    )
    assert alone.person.tolist() == [7, -1, 7, -1]  # once the second has gone, the third contradicts nobody
    labels = np.array([0, 1, 2, 1])
    mates = agreeing(Overlap(np.array([7, 7, -1, 8]), score, 0), labels, answers(4, (), [(0, 1)]), faces)
    assert mates.person.tolist() == [7, -1, -1, 8]
