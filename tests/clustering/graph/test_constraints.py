"""Answers about pairs of faces: closure, contradictions, and that forests and clusters keep them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.answers.clustered import clusters_of
from clustering.backends.dbscan import Dbscan
from clustering.backends.hilander.known_pairs import joined
from clustering.graph.constraints import Constraints
from clustering.graph.copies import Copies
from clustering.graph.forest import constrained_parents, corrected, kept_edges
from clustering.graph.joining import Joining
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive, trees
from clustering.result import Clustering
from clustering.similarity.mixtures import mixed
from facerec.pipeline.files import InputError


def known(rows, same=(), different=()):
    pairs = np.array([*same, *different], np.int64).reshape(-1, 2)
    return Constraints(rows, pairs, np.arange(len(pairs)) < len(same))


def keeps(labels, constraints):
    a, b = labels[constraints.pairs].T
    return bool(np.all(((a == b) & (a >= 0)) == constraints.same))


def random_answers(random, truth, count):
    pairs = random.integers(len(truth), size=(count, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return Constraints(len(truth), pairs, truth[pairs[:, 0]] == truth[pairs[:, 1]])


def test_must_links_reach_through_others_and_contradictions_are_found():
    fine = known(5, [(0, 1), (1, 2)], [(2, 3)])
    assert fine.person[0] == fine.person[2] != fine.person[3]
    assert fine.checked("file") is fine
    with pytest.raises(InputError) as error:
        known(5, [(0, 1), (1, 2)], [(0, 2), (3, 4)]).checked("file")
    assert str(error.value) == (
        "file: 1 contradiction: row 0 and row 2 are different people, but the same through other answers; take one back"
    )


def test_unassigned_faces_are_apart():
    assert known(3, different=[(0, 1), (1, 2)]).violated(np.array([-1, -1, -1])).tolist() == []


def test_messages_show_the_end_of_long_keys():
    answers = Constraints(2, np.array([[0, 1], [0, 1]]), np.array([True, False]), ["a" * 50 + "one.jpg", "two.jpg"])
    assert answers.contradictions()[0].startswith(f"'{'a' * 33}one.jpg' and 'two.jpg' are different people")


def test_answers_about_nodes_and_about_some_faces():
    answers = known(4, [(0, 1)], [(1, 3)])
    nodes = answers.of_nodes(np.array([0, 0, 1, 1]))
    assert (nodes.rows, nodes.pairs.tolist(), nodes.same.tolist()) == (2, [[0, 1]], [False])
    assert answers.among(np.array([1, 1, 1, 0], bool)).pairs.tolist() == [[0, 1]]


def test_faces_are_torn_from_their_nodes_where_answers_tell_copies_apart():
    node = np.array([0, 0, 0, 1, 1, 2, 2])
    assert known(7, [(0, 3)], [(1, 5)]).torn(node).tolist() == []
    assert known(7, [(5, 6)], [(0, 2)]).torn(node).tolist() == [0, 2]
    assert known(7, [(0, 3), (2, 5)], [(1, 4), (5, 6)]).torn(node).tolist() == [1, 4, 5, 6]
    assert known(7, [(0, 3), (4, 5)], [(1, 6)]).torn(node).tolist() == [1, 6]
    assert known(7, [(0, 3), (4, 5)], [(0, 5)]).torn(node).tolist() == [0, 3, 4, 5]


@given(st.integers(0, 999))
def test_answers_without_contradictions_have_none_about_nodes_without_torn_faces(seed):
    random = np.random.default_rng(seed)
    answers = random_answers(random, random.integers(4, size=12), 8)
    _, first, node = np.unique(random.integers(5, size=12), return_index=True, return_inverse=True)
    found = Copies(consecutive(node), np.sort(first)).without(answers.torn(node))
    assert not answers.of_nodes(found.node).contradictions()
    assert len(answers.of_nodes(found.node).apart) == len(answers.apart)
    np.testing.assert_array_equal(found.first, np.unique(found.node, return_index=True)[1])
    assert (np.diff(found.first) > 0).all()


def test_the_weakest_edge_between_two_faces_is_cut():
    parents = np.array([1, 2, 3, 3, 3, 5])  # 0 -> 1 -> 2 -> 3 <- 4, and 5
    rank = np.array([0.1, 0.2, 0.3, 0.4, 0.0, 0.5])
    strength = np.array([0.9, 0.5, 0.8, 0, 0.6, 0])

    def found(*answers):
        return constrained_parents(parents, strength, rank, known(6, *answers)).tolist()

    assert found((), [(0, 3)]) == [1, 1, 3, 3, 3, 5]
    assert found((), [(4, 2)]) == [1, 2, 3, 3, 4, 5]
    assert found([(1, 3)], [(0, 4)]) == [1, 3, 3, 3, 4, 5]  # the edge from 1 to 2 is not needed
    assert found([(0, 5)]) == [5, 0, 1, 2, 3, 5]  # both trees are one, with the higher peak


def oracle(sources, targets, strength, one, other):
    """The weakest edge on the way between two nodes of a tree, by walking."""
    near = {}
    for edge, (a, b) in enumerate(zip(sources, targets, strict=True)):
        near.setdefault(a, []).append((b, edge))
        near.setdefault(b, []).append((a, edge))
    ways = [[(one, -1)]]
    for way in ways:
        if way[-1][0] == other:
            return min((edge for _, edge in way[1:]), key=lambda edge: strength[edge])
        ways += [[*way, step] for step in near.get(way[-1][0], ()) if step[0] not in [node for node, _ in way]]
    return None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_one_answer_cuts_the_edge_that_an_oracle_cuts(seed):
    random = np.random.default_rng(seed)
    order = random.permutation(12)
    sources, targets = order[1:], np.array([order[random.integers(place)] for place in range(1, 12)])
    there = random.random(11) < 0.9
    sources, targets, strength = sources[there], targets[there], random.uniform(-1, 1, 11)[there]
    one, other = random.permutation(12)[:2].tolist()
    kept = kept_edges(sources, targets, strength, known(12, (), [(one, other)]))
    left = {frozenset(pair) for pair in zip(*kept, strict=True)}
    cut = oracle(sources.tolist(), targets.tolist(), strength, one, other)
    wanted = [frozenset(pair) for edge, pair in enumerate(zip(sources, targets, strict=True)) if edge != cut]
    assert left == set(wanted)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_trees_and_corrected_clusters_keep_all_answers(seed):
    random = np.random.default_rng(seed)
    truth, density = random.integers(4, size=20), random.random(20).astype(np.float32)
    rank = np.argsort(density)
    parents = np.arange(20)
    for place, node in enumerate(rank[:-1]):
        parents[node] = random.choice(rank[place + 1 :]) if random.random() < 0.9 else node
    answers = random_answers(random, truth, 15)
    found = constrained_parents(parents, random.random(20), density, answers)
    clusters, peaks = trees(found)
    assert keeps(clusters, answers)
    for number, peak in enumerate(peaks):
        assert density[peak] == density[clusters == number].max()
    edges = {frozenset(pair) for pair in enumerate(parents.tolist())} | {
        frozenset(pair) for pair in answers.pairs.tolist()
    }
    assert all(frozenset(pair) in edges for pair in enumerate(found.tolist()) if pair[0] != pair[1])
    graph = KnnGraph.build(np.linalg.qr(random.normal(size=(20, 20)))[0].astype(np.float32), 3)
    assert keeps(corrected(graph, random.integers(-1, 3, size=20), answers), answers)


def test_labels_are_corrected_by_hand():
    angles = np.array([0, 1, 10, 40, 41, 90]) * np.pi / 180
    graph = KnnGraph.build(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32), 2)
    labels = np.array([0, 0, 0, 1, 1, -1])
    assert corrected(graph, labels, known(6, [(3, 5)])).tolist() == [0, 0, 0, 1, 1, 1]
    assert corrected(graph, labels, known(6, [(0, 3)])).tolist() == [0, 0, 0, 0, 0, -1]
    assert corrected(graph, labels, known(6, (), [(0, 2)])).tolist() == [0, 0, 1, 2, 2, -1]
    assert corrected(graph, labels, known(6, [(2, 3)], [(0, 2)])).tolist() == [0, 0, 1, 1, 1, -1]


def test_unassigned_faces_and_missing_neighbours_are_corrected_by_hand():
    graph = KnnGraph.build(np.eye(5, dtype=np.float32), 6)  # with missing neighbours
    nobody = np.full(5, -1)
    assert corrected(graph, nobody, known(5, [(0, 1), (3, 4)])).tolist() == [0, 0, -1, 1, 1]
    parted = corrected(graph, np.zeros(5, np.int64), known(5, [(1, 2)], [(0, 4)]))
    assert parted[0] != parted[4]
    assert parted[1] == parted[2]


def test_other_backends_leave_unreadable_faces_out():
    faces = np.array([[1, 0], [1, 0.01], [0, 0]], np.float32)
    assert clusters_of(Dbscan(), KnnGraph.build(faces, 2), known(3, [(0, 2)])).labels.tolist() == [0, 0, -1]


@pytest.mark.parametrize("merging", ["pairs", "edges"])
def test_no_answer_is_violated_on_any_level(hilander, blobs, merging):
    embeddings, truth = blobs(identities=6, faces=8, dimension=32, spread=0.6)
    graph = KnnGraph.build(embeddings, 5)
    for seed in range(5):
        random = np.random.default_rng(seed)
        odd = np.where(random.random(len(truth)) < 0.2, truth + 6, truth)  # other people than the faces say
        answers = random_answers(random, odd, 60)
        found = hilander.with_settings(merging=merging).cluster_with(graph, answers)
        assert all(keeps(level["labels"], answers) for level in found.levels)
        assert keeps(found.labels, answers)
        for below, above in pairwise([level["labels"] for level in found.levels]):
            assert len(np.unique(np.stack([below, above]), axis=1).T) == len(np.unique(below))


def test_the_threshold_is_that_of_clusters_without_answers(hilander, blobs):
    embeddings, _ = blobs(identities=20, faces=8, dimension=32, spread=0.4)
    graph, chain = KnnGraph.build(embeddings, 5), np.arange(40)
    same = np.stack([chain[:-1], chain[1:]], axis=1)  # five people are one
    adaptive = hilander.with_settings(adaptive=True)
    found = adaptive.cluster_with(graph, Constraints(len(embeddings), same, np.ones(39, bool)))
    assert len(set(found.labels[:40].tolist())) == 1
    assert mixed(graph, found.labels)  # which would raise the threshold
    assert found.notes["p_tau"] == adaptive.cluster(graph).notes["p_tau"] == adaptive.p_tau


def test_clusters_of_other_backends_keep_answers(blobs):
    embeddings, truth = blobs(identities=6, faces=8, dimension=32, spread=0.6)
    answers = random_answers(np.random.default_rng(0), truth, 60)
    assert keeps(clusters_of(Dbscan(), KnnGraph.build(embeddings, 5), answers).labels, answers)


def test_a_face_that_an_answer_puts_into_a_cluster_is_sure():
    """Noise has confidence 0, with which it would be doubtful, and of no weight in training."""
    angles = np.radians([0, 1, 2, 60, 120])
    graph = KnnGraph.build(np.stack([np.cos(angles), np.sin(angles)], axis=1), 4)
    noise = Dbscan(min_similarity=0.99)
    found = clusters_of(noise, graph, known(5, [(2, 3)]))
    assert noise.cluster(graph).confidence.tolist() == [1, 1, 1, 0, 0]
    assert found.labels.tolist() == [0, 0, 0, 0, -1]
    assert found.confidence.tolist() == [1, 1, 1, 1, 0]


def test_faces_in_clusters_keep_their_confidence(monkeypatch):
    alike = KnnGraph.build(np.ones((5, 2)), 4)
    doubtful = Clustering.of(np.array([0, 0, 1, 1, -1]), np.array([0.5, 0.25, 0.5, 0.75, 0]))
    monkeypatch.setattr(Dbscan, "cluster", lambda *_: doubtful)
    assert clusters_of(Dbscan(), alike, known(5, [(3, 4)])).confidence.tolist() == [0.5, 0.25, 0.5, 0.75, 1]


def test_answers_about_unreadable_faces_are_left_out(hilander, blobs):
    embeddings, _ = blobs(identities=6, faces=8, dimension=32, spread=0.6)
    embeddings = np.where(np.arange(48)[:, None] == 0, np.float32(0), embeddings)
    found = clusters_of(hilander, KnnGraph.build(embeddings, 5), known(48, [(0, 9), (8, 40)])).labels
    assert (found[0], found[8]) == (-1, found[40])


def cosine_less(sums, sizes, i, j):
    """Mean cosines less .5: a worth by hand."""
    return (np.einsum("ed,ed->e", sums[i], sums[j]) / (sizes[i] * sizes[j]) - 0.5).astype(np.float32)


def by_hand(angles, same):
    radians = np.radians(angles)
    faces = np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)
    i, j = np.triu_indices(len(faces), 1)
    nodes = Joining(faces, np.ones(len(faces), np.float32), i, j, cosine_less)
    return consecutive(joined(nodes, 0.3, known(len(faces), same)).clusters()[0])


def test_clusters_that_may_be_one_join_as_wholes_and_strays_alone():
    # worth .27 between both clusters, which is too little, and .5 of each face and the rest of its cluster
    assert by_hand([0, 1, 2, 40, 41], []).tolist() == [0, 0, 0, 1, 1]
    assert by_hand([0, 1, 2, 40, 41], [(1, 3)]).tolist() == [0, 0, 0, 0, 0]
    # the face of 38 degrees joins those of 70 by .34; its cluster and the first are worth 0
    assert by_hand([0, 1, 2, 38, 70, 71], []).tolist() == [0, 0, 0, 1, 1, 1]
    assert by_hand([0, 1, 2, 38, 70, 71], [(1, 3)]).tolist() == [0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("pairs", "same", "message"),
    [
        ([[0, 3]], [True], "pair 0 has row 3; expected rows from 0 to 2"),
        ([[0, 1], [-1, 1]], [True, False], "pair 1 has row -1"),
        ([[0, 1]], [True, False], r"pairs, same: \[1, 2\], \[2\]; expected shapes \[m, 2\], \[m\]"),
        ([0, 1], [True], r"pairs, same: \[2\], \[1\]"),
        ([[0, 1]], [1], "pairs, same: int64, int64; expected integers, bool"),
        ([["a", "b"]], [True], "pairs, same: <U1, bool"),
    ],
)
def test_pairs_of_faces_that_are_not_there_are_refused(pairs, same, message):
    with pytest.raises(InputError, match=message):
        Constraints(3, np.array(pairs), np.array(same))


def test_lists_are_constraints_too():
    assert Constraints(3, [[0, 1], [1, 2]], [True, False]).apart.tolist() == [[1, 2]]


def test_clusters_agree_with_no_answers_about_other_faces_or_that_contradict_each_other():
    graph = KnnGraph.build(np.eye(4), 3)
    with pytest.raises(InputError, match="known: about 5 faces, the graph has 4"):
        clusters_of(Dbscan(), graph, known(5, [(0, 1)]))
    with pytest.raises(InputError, match="known: 1 contradiction: row 0 and row 2 are different people"):
        clusters_of(Dbscan(), graph, known(4, [(0, 1), (1, 2)], [(0, 2)]))
