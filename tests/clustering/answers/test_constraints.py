"""Answers about pairs of faces: closure, contradictions, the file, and that clusters keep them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.answers.constraints import Constraints, load_answers, save_answers
from clustering.backends.hilander.climb import trees
from clustering.backends.hilander.forest import constrained
from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.files import InputError, write_json


def known(rows, same=(), different=()):
    pairs = np.array([*same, *different], np.int64).reshape(-1, 2)
    return Constraints(rows, pairs, np.arange(len(pairs)) < len(same))


def keeps(labels, constraints):
    together = labels[constraints.pairs[:, 0]] == labels[constraints.pairs[:, 1]]
    return bool(np.all(together == constraints.same))


def test_must_links_reach_through_others_and_contradictions_are_found():
    fine = known(5, [(0, 1), (1, 2)], [(2, 3)])
    assert fine.person[0] == fine.person[2] != fine.person[3]
    assert not fine.contradictions()
    (line,) = known(5, [(0, 1), (1, 2)], [(0, 2)]).contradictions()
    assert line.startswith("row 0 and row 2 are different people, but the same through other answers")


def test_labels_are_corrected_by_hand():
    labels = np.array([0, 0, 0, 1, 1, -1])
    np.testing.assert_array_equal(known(6, [(3, 5)]).corrected(labels), [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(known(6, [(0, 3)]).corrected(labels), [0, 0, 0, 0, 0, -1])
    np.testing.assert_array_equal(known(6, (), [(0, 1)]).corrected(labels), [0, 1, 1, 2, 2, -1])


def test_the_weakest_edge_between_two_faces_is_cut():
    parents = np.array([1, 2, 3, 3, 3])  # 0 -> 1 -> 2 -> 3 <- 4
    density = np.array([0.1, 0.2, 0.3, 0.4, 0.0])
    strength = np.array([0.9, 0.5, 0.8, 0, 0.6])
    assert constrained(parents, strength, density, known(5, (), [(0, 3)])).tolist() == [1, 1, 3, 3, 3]
    assert constrained(parents, strength, density, known(5, (), [(4, 2)])).tolist() == [1, 2, 3, 3, 4]
    assert constrained(parents, strength, density, known(5, [(1, 3)], [(0, 4)])).tolist() == [1, 3, 3, 3, 4]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_trees_keep_all_answers(seed):
    random = np.random.default_rng(seed)
    truth, density = random.integers(4, size=20), random.random(20).astype(np.float32)
    rank = np.argsort(density)
    parents = np.arange(20)
    for place, node in enumerate(rank[:-1]):
        parents[node] = random.choice(rank[place + 1 :]) if random.random() < 0.9 else node
    pairs = random.integers(20, size=(15, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    answers = Constraints(20, pairs, truth[pairs[:, 0]] == truth[pairs[:, 1]])
    assert keeps(trees(constrained(parents, random.random(20), density, answers))[0], answers)
    assert keeps(answers.corrected(random.integers(3, size=20)), answers)


def test_hilander_keeps_answers_on_the_way(hilander, blobs):
    embeddings, truth = blobs(identities=12, faces=8, dimension=32, spread=0.6)
    graph = KnnGraph.build(embeddings, 5)
    random = np.random.default_rng(0)
    pairs = random.integers(len(truth), size=(60, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    odd = np.where(np.arange(len(truth)) % 8 < 2, truth + 12, truth)  # other people than the faces say
    answers = Constraints(len(truth), pairs, odd[pairs[:, 0]] == odd[pairs[:, 1]])
    assert not keeps(hilander.cluster(graph).labels, answers)
    found = hilander.cluster(graph, answers)
    assert keeps(found.labels, answers)
    for level in found.levels:
        assert not len(answers.violated(level["labels"]))
    assert keeps(found.levels[0]["labels"], known(len(truth), pairs[answers.same]))


def test_files(tmp_path):
    file, keys = tmp_path / "answers.json", ["a", "b", "c"]
    save_answers(file, np.array([[0, 1], [1, 2]]), np.array([True, False]), keys)
    found = load_answers(file, 3, keys)
    assert (found.pairs.tolist(), found.same.tolist()) == ([[0, 1], [1, 2]], [True, False])
    save_answers(file, np.array([[0, 1]]), np.array([True]), None)
    assert load_answers(file, 3, None).pairs.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (3, "not a file of answers"),
        ([{"faces": ["a", "b"]}], "answer 0: .* expected exactly 'faces' and 'answer'"),
        ([{"faces": ["a", "b"], "answer": "yes"}], "'yes'; expected one of same, different, unsure"),
        ([{"faces": ["a", "x"], "answer": "same"}], "face 'x' is unknown; expected a key of the embeddings"),
        ([{"faces": ["a", 1], "answer": "same"}], "face '1' is unknown"),
        ([{"faces": ["a"], "answer": "same"}], "expected two"),
        ([{"faces": ["a", "a"], "answer": "same"}], "face 'a' twice"),
        ([{"faces": ["a", "b"], "answer": "same"}, {"faces": ["b", "a"], "answer": "different"}],
         "1 contradictions: 'b' and 'a' are different people, but the same"),
    ],
)  # fmt: skip
def test_files_that_are_refused(tmp_path, answers, message):
    write_json(tmp_path / "answers.json", {"answers": answers})
    with pytest.raises(InputError, match=message):
        load_answers(tmp_path / "answers.json", 3, ["a", "b", "c"])
